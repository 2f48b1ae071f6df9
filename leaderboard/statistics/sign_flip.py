"""The sign-flip (randomisation) test of a mean paired difference, without random numbers.

Under the null hypothesis the sum of each cluster could as well have had the other sign. The distribution of
T = sum_g e_g s_g over all 2^G signs e_g is not sampled but computed: exactly where that is possible, else by a
saddlepoint approximation (`saddlepoint`). So the p-value is the same every time, and it is never bounded by a number of
resamples, which a correction for many comparisons could make useless.

Exactly: multiples of a common unit by convolving binomial distributions; up to `EXACT` clusters by meeting in the
middle (Horowitz and Sahni 1974). Arrays of sums have shape (..., G): a row a difference, as many as there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

from ...metrics.threads import one_thread
from .clusters import Summed
from .saddlepoint import (
    GRID_LEAST,
    LOOSEST,
    ROUNDING,
    SMALLEST,
    approximate_tails,
    coarse,
    grid_tail,
    units_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The quantile of the standard normal distribution, by its probability.
normal_quantile = NormalDist().inv_cdf
# Clusters up to which all signs are counted.
EXACT = 24
# Totals that differ by less than this share of the largest are equal: sums are rounded, so thirds add up to no whole.
# Of sums without a unit it takes a few of sixteen million totals for one.
TIES = 1e-6
# Whole-number sums are convolved up to this total.
LATTICE = 200_000
# A size with more than this share of the sum of squares is enumerated, up to so many of them: its two signs make the
# distribution bimodal, which no approximation near a normal one follows.
DOMINANT_SHARE, MOST_DOMINANT = 0.05, 10
# Numbers held at a time (1 MB, so that they stay in the cache of a core).
_BLOCK = 1 << 17
# Of differences whose intervals are found together (8 MB).
_TOGETHER = 1 << 20


def two_sided(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(|T| >= |observed|) under random signs of the cluster sums, shape (..., G) to (...); 1 for a total of 0."""
    import numpy as np

    return np.minimum(1.0, 2 * tail(sums, np.abs(sums.sum(axis=-1))))


def greater(sums: NDArray[np.float64]) -> float:
    """P(T >= observed): small where the sums are larger than chance makes them."""
    return float(tail(sums, math.fsum(sums)))


def tail(
    sums: NDArray[np.float64], threshold: NDArray[np.float64] | float, *, smooth: bool = False
) -> NDArray[np.float64]:
    """P(sum_g e_g s_g >= threshold) with independent fair signs e_g, shapes (..., G) and (...) to (...).

    Where ``smooth``, whether sums lie near a lattice is not looked at: so shifted sums are tested at many shifts.
    """
    import numpy as np

    sizes, thresholds = np.abs(np.atleast_2d(sums)), np.atleast_1d(np.asarray(threshold, np.float64))
    reach = sizes.sum(axis=1)
    slack = ROUNDING * np.where(reach > 0, reach, 1.0)
    found = np.where(thresholds <= slack - reach, 1.0, 0.0)
    inside = (thresholds > slack - reach) & (thresholds <= reach + slack)
    whole = (reach <= LATTICE) & (sizes == np.rint(sizes)).all(axis=1)
    few = np.count_nonzero(sizes, axis=1) <= EXACT
    # Shifted sums are not rounded.
    loose = slack if smooth else TIES * reach
    for row in np.flatnonzero(inside & (whole | few)):
        used, least = sizes[row][sizes[row] > 0], float(thresholds[row])
        if whole[row]:
            found[row] = _lattice_tail(used.astype(np.int64), least - float(slack[row]))
        else:
            found[row] = counted_tail(used, least - float(loose[row]))
    others = np.flatnonzero(inside & ~whole & ~few)
    if len(others):
        tails = sign_tails(sizes[others], thresholds[others])
        found[others] = tails if smooth else _stepped(sizes[others], thresholds[others], tails)
    return found.reshape(np.shape(threshold))


