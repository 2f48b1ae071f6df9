"""Tail probabilities of sums with random signs, by a saddlepoint approximation, many sums at a time.

T = sum_g e_g s_g with fair signs e_g has the cumulant generating function K(t) = sum_g log cosh(t s_g). With K'(t) =
threshold, w = sqrt(2 (t threshold - K(t))) and u = t sqrt(K''(t)), the tail is 1 - Phi(w) + phi(w) (1/u - 1/w)
(Lugannani and Rice 1980).
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
