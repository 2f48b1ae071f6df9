"""Tail probabilities of sums with random signs, by a saddlepoint approximation, many sums at a time.

T = sum_g e_g s_g with fair signs e_g has the cumulant generating function K(t) = sum_g log cosh(t s_g). With K'(t) =
threshold, w = sqrt(2 (t threshold - K(t))) and u = t sqrt(K''(t)), the tail is 1 - Phi(w) + phi(w) (1/u - 1/w)
(Lugannani and Rice 1980). Sizes that dominate the sum are enumerated, since their two signs make the distribution
bimodal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...metrics.threads import one_thread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A size with more than this share of the sum of squares is enumerated, up to so many of them.
DOMINANT_SHARE, MOST_DOMINANT = 0.05, 10
# A p-value is never 0, only too small for a number.
SMALLEST = 1e-300
# Relative to the largest sum: what rounding may move a sum that is equal in exact arithmetic.
ROUNDING = 1e-10
# Numbers held at a time (1 MB, so that they stay in the cache of a core).
_BLOCK = 1 << 17
_SQRT_TWO_PI = math.sqrt(2 * math.pi)


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
            tails[rows] = _tails(ordered[:, count:], wanted).mean(axis=1)
    return tails


def sign_totals(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The totals of all 2^n choices of signs, shape (P, n) to (P, 2^n)."""
    import numpy as np

    totals = np.zeros((len(sizes), 1))
    for size in sizes.T[:, :, None]:
        totals = np.concatenate([totals - size, totals + size], axis=1)
    return totals


def _tails(sizes: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
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

    rows, squares = sizes[:, :, None], (sizes**2)[:, :, None]
    points = thresholds / squares.sum(axis=1)
    curvatures = np.ones_like(points)
    for _ in range(100):
        # K' is concave for t > 0 and the start lies left of the root: Newton's steps approach it from the left.
        slopes = np.tanh(points[:, :, None] * sizes[:, None, :])
        missing = thresholds - (slopes @ rows)[:, :, 0]
        np.square(slopes, out=slopes)
        np.subtract(1.0, slopes, out=slopes)
        curvatures = np.maximum((slopes @ squares)[:, :, 0], 1e-300)
        if (missing <= 1e-10 * thresholds).all():
            break
        points += np.where(missing > 0, missing / curvatures, 0.0)
    scaled = points[:, :, None] * sizes[:, None, :]
    logs = np.log1p(np.exp(-2 * scaled)).sum(axis=2)
    cumulants = points * sizes.sum(axis=1)[:, None] + logs - sizes.shape[1] * math.log(2)
    roots = np.sqrt(np.maximum(2 * (points * thresholds - cumulants), 1e-300))
    steps = points * np.sqrt(curvatures)
    beyond = np.array([0.5 * math.erfc(root / math.sqrt(2)) for root in roots.ravel().tolist()]).reshape(roots.shape)
    return beyond + np.exp(-(roots**2) / 2) / _SQRT_TWO_PI * (1 / steps - 1 / roots)