def _stepped(
    sizes: NDArray[np.float64], thresholds: NDArray[np.float64], tails: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The approximate tails of rows, but where sums have a common unit, or lie near a lattice: shape (P, G) to (P,)."""
    import numpy as np

    units = units_of(sizes, LATTICE)
    for row in np.flatnonzero(units > 0):
        counts = np.rint(sizes[row] / units[row]).astype(np.int64)
        # Sums that were rounded, as multiples of fractions are, are known to less.
        tails[row] = _lattice_tail(counts[counts > 0], float(thresholds[row] / units[row]) - LOOSEST)
    smooth = np.flatnonzero(units == 0)
    for row in smooth[coarse(sizes[smooth])]:
        chance = grid_tail(sizes[row], float(thresholds[row]))
        # So far out the grid knows nothing, and the approximation is right.
        tails[row] = chance if chance > GRID_LEAST else tails[row]
    return tails


def interval(data: Summed, level: float = 0.95) -> tuple[float, float] | None:
    """The mean differences that the two-sided test at 1 - ``level`` does not reject.

    Inverts the test: a shift delta is in the interval if flipping the signs of S_g - m_g delta gives a p-value above
    1 - level. None where no shift can be rejected (too few clusters).
    """
    return intervals([data], [level])[0]


def intervals(
    data: Sequence[Summed], levels: Sequence[float], p: Sequence[float] | None = None
) -> list[tuple[float, float] | None]:
    """`interval` of each at its own level; ``p`` are the two-sided p-values of 0, where they are known.

    Differences over the same clusters are inverted together. That changes no bit, and takes a fraction of the time.
    """
    import numpy as np

    alike: dict[bytes, list[int]] = {}
    for place, each in enumerate(data):
        alike.setdefault(each.sizes.tobytes(), []).append(place)
    found: list[tuple[float, float] | None] = [None] * len(data)
    for members in alike.values():
        sizes = data[members[0]].sizes
        height = max(1, _TOGETHER // len(sizes))
        for start in range(0, len(members), height):
            places = members[start : start + height]
            sums = np.array([data[place].sums for place in places])
            alphas = np.array([(1 - levels[place]) / 2 for place in places])
            chances = two_sided(sums) if p is None else np.array([p[place] for place in places])
            low, high = _both_bounds(sums, sizes, alphas, chances)
            for place, *ends in zip(places, low.tolist(), high.tolist(), strict=True):
                found[place] = None if math.isnan(ends[0]) or math.isnan(ends[1]) else (ends[0], ends[1])
    return found


def bounds(sums: NDArray[np.float64], sizes: NDArray[np.float64], alpha: float, *, lower: bool) -> NDArray[np.float64]:
    """One-sided confidence bounds at 1 - ``alpha`` from inverting the one-sided test; NaN where there is none.

    Of each row of sums over the same clusters of ``sizes``, shapes (P, G) and (G,) to (P,).

    A bound leaves 0 out exactly where the test of the sums as they are rejects it: totals that are equal by chance, as
    those of whole numbers are, count there, and at no shift beside it.
    """
    import numpy as np

    sign = 1.0 if lower else -1.0
    turned = sign * sums
    ends = _lower_bounds(turned, sizes, np.full(len(sums), alpha), tail(turned, turned.sum(axis=1)) <= alpha)
    return sign * ends


def _both_bounds(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], alphas: NDArray[np.float64], p: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lower and the upper bounds of `bounds`, each row at its own level; ``p`` are two-sided."""
    import numpy as np

    # The test of a total of the other sign, or of 0, has a chance of a half or more: at no level does it reject.
    rejected, totals = p / 2 <= alphas, sums.sum(axis=1)
    turned = np.concatenate([sums, -sums])
    sides = np.concatenate([rejected & (totals > 0), rejected & (totals < 0)])
    low, high = np.split(_lower_bounds(turned, sizes, np.concatenate([alphas, alphas]), sides), 2)
    return low, -high


def _lower_bounds(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], alphas: NDArray[np.float64], rejected: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Lower bounds of rows at 1 - ``alphas``; ``rejected`` are those whose test of the sums as they are rejects 0."""
    import numpy as np

    ends, count = np.full(len(sums), np.nan), float(sizes.sum())
    bounded = 2.0 ** -int((sizes > 0).sum()) <= alphas
    centres = sums.sum(axis=1) / count
    spreads = np.sqrt(((sums - sizes * centres[:, None]) ** 2).sum(axis=1)) / count
    varied = spreads > ROUNDING * (np.abs(centres) + np.abs(sums).max(axis=1, initial=0.0) / count)
    ends[bounded & ~varied] = centres[bounded & ~varied]
    rows = np.flatnonzero(bounded & varied)
    needed = np.array([normal_quantile(1 - alpha) for alpha in alphas[rows].tolist()])

    def excess(members: NDArray[np.intp], shifts: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far the test of a mean of ``shifts`` is from rejecting, in normal deviates: nearly linear in shifts."""
        moved = sums[rows[members]] - sizes * shifts[:, None]
        chances = np.clip(tail(moved, moved.sum(axis=1), smooth=True), SMALLEST, 1 - 1e-16)
        return needed[members] + np.array([normal_quantile(chance) for chance in chances.tolist()])

    # The normal approximation, with the spread that the shifted sums have.
    ratios = needed**2 * float((sizes**2).sum()) / count**2
    offsets = needed * spreads[rows] * np.where(ratios < 0.9, 1 / np.sqrt(1 - np.minimum(ratios, 0.9)), 4.0)
    # What is counted out is a step function: it may stay at or near 0 from one step to the next.
    close = 0.0 if len(sizes) <= EXACT else 1e-6
    ends[rows] = _roots(excess, centres[rows], offsets, 1e-5 * spreads[rows], close)
    ends = np.where(bounded & ~rejected & (ends > 0), 0.0, ends)
    return np.where(bounded & rejected & (ends <= 0), 1e-5 * spreads, ends)


def _roots(
    function: Callable[[NDArray[np.intp], NDArray[np.float64]], NDArray[np.float64]],
    centres: NDArray[np.float64],
    offsets: NDArray[np.float64],
    tolerances: NDArray[np.float64],
    close: float,
) -> NDArray[np.float64]:
    """Where each of some rising functions is last not above 0, near its centre less its offset; NaN where nowhere.

    ``function`` maps positions and arguments to values; at the centres they are above 0. A value nearer to 0 than
    ``close`` is taken for 0. The Illinois variant of regula falsi (Dowell and Jarratt 1971), with bisection where a
    step function stalls it.
    """
    import numpy as np

    everyone = np.arange(len(centres))
    high, low, width = centres - 0.99 * offsets, centres - 1.01 * offsets, offsets.copy()
    over, under = function(everyone, high), function(everyone, low)
    wrong = np.flatnonzero(over <= 0)
    if len(wrong):
        low[wrong], under[wrong], high[wrong] = high[wrong], over[wrong], centres[wrong]
        over[wrong] = function(wrong, high[wrong])
    wrong = np.flatnonzero(under > 0)
    while len(wrong):
        high[wrong], over[wrong] = low[wrong], under[wrong]
        low[wrong] -= width[wrong]
        width[wrong] *= 2
        under[wrong] = function(wrong, low[wrong])
        wrong = wrong[under[wrong] > 0]
        endless = wrong[width[wrong] > 1e17 * tolerances[wrong]]
        low[endless] = np.nan
        wrong = np.setdiff1d(wrong, endless)
    roots, side = low.copy(), np.zeros(len(centres))
    active = np.flatnonzero(~np.isnan(low) & (over > 0))
    for step in range(200):
        active = active[high[active] - low[active] > tolerances[active]]
        if not len(active):
            break
        a, b, f, g = low[active], high[active], under[active], over[active]
        middle = a + (b - a) * (f / (f - g))
        middle = np.where((step % 4 == 3) | (middle <= a) | (middle >= b), (a + b) / 2, middle)
        values = function(active, middle)
        above = values > 0
        # An end that stays a second time counts half, so that the other does not creep.
        again = np.where(above, side[active] > 0, side[active] < 0)
        kept = np.where(again, 0.5, 1.0)
        high[active], over[active] = np.where(above, middle, b), np.where(above, values, g * kept)
        low[active], under[active] = np.where(above, a, middle), np.where(above, f * kept, values)
        side[active] = np.where(above, 1.0, -1.0)
        roots[active] = np.where(np.abs(values) < close, middle, low[active])
        active = active[np.abs(values) >= close]
    return roots


def _lattice_tail(sizes: NDArray[np.int64], threshold: float) -> float:
    """Exact for whole-number sums: T = sum_k k (2 B_k - n_k), B_k binomial, n_k clusters of absolute sum k."""
    import numpy as np

    values, counts = np.unique(sizes, return_counts=True)
    heads = np.ones(1)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        spaced = np.zeros(value * count + 1)
        spaced[::value] = _binomial(count)
        heads = _convolved(heads, spaced)
    # Position h stands for the total 2 h - reach.
    first = max(0, math.ceil((threshold + int(sizes.sum())) / 2))
    return float(min(1.0, heads[first:][::-1].sum()))


def _binomial(count: int) -> NDArray[np.float64]:
    """Probabilities of 0 to ``count`` heads of fair coins."""
    import numpy as np

    steps = np.arange(1, count + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((count - steps + 1) / steps))]) - count * math.log(2)
    return np.exp(logs)


