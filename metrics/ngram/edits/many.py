"""Edits of many pairs: their searches for shifts go on side by side, an alignment of each in a step.

Alignments and lists of shifts are computed for all pairs at once. A search that has ended leaves the others; when few
are left, they are ended one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING

import numpy as np

from .lockstep import Alignments, Bands, References, align, ranges, within_a_word
from .moves import moves
from .shifts import Near, Search, as_symbols, finished, near, nearest, shifted

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

    ``number`` is that of its reference. ``texts`` are the text after each of the round's shifts, of which ``tried``
    were tried. ``trial`` is the one to be aligned, ``waiting`` those that may follow it, ``best`` the nearest so far.
    """

    place: int
    number: int
    search: Search
    distance: int = 0
    tried: int = 0
    texts: list[str] = field(default_factory=list)
    trial: Near = (0, 0, "")
    waiting: list[Near] | None = None
    best: Near | None = None


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
        for lane, distance in zip(lanes, self._aligned.distance.tolist(), strict=True):
            lane.distance = distance

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
        current = [lane.search.current for lane in lanes]
        shifts, numbers, tried = moves(
            self._references,
            which,
            current,
            self._aligned.target[columns],
            self._aligned.hypothesis_error[rows],
            self._aligned.reference_error[columns],
            np.array([lane.search.left for lane in lanes]),
        )
        texts = shifted(chain.from_iterable(map(repeat, current, numbers)), shifts)
        on, end = [], 0
        for lane, number, count in zip(lanes, numbers, tried, strict=True):
            begin, end = end, end + number
            lane.texts, lane.tried = texts[begin:end], count
            if number and (trial := nearest(lane.search.wanted, lane.texts, lane.distance)):
                lane.trial, lane.waiting, lane.best = trial, None, None
                on.append(lane)
                continue
            found[lane.place] = lane.search.shifts + lane.distance
        return on

    def tried(self, lanes: Sequence[_Lane], found: dict[int, int]) -> tuple[list[_Lane], list[_Lane]]:
        """Those that have made a shift, and those that try another first; the edits of the others go to ``found``."""
        which = np.array([lane.number for lane in lanes])
        aligned = align(self._references, self._bands, which, [lane.trial[2] for lane in lanes])
        nearer, made, on = np.zeros(len(lanes), dtype=bool), [], []
        for place, (lane, distance) in enumerate(zip(lanes, aligned.distance.tolist(), strict=True)):
            search, (bound, index, text) = lane.search, lane.trial
            if distance < lane.distance and (lane.best is None or (distance, index) < lane.best[:2]):
                lane.best, nearer[place] = (distance, index, text), True
            if distance > bound:
                # The beam binds: another text may be nearer within it.
                if lane.waiting is None:
                    lane.waiting = near(search.wanted, lane.texts, lane.distance)[1:]
                if lane.waiting and (lane.best is None or lane.waiting[0] < lane.best):
                    lane.trial = lane.waiting.pop(0)
                    on.append(lane)
                    continue
            if lane.best is None:
                found[lane.place] = search.shifts + lane.distance
            else:
                lane.distance, _, search.current = lane.best
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
