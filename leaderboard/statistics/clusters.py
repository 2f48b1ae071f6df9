"""Items that come from one source document belong together: sums, spread and correlation within clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Fewer effective clusters cannot carry a claim.
FEW_CLUSTERS = 6.0


@dataclass(frozen=True)
class Summed:
    """Paired differences summed by cluster: ``sums`` and ``sizes`` of G clusters. The tests ask for no more."""

    sums: NDArray[np.float64]
    sizes: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of items N."""
        return int(self.sizes.sum())

    @property
    def groups(self) -> int:
        """Number of clusters G."""
        return len(self.sizes)

    @property
    def mean(self) -> float:
        """Mean difference over items."""
        return math.fsum(self.sums) / self.n

    @property
    def effective_groups(self) -> float:
        """As many equal clusters would say as much: (sum of sizes)^2 / (sum of squared sizes)."""
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())

    @property
    def standard_error(self) -> float | None:
        """Cluster-robust: sqrt(G / (G - 1) * sum_g (sum_{i in g} (d_i - mean))^2) / N; None with one cluster.

        Equal to sd / sqrt(n) where each item is its own cluster.
        """
        if self.groups < 2:
            return None
        residuals = self.sums - self.sizes * self.mean
        return math.sqrt(self.groups / (self.groups - 1) * float((residuals**2).sum())) / self.n


@dataclass(frozen=True)
class Clustered(Summed):
    """The same with the differences and their clusters."""

    differences: NDArray[np.float64]
    membership: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Number of items N."""
        return len(self.differences)

    @property
    def mean(self) -> float:
        """Mean difference over items."""
        return math.fsum(self.differences) / self.n

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the differences (n - 1); None for one item."""
        return float(self.differences.std(ddof=1)) if self.n > 1 else None

    @property
    def design_effect(self) -> float | None:
        """How much clusters inflate the variance of the mean: (cluster-robust error / error as if independent)^2."""
        error, deviation = self.standard_error, self.deviation
        if error is None or not deviation:
            return None
        return error**2 / (deviation**2 / self.n)

    @property
    def intracluster_correlation(self) -> float | None:
        """ANOVA estimate of the share of variance between clusters; may be negative; None where it is undefined.

        (MSB - MSW) / (MSB + (n0 - 1) MSW) with n0 = (N - sum m^2 / N) / (G - 1). Source: Donner and Koval 1980.
        """
        count, groups = self.n, self.groups
        if groups < 2 or count == groups:
            return None
        means = self.sums / self.sizes
        between = float((self.sizes * (means - self.mean) ** 2).sum()) / (groups - 1)
        within = float(((self.differences - means[self.membership]) ** 2).sum()) / (count - groups)
        typical = (count - float((self.sizes**2).sum()) / count) / (groups - 1)
        total = between + (typical - 1) * within
        return (between - within) / total if total > 0 else None


def clustered(differences: NDArray[np.float64], clusters: Sequence[str] | NDArray[np.int64] | None) -> Clustered:
    """Differences with their clusters; without clusters each item is its own."""
    import numpy as np

    values = np.asarray(differences, np.float64)
    if clusters is None:
        return Clustered(values, np.ones(len(values)), values, np.arange(len(values)))
    names = np.asarray(clusters) if isinstance(clusters, np.ndarray) else np.asarray(list(clusters), dtype=object)
    _, membership = np.unique(names, return_inverse=True)
    sizes = np.bincount(membership).astype(np.float64)
    sums = np.bincount(membership, weights=values).astype(np.float64)
    return Clustered(sums, sizes, values, membership)
