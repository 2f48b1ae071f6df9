"""Intervals of many pairs of runs, each at the level at which a correction decided on the pair.

`exact_ends` inverts the sign-flip test of every pair (`sign_flip`). `near_ends` solves the same equation by the normal
approximation with a term for the kurtosis, which takes a thousandth of the time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from . import sign_flip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def exact_ends(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], rates: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Ends of the intervals at 1 - ``rates`` of rows of cluster sums, shapes (P, G), (G,) and (P,) to (2, P).

    NaN where no difference can be rejected. An interval leaves 0 out exactly where the test rejects it.
    """
    import numpy as np

    ends = np.full((2, len(sums)), np.nan)
    # Pairs that are not claimed share a level.
    for rate in np.unique(rates).tolist():
        rows = np.flatnonzero(rates == rate)
        for end, lower in zip(ends, (True, False), strict=True):
            end[rows] = sign_flip.bounds(sums[rows], sizes, rate / 2, lower=lower)
    return ends


def near_ends(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], rates: NDArray[np.float64], p: NDArray[np.float64]
) -> NDArray[np.float64]:
    """As `exact_ends`, nearly: ``p``, shape (P,), are the pairs' p-values, which say whether 0 is in.

    An end solves S - n d = z sqrt(sum_g (S_g - m_g d)^2), with z moved by (z^3 - 3 z) k / 24 for the excess kurtosis k
    of the sum with random signs (Cornish and Fisher 1938; its skewness is 0).
    """
    import numpy as np

    ends = np.full((2, len(sums)), np.nan)
    some = np.flatnonzero(2.0 ** -int((sizes > 0).sum()) <= rates / 2)
    count, squares = float(sizes.sum()), float((sizes**2).sum())
    wanted = np.array([sign_flip.normal_quantile(1 - rate / 2) for rate in rates[some].tolist()])
    for end, sign in zip(ends, (1.0, -1.0), strict=True):
        turned, z = sign * sums[some], wanted.copy()
        total, own, mixed = turned.sum(axis=1), (turned**2).sum(axis=1), turned @ sizes
        shifts = total / count
        for _ in range(4):
            leading = np.maximum(count**2 - z**2 * squares, 1e-9 * count**2)
            middle = total * count - z**2 * mixed
            root = np.maximum(middle**2 - leading * (total**2 - z**2 * own), 0.0)
            shifts = (middle - np.sqrt(root)) / leading
            moved = (turned - sizes * shifts[:, None]) ** 2
            spread = np.maximum(moved.sum(axis=1) ** 2, np.finfo(float).tiny)
            kurtosis = -2 * (moved**2).sum(axis=1) / spread
            z = np.clip(wanted + (wanted**3 - 3 * wanted) * kurtosis / 24, 0.0, math.sqrt(len(sizes)))
        rejected = (p[some] <= rates[some]) & (total > 0)
        least = 1e-5 * np.abs(total) / count
        shifts = np.where(rejected, np.maximum(shifts, least), np.where(total > 0, np.minimum(shifts, 0.0), shifts))
        end[some] = sign * shifts
    return ends
