"""The sign-flip (randomisation) test of a mean paired difference, without random numbers.

Under the null hypothesis the sum of each cluster could as well have had the other sign. The distribution of
T = sum_g e_g s_g over all 2^G signs e_g is not sampled but computed: exactly where that is possible, else by a
saddlepoint approximation. So the p-value is the same every time, and it is never bounded by a number of resamples,
which a correction for many comparisons could make useless.

Exactly: whole-number sums by convolving binomial distributions; up to `EXACT` clusters by meeting in the middle
(Horowitz and Sahni 1974). Approximately: Lugannani and Rice 1980, with the clusters that dominate the sum enumerated,
since their two signs make the distribution bimodal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from .clusters import Clustered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Clusters up to which all signs are counted.
EXACT = 24
# A cluster with more than this share of the sum of squares is enumerated, up to so many of them.
DOMINANT_SHARE, MOST_DOMINANT = 0.05, 10
# Whole-number sums are convolved up to this total.
LATTICE = 200_000
# A p-value is never 0, only too small for a number.
SMALLEST = 1e-300
# Relative to the largest sum: what rounding may move a sum that is equal in exact arithmetic.
_ROUNDING = 1e-10
_SQRT_TWO_PI = math.sqrt(2 * math.pi)


def two_sided(sums: NDArray[np.float64]) -> float:
    """P(|T| >= |observed|) under random signs of the cluster sums; 1 where the observed total is 0."""
    total = abs(math.fsum(sums))
    return 1.0 if total == 0 else min(1.0, 2 * tail(sums, total))


def greater(sums: NDArray[np.float64]) -> float:
    """P(T >= observed): small where the sums are larger than chance makes them."""
    return tail(sums, math.fsum(sums))


def tail(sums: NDArray[np.float64], threshold: float) -> float:
    """P(sum_g e_g s_g >= threshold) with independent fair signs e_g."""
    import numpy as np

    sizes = np.abs(sums[sums != 0])
    reach = float(sizes.sum())
    slack = _ROUNDING * (reach or 1.0)
    if threshold <= -reach + slack:
        return 1.0
    if threshold > reach + slack:
        return 0.0
    if reach <= LATTICE and bool((sizes == np.rint(sizes)).all()):
        return _lattice_tail(sizes.astype(np.int64), threshold - slack)
    if len(sizes) <= EXACT:
        return _counted_tail(sizes, threshold - slack)
    return _approximate_tail(sizes, threshold)


def interval(data: Clustered, level: float = 0.95) -> tuple[float, float] | None:
    """The mean differences that the two-sided test at 1 - ``level`` does not reject.

    Inverts the test: a shift delta is in the interval if flipping the signs of S_g - m_g delta gives a p-value above
    1 - level. None where no shift can be rejected (too few clusters).
    """
    bounds = [bound(data, (1 - level) / 2, lower=lower) for lower in (True, False)]
    return None if bounds[0] is None or bounds[1] is None else (bounds[0], bounds[1])


def bound(data: Clustered, alpha: float, *, lower: bool) -> float | None:
    """The one-sided confidence bound at 1 - ``alpha`` from inverting the one-sided test; None if there is none."""
    import numpy as np

    sign = 1.0 if lower else -1.0
    sums, sizes, count = sign * data.sums, data.sizes, data.n
    if 2.0 ** -int((sizes > 0).sum()) > alpha:
        return None
    centre = math.fsum(sums) / count

    needed = normal_quantile(1 - alpha)

    def excess(shift: float) -> float:
        """How far the test of a mean of ``shift`` is from rejecting, in normal deviates: nearly linear in the shift."""
        return needed + normal_quantile(min(max(greater(sums - sizes * shift), SMALLEST), 1 - 1e-16))

    residuals = sums - sizes * centre
    spread = math.sqrt(float((residuals**2).sum())) / count
    if spread <= _ROUNDING * (abs(centre) + float(np.abs(sums).max(initial=0.0)) / count):
        return sign * centre
    # The normal approximation, with the spread that the shifted sums have; a hair to both sides is mostly enough.
    ratio = needed**2 * float((sizes**2).sum()) / count**2
    offset = needed * spread / math.sqrt(1 - ratio) if ratio < 0.9 else 4 * needed * spread
    high, low = centre - 0.99 * offset, centre - 1.01 * offset
    over, under = excess(high), excess(low)
    if over <= 0:
        (low, under), (high, over) = (high, over), (centre, excess(centre))
    while under > 0:
        (high, over), low, offset = (low, under), low - offset, 2 * offset
        under = excess(low)
        if offset > 1e12 * spread:
            return None
    return sign * _root(excess, (low, under), (high, over), 1e-5 * spread)


def _root(
    function: Callable[[float], float], below: tuple[float, float], above: tuple[float, float], tolerance: float
) -> float:
    """The last place where a rising function is not above 0, between two points given with their values.

    The Illinois variant of regula falsi (Dowell and Jarratt 1971), with bisection where a step function stalls it.
    """
    (low, under), (high, over) = below, above
    if over <= 0:
        return high
    for step in range(200):
        if high - low <= tolerance:
            break
        middle = low + (high - low) * (under / (under - over))
        if step % 4 == 3 or not low < middle < high:
            middle = (low + high) / 2
        value = function(middle)
        if abs(value) <= 1e-6:
            return middle
        if value > 0:
            high, over, under = middle, value, under / 2
        else:
            low, under, over = middle, value, over / 2
    return low


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


def _counted_tail(sizes: NDArray[np.float64], threshold: float) -> float:
    """Exact: signs of two halves are enumerated, and pairs of half sums that reach the threshold counted."""
    import numpy as np

    middle = len(sizes) // 2
    left, right = np.sort(_all_totals(sizes[:middle])), _all_totals(sizes[middle:])
    reached = len(left) - np.searchsorted(left, threshold - right, side="left")
    return float(reached.sum(dtype=np.float64)) / 2.0 ** len(sizes)


def _all_totals(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The totals of all 2^n choices of signs."""
    import numpy as np

    totals = np.zeros(1)
    for size in sizes:
        totals = np.concatenate([totals - size, totals + size])
    return totals


