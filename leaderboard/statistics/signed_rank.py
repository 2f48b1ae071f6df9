"""Wilcoxon's signed-rank test, exact with ties, and the effect sizes that belong to it.

The test asks whether paired differences are symmetric about 0, not whether their mean is 0: many small gains and a few
disasters pass it. So it stands beside the sign-flip test of the mean, never in its place.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Differences other than 0 up to which the null distribution is counted out.
EXACT = 200
# A p-value is never 0, only too small for a number.
SMALLEST = 1e-300
# Averages of so many different values are made one by one; of more they are counted.
_FEW_DISTINCT = 200
# They are counted so often at most before those left, so many for each value, are made; and never more than these.
_CLOSING, _FEW_AVERAGES, _MOST_AVERAGES = 40, 4, 1 << 21
# A first guess is made from averages of so many values: the one in its place, and so many places to either side.
_SOME, _ROOM = 80, 40
# Numbers held at a time (half a MB).
_BLOCK = 1 << 17


@dataclass(frozen=True)
class SignedRank:
    """Rank sums of positive and negative differences, the p-value, and how it was got (``exact`` or ``normal``).

    ``rank_biserial`` is (W+ - W-) / (W+ + W-), -1 to 1; None where every difference is 0. Source: Kerby 2014.
    """

    positive: float
    negative: float
    n_nonzero: int
    p: float
    method: str
    rank_biserial: float | None


def signed_rank(differences: NDArray[np.float64]) -> SignedRank:
    """The two-sided test of symmetry about 0; differences of 0 are dropped. Source: Wilcoxon 1945.

    Exact for up to `EXACT` differences other than 0, by counting sign patterns of the mid-ranks. Beyond that the normal
    approximation with the variance corrected for ties, without continuity correction. All differences 0: p = 1. Equal
    values have to be equal to the last bit: round first.
    """
    import numpy as np

    values = np.asarray(differences, np.float64)
    used = values[values != 0]
    if not len(used):
        return SignedRank(0.0, 0.0, 0, 1.0, "exact", None)
    # Of each distinct magnitude, in order: how many differences there are, and how many of them are positive.
    _, places, counts = np.unique(np.abs(used), return_inverse=True, return_counts=True)
    positive_counts = np.bincount(places, weights=used > 0)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0
    positive = float((ranks * positive_counts).sum())
    negative = float((ranks * (counts - positive_counts)).sum())
    if len(used) <= EXACT:
        # Doubled, the mid-ranks are whole numbers, and their sums over all 2^n signs can be counted.
        chances = _chances(tuple(np.repeat(np.rint(2 * ranks).astype(np.int64), counts).tolist()))
        place = round(2 * positive)
        upper, lower = float(chances[place:][::-1].sum()), float(chances[: place + 1].sum())
        p, method = min(1.0, 2 * min(upper, lower)), "exact"
    else:
        # Under the null each rank joins W+ with probability 1/2: variance is the sum of squared ranks over 4.
        variance = float((ranks**2 * counts).sum()) / 4
        p, method = _normal(positive - (positive + negative) / 2, math.sqrt(variance)), "normal"
    return SignedRank(positive, negative, len(used), p, method, (positive - negative) / (positive + negative))


def signed_ranks(differences: NDArray[np.float64], decimals: int = 9) -> NDArray[np.float64]:
    """P-values of `signed_rank`, row by row, shape (P, n) to (P,).

    Differences are rounded to so many ``decimals`` first, and sorted as whole numbers whose last bit is the sign; ranks
    and ties are then sums over the places where the magnitude changes.
    """
    import numpy as np

    count, width = differences.shape
    height = max(1, min(count, _BLOCK // max(1, width)))
    scale = 10.0**decimals
    largest = max(differences.max(initial=0.0), -differences.min(initial=0.0)) * scale
    narrow = largest < 1 << 30 and width < 1 << 16
    # Made once for all blocks: to give memory back and ask for it again costs more than what is done in it.
    units, keys = np.empty((height, width)), np.empty((height, width), np.int32 if narrow else np.int64)
    spare, p = np.empty_like(keys), np.empty(count)
    for start in range(0, count, height):
        block = slice(start, min(start + height, count))
        size = block.stop - start
        rounded, ordered, room = units[:size], keys[:size], spare[:size]
        np.rint(np.multiply(differences[block], scale, out=rounded), out=rounded)
        np.copyto(ordered, rounded, casting="unsafe")
        # 2 |x| for negative numbers, 2 |x| + 1 for others.
        np.right_shift(ordered, 63 if ordered.itemsize == 8 else 31, out=room)
        ordered <<= 1
        ordered ^= room
        ordered += 1
        ordered.sort(axis=1)
        nonzero, positive, ties = _rank_sums(ordered, room)
        variance = nonzero * (nonzero + 1) * (2 * nonzero + 1) / 24 - ties / 48
        deviation = positive - nonzero * (nonzero + 1) / 4
        for row in range(size):
            if nonzero[row] > EXACT:
                p[start + row] = _normal(float(deviation[row]), math.sqrt(variance[row]))
            else:
                p[start + row] = signed_rank(rounded[row]).p
    return p


def _rank_sums(
    keys: NDArray[np.signedinteger], room: NDArray[np.signedinteger]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How many are not zero, rank sum of the positive ones, sum of t^3 - t over ties: of the sorted rows of the above.

    ``room`` is an array like ``keys`` to work in.
    """
    import numpy as np

    height, width = keys.shape
    changes = np.ones(keys.size + 1, bool)
    flat, spare = keys.ravel(), room.ravel()
    np.bitwise_xor(flat[1:], flat[:-1], out=spare[1:])
    np.greater(spare[1:], 1, out=changes[1:-1])
    changes[::width] = True
    starts = np.flatnonzero(changes)
    sizes = np.diff(starts)
    first = np.searchsorted(starts, np.arange(height) * width)
    zeros = np.where(keys[:, 0] == 1, sizes[first], 0).astype(np.float64)
    nonzero = width - zeros
    np.bitwise_and(keys, 1, out=room)
    np.cumsum(spare, out=spare)
    counts = np.append(0, room[:, -1])
    ups = np.diff(counts)
    # As if there were no ties, the positive ones having the upper places among those that they are tied with; the
    # zeros, which count as positive, have the lowest.
    # Sums of places fit in 31 bits below 2^16 places, and what the running count of other rows adds goes modulo 2^32.
    later = room.sum(axis=1, dtype=room.dtype) - (width * counts[:-1]).astype(room.dtype)
    positive = (width + 1.0) * ups - later - zeros * (zeros + 1) / 2 - zeros * (ups - zeros)
    tied = np.flatnonzero(sizes > 1)
    starts, sizes = starts[tied], sizes[tied].astype(np.float64)
    rows = starts // width
    among = spare[starts + sizes.astype(np.intp) - 1] - np.where(starts > 0, spare[starts - 1], 0)
    # So many places too high on average, against the mid-rank: half of the others in the group.
    positive -= np.bincount(rows, weights=among * (sizes - among) / 2, minlength=height)
    ties = np.bincount(rows, weights=sizes * sizes * sizes - sizes, minlength=height)
    return nonzero, positive, ties - (zeros**3 - zeros)


