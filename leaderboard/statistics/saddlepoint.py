"""Tail probabilities of sums with random signs: of coarse sums on a grid, of others by a saddlepoint approximation.

T = sum_g e_g s_g with fair signs e_g has the cumulant generating function K(t) = sum_g log cosh(t s_g). With K'(t) =
threshold, w = sqrt(2 (t threshold - K(t))) and u = t sqrt(K''(t)), the tail is 1 - Phi(w) + phi(w) (1/u - 1/w)
(Lugannani and Rice 1980). It takes totals for continuous. Where they lie near the points of a lattice, they are not:
there a whole step more or less is in the tail. Cramer's condition tells where (`coarse`): E exp(i t T) = prod_g
cos(t s_g) comes back near 1 far from t = 0. The distribution of such sums is convolved on a fine grid (`grid_tail`).
What has a common unit is known exactly (`units_of`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A p-value is never 0, only too small for a number.
SMALLEST = 1e-300
# Relative to the largest sum: what rounding may move a sum that is equal in exact arithmetic.
ROUNDING = 1e-10
# Sums of up to so many clusters are looked at for a lattice: of more, a step is small.
COARSE = 150
# Arguments t, in standard deviations of T, at which its characteristic function is looked at, and what is far from 0.
_FIRST, _LAST, _RETURNS = 4.0, 80.0, 0.02
# The grid's points, and the standard deviations from end to end.
_POINTS, _WIDTH = 1 << 15, 16.0
# Units are looked for among so many parts of the smallest sum; what rounding may leave, relative to the largest.
_PARTS, _LOOSE, LOOSEST = 12, 1e-6, 0.01
_FINE = 100
_DECIMALS = (0.1, 0.05, 0.01, 0.001)
# A chance that the grid gives is trusted down to here.
GRID_LEAST = 1e-9
_SQRT_TWO_PI = math.sqrt(2 * math.pi)


def approximate_tails(sizes: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(sum_g e_g s_g >= threshold) for each threshold of a row, shapes (P, G) and (P, T) to (P, T)."""
    import numpy as np

    reach = sizes.sum(axis=1)[:, None]
    deviation = np.sqrt((sizes**2).sum(axis=1))[:, None]
    smallest = np.maximum(SMALLEST, 0.5 ** np.count_nonzero(sizes, axis=1))[:, None]
    distance = np.abs(thresholds)
    usual = (distance < reach) & (distance >= 1e-3 * deviation)
    # Where the formula is not used, it is computed for some point within reach and thrown away.
    formula = np.clip(
        _lugannani_rice(sizes, np.where(usual, distance, np.minimum(deviation, 0.5 * reach))), smallest, 0.5
    )
    # The formula is 0/0 at the centre; the density there is that of the normal distribution to third order.
    upper = np.where(usual, formula, 0.5 - distance / (deviation * _SQRT_TWO_PI))
    beyond = distance >= reach
    upper = np.where(beyond, np.where(distance <= reach * (1 + ROUNDING), smallest, 0.0), upper)
    return np.where(thresholds < 0, 1.0 - upper, upper)


