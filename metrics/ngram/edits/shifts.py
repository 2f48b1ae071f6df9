"""Edits of TER: sequences of words are shifted as long as that makes the rest fewer (Snover et al., 2006).

Greedy as TERCOM's search: of all shifts in a round the one is made that leaves the smallest distance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import extract

from .alignment import BandRow, WordAlignment, align_in_band, band, match_bits

MAX_SHIFT_SIZE = 10
MAX_SHIFT_DISTANCE = 50
MAX_SHIFT_CANDIDATES = 1000

# Two neighbouring sequences, from the first number to the second and from there to the third, change places.
Shift = tuple[int, int, int]
# The least that a text's distance can be, its place among others, and the text.
Near = tuple[int, int, str]

_ELSEWHERE = "\0"  # every hypothesis word that the reference lacks


def as_symbols(hypothesis: Sequence[str], reference: Sequence[str]) -> tuple[str, str]:
    r"""Both texts with a code point a word, from 1 on in the order of the reference; 0 for words that it lacks.

    >>> as_symbols("a c b".split(), "b a b".split())
    ('\x02\x00\x01', '\x01\x02\x01')
    """
    symbols = {word: chr(code) for code, word in enumerate(dict.fromkeys(reference), 1)}
    return (
        "".join([symbols.get(word, _ELSEWHERE) for word in hypothesis]),
        "".join(map(symbols.__getitem__, reference)),
    )


@dataclass(slots=True)
class Search:
    """How far a search for shifts has come: texts as symbols, shifts made, and how many may still be tried."""

    current: str
    wanted: str
    shifts: int = 0
    left: int = MAX_SHIFT_CANDIDATES


def finished(search: Search) -> int:
    """Edits at the end of a search that stands anywhere, as it is after `as_symbols` or later.

    >>> finished(Search(*as_symbols("the gNB sets up the bearer".split(), "the bearer the gNB sets up".split())))
    1
    """
    current, wanted = search.current, search.wanted
    if not wanted or not current:
        return search.shifts + max(len(current), len(wanted))
    if current == wanted:
        return search.shifts
    bits = match_bits(wanted)
    places: dict[str, list[int]] = {}
    for column, symbol in enumerate(wanted):
        places.setdefault(symbol, []).append(column)
    rows = band(len(current), len(wanted))
    alignment = align_in_band(current, len(wanted), bits, rows)
    shifts, left = search.shifts, search.left
    while True:
        found, tried = _shifts(current, wanted, places, alignment, left)
        left -= tried
        # A round that reaches the limit is given up as a whole, even if it had found a good shift.
        if left <= 0 or not found:
            break
        best = _best(shifted(current, found), wanted, bits, rows, alignment.distance)
        if best is None:
            break
        current, alignment = best
        shifts += 1
    return shifts + alignment.distance


def _shifts(
    current: str, wanted: str, places: Mapping[str, Sequence[int]], alignment: WordAlignment, limit: int
) -> tuple[list[Shift], int]:
    """Each possible shift, the preferred first, and how many were tried to find them.

    A shift moves a sequence that also stands in the reference, if some of it is wrong where it is and some is missing
    where it would go. Preferred are longer sequences, then those that start earlier, then those moved to an earlier
    place. Several places in the reference can ask for the same shift: it is tried once but counted each time.
    """
    target = alignment.target
    hypothesis_run, reference_run = _correct_run(alignment.hypothesis_error), _correct_run(alignment.reference_error)
    base = len(current) + 1
    found: set[int] = set()
    tried = 0
    for start, symbol in enumerate(current):
        for place in places.get(symbol, ()):
            aligned = target[place]
            if aligned == start or abs(place - start) > MAX_SHIFT_DISTANCE:
                continue
            shortest = 1 + max(hypothesis_run[start], reference_run[place])
            longest = min(MAX_SHIFT_SIZE, len(current) - start, len(wanted) - place)
            if aligned > start:  # never into the moved sequence itself
                longest = min(longest, aligned - start)
            if shortest > longest or current[start : start + shortest] != wanted[place : place + shortest]:
                continue
            goals = {target[place - 1] + 1 if place else 0}
            goals.update([goal + 1 for goal in target[place : place + shortest]])
            length = shortest
            while True:
                tried += len(goals)
                rank = ((MAX_SHIFT_SIZE - length) * base + start) * base
                found.update([rank + goal for goal in goals])
                if length == longest or current[start + length] != wanted[place + length]:
                    break
                goals.add(target[place + length] + 1)
                length += 1
            if tried >= limit:
                return [], tried
    return [_shift(rank, base, len(current)) for rank in sorted(found)], tried


def _correct_run(errors: Sequence[bool]) -> list[int]:
    """For each position, how many positions from it on are correct before the next error."""
    runs = [0] * len(errors)
    run = MAX_SHIFT_SIZE  # past the end there is no error to wait for
    for index in range(len(errors) - 1, -1, -1):
        run = 0 if errors[index] else run + 1
        runs[index] = run
    return runs


def _shift(rank: int, base: int, length: int) -> Shift:
    rest, goal = divmod(rank, base)
    missing_length, start = divmod(rest, base)
    end = start + MAX_SHIFT_SIZE - missing_length
    if goal < start:
        return goal, start, end
    # A goal inside the sequence counts from its end: TERCOM's way to move it by less than its own length.
    return start, end, min(goal if goal > end else goal + end - start, length)


def shifted(text: str, shifts: Iterable[Shift]) -> list[str]:
    """The text after each of the shifts.

    >>> shifted("abcd", [(0, 1, 3)])
    ['bcad']
    """
    return [f"{text[:a]}{text[b:c]}{text[a:b]}{text[c:]}" for a, b, c in shifts]


def near(wanted: str, texts: Sequence[str], distance: int) -> list[Near]:
    """All texts with a Levenshtein distance under ``distance``, by that and by their order."""
    found = extract(wanted, texts, scorer=Levenshtein.distance, score_cutoff=distance - 1, limit=None)
    return sorted((int(bound), index, text) for text, bound, index in found)


def _best(
    texts: Sequence[str], wanted: str, bits: Mapping[str, int], rows: tuple[BandRow, ...], distance: int
) -> tuple[str, WordAlignment] | None:
    """The first text with the smallest beam-limited distance, if that is under ``distance``."""
    best: tuple[int, int, str, WordAlignment] | None = None
    # No distance within the beam is under Levenshtein's.
    for bound, index, text in near(wanted, texts, distance):
        if best is not None and (bound, index) > best[:2]:
            break
        alignment = align_in_band(text, len(wanted), bits, rows)
        if alignment.distance < distance and (best is None or (alignment.distance, index) < best[:2]):
            best = (alignment.distance, index, text, alignment)
    return None if best is None else best[2:]