def _approximate_tail(sizes: NDArray[np.float64], threshold: float) -> float:
    """Mean over the signs of the dominant clusters of the saddlepoint tail of the others."""
    import numpy as np

    scale = math.sqrt(float((sizes**2).sum()))
    ordered = np.sort(sizes / scale)[::-1]
    dominant = min(MOST_DOMINANT, int((ordered**2 > DOMINANT_SHARE).sum()))
    targets = threshold / scale - _all_totals(ordered[:dominant])
    return float(saddlepoint_tails(ordered[dominant:], targets).mean())


def saddlepoint_tails(sizes: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(sum_g e_g s_g >= threshold) for each threshold by Lugannani and Rice's formula; all ``sizes`` positive.

    The cumulant generating function is K(t) = sum_g log cosh(t s_g). With K'(t) = threshold, w = sqrt(2 (t threshold -
    K(t))) and u = t sqrt(K''(t)): 1 - Phi(w) + phi(w) (1/u - 1/w).
    """
    import numpy as np

    reach, deviation = float(sizes.sum()), math.sqrt(float((sizes**2).sum()))
    distance = np.abs(thresholds)
    smallest = max(SMALLEST, 0.5 ** len(sizes))
    # The formula is 0/0 at the centre; the density there is that of the normal distribution to third order.
    upper = 0.5 - distance / (deviation * _SQRT_TWO_PI)
    beyond = distance >= reach
    upper[beyond] = np.where(distance[beyond] <= reach * (1 + _ROUNDING), smallest, 0.0)
    usual = ~beyond & (distance >= 1e-3 * deviation)
    if usual.any():
        upper[usual] = np.clip(_lugannani_rice(sizes, distance[usual]), smallest, 0.5)
    return np.where(thresholds < 0, 1.0 - upper, upper)


def _lugannani_rice(sizes: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    squares = sizes**2
    points = thresholds / squares.sum()
    curvatures = np.ones_like(points)
    for _ in range(100):
        # K' is concave for t > 0 and the start lies left of the root: Newton's steps approach it from the left.
        slopes = np.tanh(np.multiply.outer(points, sizes))
        curvatures = np.maximum((1 - slopes**2) @ squares, 1e-300)
        missing = thresholds - slopes @ sizes
        if (missing <= 1e-10 * thresholds).all():
            break
        points += np.where(missing > 0, missing / curvatures, 0.0)
    scaled = np.multiply.outer(points, sizes)
    cumulants = (scaled + np.log1p(np.exp(-2 * scaled))).sum(axis=1) - len(sizes) * math.log(2)
    roots = np.sqrt(np.maximum(2 * (points * thresholds - cumulants), 1e-300))
    steps = points * np.sqrt(curvatures)
    beyond = np.asarray([0.5 * math.erfc(root / math.sqrt(2)) for root in roots])
    return beyond + np.exp(-(roots**2) / 2) / _SQRT_TWO_PI * (1 / steps - 1 / roots)


def normal_quantile(probability: float) -> float:
    """The quantile of the standard normal distribution."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)
