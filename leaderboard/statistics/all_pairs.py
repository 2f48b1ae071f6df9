"""Every run against every other in one metric, all pairs at once.

`all_pairs` gives differences, intervals and p-values. The pairs of fifty runs are 1,225 in each metric. They are tested
in blocks of rows, so that memory stays flat in the number of runs and one core is enough. `exact_ends` and `near_ends`
give intervals at the levels at which a correction decided on pairs, the latter in a thousandth of the time. `beaten_by`
asks only which run is better and no dearer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...metrics.threads import one_thread
from . import sign_flip
from .clusters import Documents, documents
from .multiplicity import holm
from .paired import FEW_CLUSTERS, TIE_DECIMALS
from .signed_rank import signed_ranks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Numbers held at a time: arrays small enough that their memory is used again, not given back; and 8 MB.
_SMALL, _LARGE = 1 << 14, 1 << 20


@dataclass(frozen=True)
class PairedRuns:
    """Run ``first`` minus run ``second`` (positions): mean difference over items, its interval, and two tests.

    ``p_mean`` is the cluster sign-flip test of the mean, which the interval inverts; ``p_wilcoxon`` the signed-rank
    test of cluster means. Both also as Holm corrects them over all pairs; the interval is for the pair alone, and its
    ends are None where no difference can be rejected.
    """

    first: int
    second: int
    delta: float
    ci_low: float | None
    ci_high: float | None
    p_mean: float
    p_mean_adjusted: float
    p_wilcoxon: float
    p_wilcoxon_adjusted: float

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def all_pairs(
    sums: NDArray[np.float64],
    sizes: NDArray[np.float64],
    *,
    level: float = 0.95,
    decimals: int = 9,
    means: NDArray[np.float64] | None = None,
    parts: Callable[[int, int], NDArray[np.float64]] | None = None,
    intervals: bool = True,
    known: NDArray[np.float64] | None = None,
) -> list[PairedRuns]:
    """All pairs of k runs, (0, 1), (0, 2), …, from their scores summed within clusters.

    ``sums`` has shape (k, G), higher is better; ``sizes`` (G,) are the numbers of items. Differences of sums, and of
    means, are rounded to ``decimals``, so that rounding errors break no ties. ``means``, shape (k, G), are what the
    signed-rank test compares where it is not the sums by size. ``parts`` gives the differences of two runs, shape (G,),
    where they are not those of the sums. Without ``intervals``, which take most of the time, their ends are None.

    ``known`` are differences, p-values of the mean and of signed ranks from before, shape (3, pairs), NaN where a pair
    has to be tested. A pair's numbers are the same to the last bit whichever others are tested beside it.
    """
    import numpy as np

    first, second = np.triu_indices(len(sums), 1)
    if known is not None and not intervals:
        deltas, p_mean, p_wilcoxon = known.copy()
        rows = np.flatnonzero(np.isnan(known).any(axis=0))
    else:
        deltas, p_mean, p_wilcoxon = np.empty((3, len(first)))
        rows = np.arange(len(first))
    count = float(sizes.sum())
    means, tied = (sums / sizes, decimals) if means is None else (means, TIE_DECIMALS)
    ends = np.full((2, len(first)), np.nan)
    for place in _blocks(len(rows), _SMALL // len(sizes)):
        block = rows[place]
        if parts is None:
            found = sums[first[block]] - sums[second[block]]
        else:
            found = np.array([parts(*pair) for pair in zip(first[block], second[block], strict=True)])
        differences = np.round(found, decimals) + 0.0
        deltas[block] = differences.sum(axis=1) / count
        p_mean[block] = sign_flip.two_sided(differences)
        for end, lower in zip(ends, (True, False), strict=True) if intervals else ():
            end[block] = sign_flip.bounds(differences, sizes, (1 - level) / 2, lower=lower)
    for place in _blocks(len(rows), _LARGE // len(sizes)):
        block = rows[place]
        p_wilcoxon[block] = signed_ranks(means[first[block]] - means[second[block]], tied)
    columns = [values.tolist() for values in (first, second, deltas)]
    limits = [[None if np.isnan(value) else value for value in end] for end in ends.tolist()]
    tests = [column for raw in (p_mean.tolist(), p_wilcoxon.tolist()) for column in (raw, holm(raw))]
    return [PairedRuns(*row) for row in zip(*columns, *limits, *tests, strict=True)]


@one_thread()
def beaten_by(
    scores: NDArray[np.float64],
    clusters: Sequence[str] | Documents,
    costs: Sequence[float],
    level: float = 0.95,
    noise: float = 0.0,
) -> list[int | None]:
    """For each run the best of those that cost no more and are better by an interval that excludes 0, or None.

    The interval of a mean paired difference is that of t with effective clusters - 1 degrees of freedom on the
    cluster-robust error sqrt(G / (G - 1) sum_g (sum_i (d_i - mean d))^2) / n. With fewer than `FEW_CLUSTERS` nothing is
    beaten.

    Args:
        scores: shape (runs, items), higher is better, NaN where there is none; items that not all runs have are out.
        clusters: of each item.
        costs: of each run, lower is better.
        level: of the interval.
        noise: share of its value that a measured cost may be off by: what is not cheaper beyond it is not called so.
    """
    import numpy as np
    from scipy import special

    complete = np.isfinite(scores).all(axis=0)
    kept = scores[:, complete]
    known = clusters if isinstance(clusters, Documents) else documents(list(map(str, clusters)))
    membership = known.of(np.asarray(complete)).numbers
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
    reach = float(special.stdtrit(effective - 1, (1 + level) / 2)) * errors
    found: list[int | None] = []
    for place, cost in enumerate(costs):
        ahead = [
            other
            for other, price in enumerate(costs)
            if other != place
            and price * (1 + noise) <= cost * (1 - noise)
            and means[other] - means[place] > reach[other, place]
        ]
        found.append(max(ahead, key=lambda other: (float(means[other]), -other)) if ahead else None)
    return found


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
    powers = _power_sums(sums[some], sizes)
    for end, sign in zip(ends, (1.0, -1.0), strict=True):
        total, mixed, cubes, thirds = (sign * powers[name] for name in ("1", "m1", "m3", "m31"))
        own, fourths, mixed_squares, z = powers["2"], powers["4"], powers["m22"], wanted.copy()
        shifts = total / count
        for _ in range(4):
            leading = np.maximum(count**2 - z**2 * squares, 1e-9 * count**2)
            middle = total * count - z**2 * mixed
            root = np.maximum(middle**2 - leading * (total**2 - z**2 * own), 0.0)
            shifts = (middle - np.sqrt(root)) / leading
            # Sums of the second and fourth powers of S - m d, by the powers of S and m.
            second = own - 2 * shifts * mixed + shifts**2 * squares
            fourth = fourths - 4 * shifts * cubes + 6 * shifts**2 * mixed_squares
            fourth += shifts**3 * (shifts * powers["m4"] - 4 * thirds)
            spread = np.maximum(second**2, np.finfo(float).tiny)
            kurtosis = -2 * np.maximum(fourth, 0.0) / spread
            z = np.clip(wanted + (wanted**3 - 3 * wanted) * kurtosis / 24, 0.0, math.sqrt(len(sizes)))
        rejected = (p[some] <= rates[some]) & (total > 0)
        least = 1e-5 * np.abs(total) / count
        shifts = np.where(rejected, np.maximum(shifts, least), np.where(total > 0, np.minimum(shifts, 0.0), shifts))
        end[some] = sign * shifts
    return ends


def _power_sums(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Sums over clusters of products of powers of S and m, by row.

    ``1``, ``2`` and ``4`` are S, S^2 and S^4; ``m1``, ``m22``, ``m3``, ``m31`` and ``m4`` are m S, m^2 S^2, m S^3,
    m^3 S and m^4.
    """
    import numpy as np

    names = ("1", "2", "4", "m1", "m22", "m3", "m31")
    found = {name: np.empty(len(sums)) for name in names}
    for block in _blocks(len(sums), _LARGE // (8 * len(sizes))):
        rows = sums[block]
        squared = rows**2
        products = (
            rows,
            squared,
            squared**2,
            rows * sizes,
            squared * sizes**2,
            squared * rows * sizes,
            rows * sizes**3,
        )
        for name, each in zip(names, products, strict=True):
            found[name][block] = each.sum(axis=1)
    return {**found, "m4": np.full(len(sums), float((sizes**4).sum()))}


def _blocks(count: int, height: int) -> Iterator[slice]:
    """So many rows at a time, one at least."""
    for start in range(0, count, max(1, height)):
        yield slice(start, start + max(1, height))