def _lugannani_rice(sizes: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    squares = sizes**2
    points = thresholds / squares.sum(axis=1)[:, None]
    curvatures = np.ones_like(points)
    # A row stops when it has come close enough: so it never depends on what others are computed beside it.
    moving, own, own_squares, wanted = np.arange(len(sizes)), sizes, squares, thresholds
    for _ in range(100):
        # K' is concave for t > 0 and the start lies left of the root: Newton's steps approach it from the left.
        slopes = np.tanh(points[moving][:, :, None] * own[:, None, :])
        missing = wanted - (slopes @ own[:, :, None])[:, :, 0]
        np.square(slopes, out=slopes)
        np.subtract(1.0, slopes, out=slopes)
        curvatures[moving] = np.maximum((slopes @ own_squares[:, :, None])[:, :, 0], 1e-300)
        far = ~(missing <= 1e-10 * wanted).all(axis=1)
        if not far.any():
            break
        steps = np.where(missing > 0, missing / curvatures[moving], 0.0)
        if not far.all():
            moving, steps = moving[far], steps[far]
            own, own_squares, wanted = own[far], own_squares[far], wanted[far]
        points[moving] += steps
    scaled = points[:, :, None] * sizes[:, None, :]
    logs = np.log1p(np.exp(-2 * scaled)).sum(axis=2)
    cumulants = points * sizes.sum(axis=1)[:, None] + logs - sizes.shape[1] * math.log(2)
    roots = np.sqrt(np.maximum(2 * (points * thresholds - cumulants), 1e-300))
    steps = points * np.sqrt(curvatures)
    beyond = np.array([0.5 * math.erfc(root / math.sqrt(2)) for root in roots.ravel().tolist()]).reshape(roots.shape)
    return beyond + np.exp(-(roots**2) / 2) / _SQRT_TWO_PI * (1 / steps - 1 / roots)


def units_of(sizes: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """The unit that all sizes of a row are whole multiples of, shape (P, G) to (P,); 0 where there is none.

    Scores in quarters or of two decimals have one, and so have edits over words. ``most`` units in all are looked for,
    at most: parts of the smallest size, then decimals. A unit below a hundredth of the standard deviation of T is none:
    so small a step moves a p-value of 0.05 by 2 % of itself, at most, and there are many to convolve.
    """
    import numpy as np

    largest, reach = sizes.max(axis=1, initial=0.0), sizes.sum(axis=1)
    deviation = np.sqrt(np.einsum("pg,pg->p", sizes, sizes))
    smallest = np.where(sizes > ROUNDING * largest[:, None], sizes, np.inf).min(axis=1, initial=np.inf)
    found = np.where((reach <= most) & (sizes == np.rint(sizes)).all(axis=1), 1.0, 0.0)

    def divided(rows: NDArray[np.intp], units: NDArray[np.float64], columns: slice) -> NDArray[np.bool_]:
        ratios, loose = sizes[rows, columns] / units[:, None], _LOOSE * largest[rows] / units
        return (np.abs(ratios - np.rint(ratios)) <= np.minimum(loose, LOOSEST)[:, None]).all(axis=1)

    everywhere = np.where(np.isfinite(smallest), smallest, 1.0)
    for units in (*(everywhere / part for part in range(1, _PARTS + 1)), *(0.0 * reach + unit for unit in _DECIMALS)):
        rows = np.flatnonzero((found == 0) & (largest > 0) & (reach <= most * units) & (deviation <= _FINE * units))
        # A glance at a few sizes tells of most rows that this is not it.
        for columns in (slice(0, 16), slice(None)):
            rows = rows[divided(rows, units[rows], columns)]
        found[rows] = units[rows]
    return found


def coarse(sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Does the characteristic function of sum_g e_g s_g come back far from 0? Shape (P, G) to (P,)."""
    import numpy as np

    if sizes.shape[1] > COARSE:
        return np.zeros(len(sizes), bool)
    scaled = (sizes / np.sqrt((sizes**2).sum(axis=1))[:, None]).astype(np.float32)
    arguments = np.arange(_FIRST, _LAST, dtype=np.float32)[:, None]
    return np.array([np.abs(np.cos(arguments * row).prod(axis=1)).max() > _RETURNS for row in scaled], bool)


def grid_tail(sizes: NDArray[np.float64], threshold: float) -> float:
    """P(sum_g e_g s_g >= threshold) with sums rounded to 1/2048 of its standard deviation, all of them convolved.

    Each sum is rounded so that it makes up for what was rounded before. What lies beyond eight standard deviations is
    lost: so far out the other approximation is right.
    """
    import numpy as np

    step = _WIDTH * math.sqrt(float((sizes**2).sum())) / _POINTS
    places = np.diff(np.rint(np.cumsum(np.sort(sizes)) / step), prepend=0.0).astype(np.int64)
    chances = np.zeros(_POINTS + 1)
    chances[_POINTS // 2] = 1.0
    for place in places.tolist():
        if place:
            moved = np.zeros_like(chances)
            moved[place:] = chances[:-place]
            moved[:-place] += chances[place:]
            chances = 0.5 * moved
    first = math.ceil(threshold / step - 0.5) + _POINTS // 2
    return float(chances[max(0, first) :].sum())
