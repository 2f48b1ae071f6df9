"""The beam-limited edit distance of TERCOM, a row of its table at a time.

TER aligns a hypothesis (rows i) with a reference (columns j) by unit-cost edits, but looks only at a band of columns
around the line from corner to corner; cells outside count as unreachable. The result may exceed the Levenshtein
distance, and ties between alignments decide which shifts are tried, so both the band and the order of preference have
to be kept exactly.

A row is held as differences between neighbouring cells, in the bits of two integers, and computed with a dozen
integer operations (Myers, 1999; Hyyrö, 2003). The band enters through what the row above is *said* to hold outside
its own band:

* right of it, each cell one more than its left neighbour, with no matches beyond the first such column. A new cell
  there is reached through its left neighbour at no greater cost, so the pretended cells never win;
* left of it, each cell one more than its right neighbour, with no matches. The leftmost cell of the new row is then
  reached from above, or diagonally when the band has moved, again exactly as if the pretended cells were infinite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

BEAM_WIDTH = 25


class BandRow(NamedTuple):
    """Bit masks to compute one row from the row above (bit j - 1 is column j)."""

    matches: int  # columns where a match may be used
    inside: int  # columns whose difference in the row above is real
    right: int  # columns right of the band of the row above
    left: int  # columns left of the band
    limit: int  # first column outside the band of the row above


def band(hypothesis_length: int, reference_length: int) -> tuple[BandRow, ...]:
    """The band of every row 1..hypothesis_length, by TERCOM's rule as sacrebleu has it."""
    if not hypothesis_length:
        return ()
    full = (1 << reference_length) - 1
    if reference_length < BEAM_WIDTH:
        # Every column lies within the beam of every row.
        return (BandRow(full, full, 0, 0, reference_length + 1),) * hypothesis_length
    ratio = reference_length / hypothesis_length
    # A reference many times longer needs a wider band, or the bands of two rows would not touch.
    width = math.ceil(ratio / 2 + BEAM_WIDTH) if ratio / 2 > BEAM_WIDTH else BEAM_WIDTH
    rows = []
    first_above, limit_above = 0, reference_length + 1
    for row in range(1, hypothesis_length + 1):
        # The floor of the floating-point product, not of the fraction: they differ where the product rounds down.
        diagonal = math.floor(row * ratio)
        first = max(0, diagonal - width)
        left = (1 << max(first_above, first - 1)) - 1
        right = full & ~((1 << (limit_above - 1)) - 1)
        matches = full & ((1 << limit_above) - 1) & ~left
        rows.append(BandRow(matches, full & ~left & ~right, right, left, limit_above))
        first_above, limit_above = first, min(reference_length + 1, diagonal + width)
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class WordAlignment:
    """The preferred cheapest alignment.

    ``target[j]`` is the 0-based hypothesis position that reference position j is aligned with or, where it has none,
    the position after which it is missing (-1 for the start). The error flags mark positions that are not matched.
    """

    distance: int
    target: list[int]
    hypothesis_error: list[bool]
    reference_error: list[bool]


def match_bits(reference: str) -> dict[str, int]:
    """For every symbol of the reference the columns that hold it, as bits."""
    bits: dict[str, int] = {}
    for column, symbol in enumerate(reference):
        bits[symbol] = bits.get(symbol, 0) | 1 << column
    return bits


def align_in_band(
    hypothesis: str, reference_length: int, bits: Mapping[str, int], rows: tuple[BandRow, ...]
) -> WordAlignment:
    """Align a hypothesis (a symbol a word) with the reference whose ``match_bits`` are given.

    >>> align_in_band("bxa", 2, match_bits("ab"), band(3, 2)).distance
    3
    """
    full = (1 << reference_length) - 1
    increases, decreases = full, 0  # along the row, of each cell over its left neighbour
    stays, grows = [], []  # by row: cells equal to the diagonal neighbour, cells one over the neighbour above
    for symbol, (matches, inside, right, left, _) in zip(hypothesis, rows, strict=True):
        equal = bits.get(symbol, 0) & matches
        increases = increases & inside | right
        decreases = decreases & inside | left
        stay = ((((equal & increases) + increases) ^ increases) | equal | decreases) & full
        grow = decreases | full ^ (stay | increases)
        stays.append(stay)
        grows.append(grow)
        grow_left = (grow << 1 | 1) & full
        increases = ((stay & increases) << 1 & full) | full ^ (stay | grow_left)
        decreases = stay & grow_left
    return _trace(hypothesis, reference_length, bits, rows, stays, grows)


def _trace(
    hypothesis: str,
    reference_length: int,
    bits: Mapping[str, int],
    rows: tuple[BandRow, ...],
    stays: list[int],
    grows: list[int],
) -> WordAlignment:
    """Walk back from the last cell; of equals prefer match or substitution, then a surplus word, then a missing one."""
    row, column = len(hypothesis), reference_length
    target = [-1] * reference_length
    hypothesis_error = [True] * row
    reference_error = [True] * column
    distance = 0
    while row and column:
        above = rows[row - 1]
        bit = 1 << (column - 1)
        if column > above.limit:  # neither the cell above nor the diagonal one exists
            distance += 1
            column -= 1
            target[column] = row - 1
        elif bits.get(hypothesis[row - 1], 0) & above.matches & bit:
            row -= 1
            column -= 1
            target[column] = row
            hypothesis_error[row] = reference_error[column] = False
        elif not stays[row - 1] & bit:
            distance += 1
            row -= 1
            column -= 1
            target[column] = row
        elif grows[row - 1] & bit:
            distance += 1
            row -= 1
        else:
            distance += 1
            column -= 1
            target[column] = row - 1
    return WordAlignment(distance + row + column, target, hypothesis_error, reference_error)