@lru_cache(maxsize=16)
def _chances(doubled: tuple[int, ...]) -> NDArray[np.float64]:
    """Probability of each sum of a random subset of these numbers; many pairs of runs have the same ones."""
    import numpy as np

    # Numbers of sign patterns: 2^200 at most, far from the largest number there is.
    patterns, reach = np.zeros(sum(doubled) + 1), 0
    patterns[0] = 1.0
    for rank in doubled:
        patterns[rank : reach + rank + 1] += patterns[: reach + 1].copy()
        reach += rank
    return patterns * 0.5 ** len(doubled)


def _normal(deviation: float, spread: float) -> float:
    """Two-sided p of a normal deviate."""
    return max(SMALLEST, math.erfc(abs(deviation / spread) / math.sqrt(2)))


def hodges_lehmann(differences: NDArray[np.float64]) -> float:
    """Median of all averages of two differences, each with itself included. Source: Hodges and Lehmann 1963.

    Exact without making all n (n + 1) / 2 averages: those of equal differences are counted, and where many differ,
    those below a value are counted by binary search.
    """
    import numpy as np

    values = np.sort(np.asarray(differences, np.float64)) + 0.0
    count = len(values)
    total = count * (count + 1) // 2
    low_rank, high_rank = (total + 1) // 2, total // 2 + 1
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= _FEW_DISTINCT:
        one, other = np.triu_indices(len(distinct))
        averages = (distinct[one] + distinct[other]) / 2
        order = np.argsort(averages, kind="stable")
        ways = np.where(one == other, counts[one] * (counts[one] + 1) // 2, counts[one] * counts[other])[order]
        places = np.searchsorted(np.cumsum(ways), [low_rank, high_rank])
        return float(averages[order[places]].sum() / 2)
    below = np.concatenate([[0], np.cumsum(counts)])

    places, own = np.arange(len(distinct)), counts * (counts + 1) // 2

    def not_above(limit: float) -> int:
        """How many averages are at most the limit: of each value with itself and its equals, and with later ones."""
        reached = np.searchsorted(distinct, 2 * limit - distinct, side="right")
        later = np.maximum(0, below[reached] - below[1:])
        return int((counts * later + np.where(reached > places, own, 0)).sum())

    low, high = _bracket(values, not_above, low_rank)
    first = _walsh_average(values, not_above, low_rank, low, high)
    if not_above(first) >= high_rank:
        return first
    # The next average is the least above this one.
    high = high if not_above(high) >= high_rank else float(values[-1])
    return (first + _walsh_average(values, not_above, high_rank, first, high)) / 2


def _bracket(values: NDArray[np.float64], not_above: Callable[[float], int], rank: int) -> tuple[float, float]:
    """Numbers between which the average of this rank is, above the first and up to the second, with few others.

    The first guess is from averages of some of the sorted values; then the bounds close in by what is counted between.
    """
    import numpy as np

    low, high = float(values[0]), float(values[-1])
    total = len(values) * (len(values) + 1) // 2
    below, within = 0, total
    some = values[np.linspace(0, len(values) - 1, _SOME).astype(np.intp)]
    one, other = np.triu_indices(_SOME)
    averages = np.sort(some[one] + some[other]) / 2
    guess = rank / total * (len(averages) - 1)
    guesses = [averages[int(min(max(0.0, guess + room), len(averages) - 1.0))] for room in (-_ROOM, _ROOM)]
    for step in range(_CLOSING):
        if within - below <= _FEW_AVERAGES * len(values):
            break
        if guesses:
            middle = float(guesses.pop())
        else:
            share, width = (rank - below) / (within - below), high - low
            # To either side of where the average should be, in turn, so that both bounds close in.
            share = 0.5 if step % 4 == 3 else share + (0.02 if step % 2 else -0.02)
            middle = low + width * min(0.99, max(0.01, share))
        # Between most pairs of runs many items do not differ.
        middle = 0.0 if low < 0.0 < high and abs(middle) < 1e-12 * (high - low) else middle
        if not low < middle < high:
            continue
        found = not_above(middle)
        if found >= rank:
            high, within = middle, found
        else:
            low, below = middle, found
    return low, high


def _walsh_average(
    values: NDArray[np.float64], not_above: Callable[[float], int], rank: int, low: float, high: float
) -> float:
    """The average of two of the sorted values that has this rank among all, from 1: the least with so many at most it.

    It is above ``low``, or that, and at most ``high``. A last search among neighbouring numbers makes sure of the bit.
    """
    import numpy as np

    if (below := not_above(low)) >= rank:
        return low
    counted = not_above
    found = _pairs_between(values, low, high)
    if found is not None:
        one, other = found
        averages = (one + other) / 2
        guess = float(np.partition(averages, rank - below - 1)[rank - below - 1]) if rank - below <= len(one) else high
        # What is counted between the bounds changes by these pairs alone; rounding of the larger values moves it.
        room = 4 * float(np.spacing(np.abs(values[[0, -1]]).max()))

        def among(limit: float) -> int:
            return below + int(np.count_nonzero(other <= 2 * limit - one))

        counted = among
        for end in (guess - room, 0.0, guess + room):
            if low < end < high:
                low, high = (low, end) if counted(end) >= rank else (end, high)
    bottom, top = _ordinal(low), _ordinal(high)
    # Half of the numbers between, not of the distance: 0 is far from every other number in bits.
    while top - bottom > 1:
        middle = (bottom + top) // 2
        if counted(_numbered(middle)) >= rank:
            top = middle
        else:
            bottom = middle
    return _numbered(top)


def _pairs_between(
    values: NDArray[np.float64], low: float, high: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The pairs of sorted values with an average above ``low`` and up to ``high``; None where they are many."""
    import numpy as np

    places = np.arange(len(values))
    # Each value with itself and with later ones.
    start = np.maximum(np.searchsorted(values, 2 * low - values, side="right"), places)
    counts = np.maximum(np.searchsorted(values, 2 * high - values, side="right"), start) - start
    total = int(counts.sum())
    if total > _MOST_AVERAGES:
        return None
    other = np.arange(total) + np.repeat(start - (np.cumsum(counts) - counts), counts)
    return np.repeat(values, counts), values[other]


def _ordinal(value: float) -> int:
    """The place of a number among all that a computer knows, 0 for 0."""
    (bits,) = struct.unpack("<q", struct.pack("<d", abs(value)))
    return bits if value >= 0 else -bits


def _numbered(place: int) -> float:
    """The number at a place (`_ordinal`)."""
    (value,) = struct.unpack("<d", struct.pack("<q", abs(place)))
    return value if place >= 0 else -value
