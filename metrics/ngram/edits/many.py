"""Edits of many pairs: their searches for shifts go on side by side, an alignment of each in a step.

Alignments and lists of shifts are computed for all pairs at once. A search that has ended leaves the others; when few
are left, they are ended one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import extractOne

from .lockstep import Alignments, Bands, References, align, ranges, within_a_word
from .moves import Moves, moves
from .shifts import Near, Search, as_symbols, finished, near, shifted

if TYPE_CHECKING:
    from numpy.typing import NDArray

# With fewer pairs one after another is faster.
FEW = 12
# Texts go together up to so many words: that bounds the memory.
_WORDS = 200_000
# A text this many times longer than nearly all others would let hundreds of steps serve a few pairs.
_MUCH_LONGER = 2


@dataclass(slots=True)
class _Lane:
    """A search among others, and what is tried in place of its text.

    ``number`` is that of its reference. The text has its ``distance`` within the beam and ``least``, Levenshtein's.
    ``tried`` shifts were tried in this round; its large and small ones lie between ``edges``. ``trial`` is the shifted
    text to be aligned, ``waiting`` are those that may follow it, ``best`` is the nearest so far, with its Levenshtein
    distance ``best_least``.
    """

    place: int
    number: int
    search: Search
    distance: int = 0
    least: int = 0
    tried: int = 0
    edges: list[int] = field(default_factory=list)
    trial: Near = (0, 0, "")
    waiting: list[Near] | None = None
    best: Near | None = None
    best_least: int = 0


def edits(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> list[int]:
    """For each pair of words, the edits that turn the first, the hypothesis, into the second, the reference.

    >>> edits([("the gNB sets up the bearer".split(), "the bearer the gNB sets up".split()), ([], ["a"])])
    [1, 1]
    """
    found: list[int] = []
    searches: list[Search] = []
    words = 0
    for pair in pairs:
        searches.append(Search(*as_symbols(*pair)))
        words += sum(map(len, pair))
        if words > _WORDS:
            found += _edits(searches)
            searches, words = [], 0
    return found + _edits(searches)


def _edits(searches: Sequence[Search]) -> list[int]:
    found: dict[int, int] = {}
    if lanes := _lanes(searches):
        side_by_side = _SideBySide(lanes)
        trying: list[_Lane] = []
        while len(lanes) + len(trying) >= FEW:
            trying += side_by_side.begun(lanes, found) if lanes else []
            lanes, trying = side_by_side.tried(trying, found) if trying else ([], [])
    return [found[place] if place in found else finished(search) for place, search in enumerate(searches)]


def _lanes(searches: Sequence[Search]) -> list[_Lane]:
    """Those that go side by side: neither at their end already, nor too long for the others."""
    fit = [
        (place, search)
        for place, search in enumerate(searches)
        if search.current != search.wanted and within_a_word(len(search.current), len(search.wanted))
    ]
    if len(fit) < FEW:
        return []
    longest = _MUCH_LONGER * sorted(len(search.current) for _, search in fit)[-FEW]
    chosen = [(place, search) for place, search in fit if len(search.current) <= longest]
    return [_Lane(place, number, search) for number, (place, search) in enumerate(chosen)]


class _SideBySide:
    """The references of all searches, and how each search's text is aligned with its own."""

    def __init__(self, lanes: Sequence[_Lane]) -> None:
        """Align all texts as they are."""
        self._references = References([lane.search.wanted for lane in lanes])
        texts = [lane.search.current for lane in lanes]
        self._bands = Bands(np.array([len(text) for text in texts]), self._references.lengths)
        self._aligned = align(self._references, self._bands, np.arange(len(lanes)), texts)
        self._moves = Moves(([], [], []), [], [0], [])
        for lane, distance in zip(lanes, self._aligned.distance.tolist(), strict=True):
            lane.distance, lane.least = distance, Levenshtein.distance(lane.search.current, lane.search.wanted)

    def _rows_and_columns(self, which: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The places of these searches' words, and of their references' words."""
        references = self._references
        return (
            ranges(self._bands.first[which], self._bands.lengths[which]),
            ranges(references.first[which], references.lengths[which]),
        )

    def begun(self, lanes: Sequence[_Lane], found: dict[int, int]) -> list[_Lane]:
        """Those that have a shift to try; the edits of the others go to ``found``."""
        which = np.array([lane.number for lane in lanes])
        rows, columns = self._rows_and_columns(which)
        self._moves = moves(
            self._references,
            which,
            [lane.search.current for lane in lanes],
            self._aligned.target[columns],
            self._aligned.hypothesis_error[rows],
            self._aligned.reference_error[columns],
            np.array([lane.search.left for lane in lanes]),
        )
        on = []
        for place, lane in enumerate(lanes):
            lane.tried, lane.edges = self._moves.tried[place], self._moves.edges[2 * place : 2 * place + 3]
            if trial := self._nearest(lane):
                lane.trial, lane.waiting, lane.best = trial, None, None
                on.append(lane)
            else:
                found[lane.place] = lane.search.shifts + lane.distance
        return on

    def _nearest(self, lane: _Lane) -> Near | None:
        """The first of the texts with the smallest Levenshtein distance, where that is under the text's own."""
        first, middle, end = lane.edges
        best = self._nearest_between(lane, first, middle, lane.distance)
        if best:
            # A word that moves is a word gone and a word come: two edits at most.
            spared = best[0] + 2 - lane.least
            if spared < 0:
                return best
            end = bisect_left(self._moves.ranks, best[1], middle, end) if spared == 0 else end
        other = self._nearest_between(lane, middle, end, best[0] + 1 if best else lane.distance)
        return min(best, other) if best and other else best or other

    def _nearest_between(self, lane: _Lane, begin: int, end: int, distance: int) -> Near | None:
        if begin == end:
            return None
        texts = shifted(lane.search.current, self._moves.between(begin, end))
        found = extractOne(lane.search.wanted, texts, scorer=Levenshtein.distance, score_cutoff=distance - 1)
        return found and (int(found[1]), self._moves.ranks[begin + found[2]], found[0])

    def _all_near(self, lane: _Lane) -> list[Near]:
        begin, _, end = lane.edges
        by_rank = sorted(zip(self._moves.ranks[begin:end], self._moves.between(begin, end), strict=True))
        texts = shifted(lane.search.current, (shift for _, shift in by_rank))
        return near(lane.search.wanted, texts, lane.distance)

    def tried(self, lanes: Sequence[_Lane], found: dict[int, int]) -> tuple[list[_Lane], list[_Lane]]:
        """Those that have made a shift, and those that try another first; the edits of the others go to ``found``."""
        which = np.array([lane.number for lane in lanes])
        aligned = align(self._references, self._bands, which, [lane.trial[2] for lane in lanes])
        nearer, made, on = np.zeros(len(lanes), dtype=bool), [], []
        for place, (lane, distance) in enumerate(zip(lanes, aligned.distance.tolist(), strict=True)):
            search, (bound, index, text) = lane.search, lane.trial
            if distance < lane.distance and (lane.best is None or (distance, index) < lane.best[:2]):
                lane.best, lane.best_least, nearer[place] = (distance, index, text), bound, True
            if distance > bound:
                # The beam binds: another text may be nearer within it.
                if lane.waiting is None:
                    lane.waiting = self._all_near(lane)[1:]
                if lane.waiting and (lane.best is None or lane.waiting[0] < lane.best):
                    lane.trial = lane.waiting.pop(0)
                    on.append(lane)
                    continue
            if lane.best is None:
                found[lane.place] = search.shifts + lane.distance
            else:
                (lane.distance, _, search.current), lane.least = lane.best, lane.best_least
                search.shifts += 1
                search.left -= lane.tried
                made.append(lane)
        self._remember(which, nearer, aligned)
        return made, on

    def _remember(self, which: NDArray[np.int64], nearer: NDArray[np.bool_], aligned: Alignments) -> None:
        """Keep the alignments of the texts that are the nearest of their search so far."""
        rows, columns = self._rows_and_columns(which[nearer])
        own_rows = np.repeat(nearer, self._bands.lengths[which])
        own_columns = np.repeat(nearer, self._references.lengths[which])
        self._aligned.target[columns] = aligned.target[own_columns]
        self._aligned.hypothesis_error[rows] = aligned.hypothesis_error[own_rows]
        self._aligned.reference_error[columns] = aligned.reference_error[own_columns]
