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
# Where the spread is carried by as many documents as fewer than this, signs can be flipped in too few ways.
FEW_CARRIERS = 6.0


@dataclass(frozen=True)
class Summed:
    """Paired differences summed by cluster: ``sums`` and ``sizes`` of the clusters. The tests ask for no more.

    ``n`` items in ``groups`` clusters, with their ``mean`` difference. As many equal clusters as ``effective_groups``
    would say as much: (sum of sizes)^2 / (sum of squared sizes). ``standard_error`` of the mean is cluster-robust:
    sqrt(G / (G - 1) * sum_g (sum_{i in g} (d_i - mean))^2) / N, None with one cluster. It is sd / sqrt(n) where each
    item is its own cluster.

    As many documents as ``carriers`` carry the spread: (sum of r^2)^2 / (sum of r^4), r = S_g - m_g mean, the inverse
    Herfindahl index of the shares r^2. It is G for residuals of one size, about G / 3 for normal ones, k where k of
    many documents differ from the rest, and infinite where there is no spread. ``dominated``: fewer than `FEW_CARRIERS`
    carry it, and fewer than that share of all, as normal differences are carried by a third of few documents too.
    """

    sums: NDArray[np.float64]
    sizes: NDArray[np.float64]
    n: int
    groups: int
    mean: float
    effective_groups: float
    standard_error: float | None
    carriers: float
    dominated: bool


@dataclass(frozen=True)
class Clustered(Summed):
    """The same with the differences and the number of each one's cluster.

    ``deviation`` is the standard deviation of the differences (n - 1), None for one item. ``design_effect`` is how much
    clusters inflate the variance of the mean: (cluster-robust error / error as if independent)^2.

    ``intracluster_correlation`` is the ANOVA estimate of the share of variance between clusters: (MSB - MSW) / (MSB +
    (n0 - 1) MSW) with n0 = (N - sum m^2 / N) / (G - 1). It may be negative; None where it is undefined. Source: Donner
    and Koval 1980.
    """

    differences: NDArray[np.float64]
    membership: NDArray[np.int64]
    deviation: float | None
    design_effect: float | None
    intracluster_correlation: float | None


@dataclass(frozen=True)
class Level:
    """A mean difference where a covariate is 0, and how much it changes with the covariate; errors are robust.

    ``at_zero`` and ``slope`` are those of least squares, with the p-value of each and the interval of ``at_zero``.
    """

    at_zero: float
    interval: tuple[float, float]
    p: float
    slope: float
    p_slope: float


def level_at_zero(
    differences: NDArray[np.float64], covariate: NDArray[np.float64], clusters: Sequence[str]
) -> Level | None:
    """Differences regressed on a covariate, with cluster-robust errors; None where the covariate hardly varies.

    V = c (X'X)^-1 (sum_g X_g' e_g e_g' X_g) (X'X)^-1 with c = G / (G - 1) * (N - 1) / (N - 2) (CR1), and Student's t
    with G - 1 degrees of freedom. Source: Liang and Zeger, *Longitudinal Data Analysis Using Generalized Linear
    Models*, 1986; Cameron and Miller, *A Practitioner's Guide to Cluster-Robust Inference*, 2015.
    """
    import numpy as np
    from scipy import special

    _, membership = np.unique(np.asarray(clusters, dtype=object), return_inverse=True)
    n, groups = len(differences), int(membership.max()) + 1
    if n < 3 or groups < 2 or np.ptp(covariate) < 1e-9:
        return None
    design = np.column_stack([np.ones(n), covariate])
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ (design.T @ differences)
    scores = design * (differences - design @ found)[:, None]
    summed = np.column_stack([np.bincount(membership, weights=column) for column in scores.T])
    correction = groups / (groups - 1) * (n - 1) / (n - 2)
    variances = np.diag(correction * inverse @ (summed.T @ summed) @ inverse)
    errors = np.sqrt(np.maximum(variances, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.abs(np.nan_to_num(found / errors))
    p = 2 * special.stdtr(groups - 1, -ratios)
    half = float(special.stdtrit(groups - 1, 0.975) * errors[0])
    level = float(found[0])
    return Level(level, (level - half, level + half), float(p[0]), float(found[1]), float(p[1]))


@dataclass(frozen=True, eq=False)
class Documents:
    """The clusters of n items: their ``names`` in order, and in ``numbers`` each item's place among these."""

    names: Sequence[str]
    numbers: NDArray[np.intp]

    def of(self, kept: NDArray[np.bool_]) -> Documents:
        """The clusters of some of the items, those without any left out."""
        import numpy as np

        if kept.all():
            return self
        left, numbers = np.unique(self.numbers[kept], return_inverse=True)
        kept_places: list[int] = left.tolist()
        return Documents([self.names[place] for place in kept_places], numbers)


def documents(clusters: Sequence[str]) -> Documents:
    """The clusters of items, from the name of each item's."""
    import numpy as np

    names = sorted(set(clusters))
    places = {name: place for place, name in enumerate(names)}
    return Documents(names, np.fromiter(map(places.__getitem__, clusters), np.intp, len(clusters)))


def summed_up(sums: NDArray[np.float64], sizes: NDArray[np.float64], mean: float | None = None) -> Summed:
    """What the sums of clusters say; ``mean`` is that of the items, by default that of the sums."""
    n, groups = int(sizes.sum()), len(sizes)
    mean = math.fsum(sums.tolist()) / n if mean is None else mean
    squares = (sums - sizes * mean) ** 2
    spread, weight = float(squares.sum()), float((sizes**2).sum())
    error = math.sqrt(groups / (groups - 1) * spread) / n if groups > 1 else None
    # What rounding leaves of equal means is no spread.
    carriers = spread**2 / float((squares**2).sum()) if spread > 1e-18 * weight else math.inf
    few = carriers < min(FEW_CARRIERS, groups / FEW_CARRIERS)
    return Summed(sums, sizes, n, groups, mean, float(sizes.sum() ** 2 / weight), error, carriers, few)


def clustered(
    differences: NDArray[np.float64], clusters: Sequence[str] | NDArray[np.int64] | Documents | None
) -> Clustered:
    """Differences with their clusters; without clusters each item is its own."""
    import numpy as np

    values = np.asarray(differences, np.float64)
    n = len(values)
    if clusters is None:
        membership, sizes, sums = np.arange(n), np.ones(n), values
    else:
        if isinstance(clusters, np.ndarray):
            _, membership = np.unique(clusters, return_inverse=True)
        else:
            membership = (clusters if isinstance(clusters, Documents) else documents(clusters)).numbers
        sizes = np.bincount(membership).astype(np.float64)
        sums = np.bincount(membership, weights=values).astype(np.float64)
    summed = summed_up(sums, sizes, math.fsum(values.tolist()) / n)
    error, deviation = summed.standard_error, float(values.std(ddof=1)) if n > 1 else None
    correlation = None
    if 1 < summed.groups < n:
        means = sums / sizes
        between = float((sizes * (means - summed.mean) ** 2).sum()) / (summed.groups - 1)
        within = float(((values - means[membership]) ** 2).sum()) / (n - summed.groups)
        typical = (n - float((sizes**2).sum()) / n) / (summed.groups - 1)
        total = between + (typical - 1) * within
        correlation = (between - within) / total if total > 0 else None
    return Clustered(
        **vars(summed),
        differences=values,
        membership=membership,
        deviation=deviation,
        design_effect=None if error is None or not deviation else error**2 / (deviation**2 / n),
        intracluster_correlation=correlation,
    )
