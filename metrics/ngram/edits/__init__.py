"""Word edits and shifts of TER: alignments within a beam, the search for shifts, one pair or many at once."""
