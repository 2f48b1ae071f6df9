"""Which run is beaten by one that costs no more: only where the paired difference is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..statistics.paired import FEW_CLUSTERS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def beaten_by(
    scores: NDArray[np.float64], clusters: Sequence[str], costs: Sequence[float], level: float = 0.95
) -> list[int | None]:
    """For each run the best of those that cost no more and are better by an interval that excludes 0, or None.

    The interval of a mean paired difference is that of t with effective clusters - 1 degrees of freedom on the
    cluster-robust error sqrt(G / (G - 1) sum_g (sum_i (d_i - mean d))^2) / n. With
    few clusters nothing is beaten.

    Args:
        scores: shape (runs, items), higher is better, NaN where there is none; items that not all runs have are out.
        clusters: of each item.
        costs: of each run, lower is better.
        level: of the interval.
    """
    import numpy as np
    from scipy import stats

    complete = np.isfinite(scores).all(axis=0)
    kept = scores[:, complete]
    _, membership = np.unique(np.array(clusters, dtype=object)[complete].astype(str), return_inverse=True)
    sizes = np.bincount(membership) if kept.size else np.zeros(0)
    effective = float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.size else 0.0
    if effective < FEW_CLUSTERS:
        return [None] * len(costs)
    means = kept.mean(axis=1)
    residuals = np.array([np.bincount(membership, weights=row - mean) for row, mean in zip(kept, means, strict=True)])
    products = residuals @ residuals.T
    own = np.diag(products)
    spread = np.maximum(own[:, None] + own[None, :] - 2 * products, 0.0)
    errors = np.sqrt(len(sizes) / (len(sizes) - 1) * spread) / kept.shape[1]
    reach = float(stats.t.ppf((1 + level) / 2, effective - 1)) * errors
    found: list[int | None] = []
    for place, cost in enumerate(costs):
        ahead = [
            other
            for other, price in enumerate(costs)
            if other != place and price <= cost and means[other] - means[place] > reach[other, place]
        ]
        found.append(max(ahead, key=lambda other: (float(means[other]), -other)) if ahead else None)
    return found