def _convolved(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolution by shifting the one with fewer entries that are not 0: no error of a transform in far tails."""
    import numpy as np

    few, many = (left, right) if np.count_nonzero(left) < np.count_nonzero(right) else (right, left)
    result = np.zeros(len(left) + len(right) - 1)
    for position in np.flatnonzero(few):
        result[position : position + len(many)] += few[position] * many
    return result


def counted_tail(sizes: NDArray[np.float64], threshold: float) -> float:
    """Exact: signs of two halves are enumerated, and pairs of half sums that reach the threshold counted."""
    import numpy as np

    middle = len(sizes) // 2
    left, right = np.sort(sign_totals(sizes[None, :middle])[0]), sign_totals(sizes[None, middle:])[0]
    reached = len(left) - np.searchsorted(left, threshold - right, side="left")
    return float(reached.sum(dtype=np.float64)) / 2.0 ** len(sizes)


@one_thread()
def sign_tails(sizes: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(sum_g e_g s_g >= threshold) row by row, shapes (P, G) and (P,) to (P,); ``sizes`` are not negative.

    The mean over the signs of the dominant sizes of the saddlepoint tail of the others.
    """
    import numpy as np

    scale = np.sqrt(np.einsum("pg,pg->p", sizes, sizes))
    shares = sizes / scale[:, None]
    targets = thresholds / scale
    dominant = np.minimum((shares**2 > DOMINANT_SHARE).sum(axis=1), MOST_DOMINANT)
    tails = np.empty(len(sizes))
    for count in np.unique(dominant).tolist():
        members = np.flatnonzero(dominant == count)
        height = max(1, (_BLOCK >> count) // sizes.shape[1])
        for start in range(0, len(members), height):
            rows = members[start : start + height]
            ordered = -np.partition(-shares[rows], count - 1, axis=1) if count else shares[rows]
            wanted = targets[rows, None] - sign_totals(ordered[:, :count])
            tails[rows] = approximate_tails(ordered[:, count:], wanted).mean(axis=1)
    return tails


def sign_totals(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The totals of all 2^n choices of signs, shape (P, n) to (P, 2^n)."""
    import numpy as np

    totals = np.zeros((len(sizes), 1))
    for size in sizes.T[:, :, None]:
        totals = np.concatenate([totals - size, totals + size], axis=1)
    return totals
