"""The shifts that `shifts` finds in a round, for many pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .lockstep import References, ranges
from .shifts import MAX_SHIFT_DISTANCE, MAX_SHIFT_SIZE, Shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Places of a text in the keys that order shifts.
_PLACE_BITS = 20
_PLACE = (1 << _PLACE_BITS) - 1


@dataclass(frozen=True)
class Moves:
    """Shifts of many pairs: those of the first pair, then those of the second.

    Of each pair first come the ``large`` ones, which move more than one word past more than one, then the ``small``
    ones. ``ranks`` tell which of the pair's shifts TERCOM would try first. ``edges`` are where the large and the small
    ones of each pair end; the first is 0. ``tried`` counts what was tried to find them.
    """

    shifts: tuple[list[int], list[int], list[int]]
    ranks: list[int]
    edges: list[int]
    tried: list[int]

    def between(self, begin: int, end: int) -> list[Shift]:
        """Some of the shifts."""
        first, second, third = self.shifts
        return list(zip(first[begin:end], second[begin:end], third[begin:end], strict=True))


def moves(
    references: References,
    which: NDArray[np.int64],
    hypotheses: Sequence[str],
    target: NDArray[np.int64],
    hypothesis_error: NDArray[np.bool_],
    reference_error: NDArray[np.bool_],
    left: NDArray[np.int64],
) -> Moves:
    """All shifts of all pairs.

    ``which`` are the references' numbers. The alignments of the pairs stand one after another. A pair that would try as
    many as it has ``left`` gets none.
    """
    symbols = references.symbols_of(hypotheses, which)
    lengths, sizes = np.array([len(text) for text in hypotheses]), references.lengths[which]
    first, column_first = np.cumsum(lengths) - lengths, np.cumsum(sizes) - sizes
    run, column_run = _correct_runs(hypothesis_error, lengths), _correct_runs(reference_error, sizes)

    # Every word with every place of the reference that holds it.
    rest = np.minimum(MAX_SHIFT_SIZE, np.repeat(first + lengths, lengths) - np.arange(len(symbols)))
    words = np.flatnonzero((run < rest) & (symbols > 0))
    counts = references.place_count[symbols[words]]
    held = ranges(references.place_first[symbols[words]], counts)
    word, place = np.repeat(words, counts), references.places[held]
    pairs = np.repeat(np.arange(len(lengths)), lengths)[words]
    start, column = np.repeat(words - first[pairs], counts), np.repeat(column_first[pairs], counts) + place
    shortest = 1 + np.maximum(np.repeat(run[words], counts), column_run[column])
    # Never into the moved sequence itself: what is aligned before it, a negative number, limits nothing.
    gap = (target[column] - start).view(np.uint64)
    longest = np.minimum(np.repeat(rest[words], counts), references.room[held]).view(np.uint64)
    longest = np.minimum(longest, gap).view(np.int64)
    kept = np.flatnonzero((shortest <= longest) & (np.abs(place - start) <= MAX_SHIFT_DISTANCE))
    word, start, column, shortest, longest = word[kept], start[kept], column[kept], shortest[kept], longest[kept]
    same = _same_words(symbols, references.symbols, word, references.place_at[held[kept]], longest)
    kept = np.flatnonzero(same >= shortest)
    start, column, shortest, same = start[kept], column[kept], shortest[kept], same[kept]
    pair = np.searchsorted(first, word[kept], side="right") - 1

    # Every length of the sequence, with every row after which it may go: the one that the reference position before
    # it is aligned with, and those of its own positions.
    before = np.empty_like(target)
    before[1:] = target[:-1]
    before[column_first] = -1
    rises = target > before
    risen, rise_at = np.cumsum(rises), np.flatnonzero(rises)
    number = same - shortest + 1
    length = ranges(shortest, number)
    found = np.repeat(np.arange(len(pair)), number)
    known = (risen - rises)[column][found]
    goals = 1 + risen[column[found] + length - 1] - known
    tried = np.bincount(pair[found], weights=goals, minlength=len(lengths))
    within = (tried < left)[pair[found]]
    found, length, known, goals = found[within], length[within], known[within], goals[within]

    nth = ranges(np.zeros_like(goals), goals)
    chosen = np.repeat(np.arange(len(goals)), goals)
    found, length, known = found[chosen], length[chosen], known[chosen]
    goal = before[column[found]] + 1
    later = np.flatnonzero(nth)
    goal[later] = target[rise_at[known[later] + nth[later] - 1]] + 1

    key = pair[found] * MAX_SHIFT_SIZE + MAX_SHIFT_SIZE - length
    key = np.sort(((key << _PLACE_BITS) + start[found] << _PLACE_BITS) + goal)
    key = key[np.diff(key, prepend=-1) != 0]
    goal, start = key & _PLACE, key >> _PLACE_BITS & _PLACE
    pair, missing_length = np.divmod(key >> 2 * _PLACE_BITS, MAX_SHIFT_SIZE)
    stop = start + MAX_SHIFT_SIZE - missing_length
    # A goal inside the sequence counts from its end: TERCOM's way to move it by less than its own length.
    after = np.minimum(np.where(goal > stop, goal, goal + stop - start), lengths[pair])
    backward = goal < start
    first, second, third = (
        np.where(backward, goal, start),
        np.where(backward, start, stop),
        np.where(backward, stop, after),
    )
    numbers = np.bincount(pair, minlength=len(lengths))
    ranks = ranges(np.zeros_like(numbers), numbers)
    group = 2 * pair + (np.minimum(second - first, third - second) <= 1)
    order = np.argsort(group, kind="stable")
    return Moves(
        (first[order].tolist(), second[order].tolist(), third[order].tolist()),
        ranks[order].tolist(),
        [0, *np.cumsum(np.bincount(group, minlength=2 * len(lengths))).tolist()],
        tried.astype(np.int64).tolist(),
    )


def _correct_runs(errors: NDArray[np.bool_], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each position of texts one after another, how many from it on are correct before the next error."""
    here, end = np.arange(len(errors)), np.repeat(np.cumsum(lengths), lengths)
    at = np.flatnonzero(errors)
    following = np.append(at, len(errors))[np.cumsum(errors) - errors]
    # Past the end there is no error to wait for.
    return np.where(following < end, following, end + MAX_SHIFT_SIZE) - here


def _same_words(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    left_from: NDArray[np.int64],
    right_from: NDArray[np.int64],
    longest: NDArray[np.int64],
) -> NDArray[np.int64]:
    """How many words from these places on are the same, up to ``longest``; the first ones are known to be."""
    same = np.ones(len(longest), dtype=np.int64)
    going = np.flatnonzero(longest > 1)
    for further in range(1, MAX_SHIFT_SIZE):
        going = going[left[left_from[going] + further] == right[right_from[going] + further]]
        same[going] += 1
        going = going[longest[going] > further + 1]
    return same
