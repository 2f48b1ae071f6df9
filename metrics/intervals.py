"""Values and confidence intervals of metrics: a seeded bootstrap over clusters of items.

The whole source document is resampled with all its items (the pairs cluster bootstrap of Cameron, Gelbach and Miller
2008), since items of one document are not independent. Every metric is a function of summed rows, so one resample costs
one row of counts times one matrix: item metrics sum their value, corpus metrics their statistics, and the last column
of every matrix counts the scored items. All metrics of a run share the resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from telbench.errors import TelbenchError

from .contract import ItemScore, Metric
from .threads import one_thread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95
# Counts held at a time (8 MB): keeps memory flat in the number of clusters.
_BLOCK = 1 << 20
# Products of fewer multiplications than this are on one thread anyhow.
_SPLIT = 1 << 16


@dataclass(frozen=True)
class Estimate:
    """A metric's value over all items with its interval; ``value`` is None when no item had a score."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    ci_method: str | None
    n: int
    n_missing: int


def statistics_matrix(metric: Metric, scores: Sequence[ItemScore]) -> NDArray[np.float64]:
    """Additive rows, shape (items, k + 1): value or corpus statistics, then 1; all zeros where missing.

    Raises:
        TelbenchError: when a corpus metric gives statistics of more than one length.
    """
    import numpy as np

    rows = [
        None if score.value is None else ((score.value,) if metric.level == "item" else (score.stats or ()))
        for score in scores
    ]
    widths = {len(row) for row in rows if row is not None}
    if len(widths) > 1:
        raise _uneven(f"metric '{metric.name}'", widths)
    matrix = np.zeros((len(rows), max(widths, default=0) + 1), dtype=np.float64)
    if known := [index for index, row in enumerate(rows) if row is not None]:
        matrix[known, :-1] = [row for row in rows if row is not None]
        matrix[known, -1] = 1.0
    return matrix


class ClusterSums:
    """One metric's rows summed as they come, so that none is kept: all of them, and those of each cluster.

    ``total`` has shape (1, k + 1), ``by_cluster`` (G, k + 1), in the order of the clusters' numbers; ``items`` counts
    the rows. The sums are those of the whole matrix to the last bit, however it was cut.
    """

    def __init__(self, groups: int, membership: NDArray[np.intp]) -> None:
        """Nothing added yet; ``membership`` is the number of each item's cluster, as `cluster_numbers` gives it."""
        import numpy as np

        self._membership = membership
        self.items = 0
        self.total = np.zeros((1, 1))
        self.by_cluster = np.zeros((groups, 1))

    def add(self, matrix: NDArray[np.float64]) -> None:
        """Add the rows of the next items, from `statistics_matrix`.

        Raises:
            TelbenchError: when rows differ in width from those before.
        """
        import numpy as np

        membership = self._membership[self.items : self.items + len(matrix)]
        self.items += len(matrix)
        width, before = matrix.shape[1], self.total.shape[1]
        # Where every score is missing, no width is known and nothing is to be added.
        if width == 1:
            return
        if before == 1:
            self.total = np.zeros((1, width))
            self.by_cluster = np.zeros((len(self.by_cluster), width))
        elif before != width:
            raise _uneven("a corpus metric", (before - 1, width - 1))
        self.total = np.concatenate([self.total, matrix]).sum(axis=0, keepdims=True)
        np.add.at(self.by_cluster, membership, matrix)


def cluster_numbers(clusters: Iterable[str]) -> tuple[int, NDArray[np.intp]]:
    """How many clusters there are, and the number of each item's; clusters are numbered in the order of their names.

    Memory holds the names while they are counted, and 8 bytes an item.
    """
    import numpy as np

    first: dict[str, int] = {}
    membership = np.fromiter((first.setdefault(name, len(first)) for name in clusters), dtype=np.intp)
    order = np.empty(len(first), dtype=np.intp)
    order[[first[name] for name in sorted(first)]] = np.arange(len(first))
    return len(first), order[membership]


def _uneven(whose: str, widths: Iterable[int]) -> TelbenchError:
    numbers = " and ".join(map(str, sorted(widths)))
    return TelbenchError(f"{whose} gives statistics of {numbers} numbers, not of one length")


def score_of(metric: Metric, matrix: NDArray[np.float64]) -> float:
    """The metric's score of a run whose items have these statistics (`statistics_matrix`, a row an item)."""
    return float(aggregate(metric, matrix.sum(axis=0, keepdims=True))[0])


def aggregate(metric: Metric, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of summed rows, shape (B, k + 1) to (B,): the mean for item metrics, the metric's own formula else.

    A sum over no scored item gives NaN.

    Raises:
        TelbenchError: when the metric's formula fails or gives another shape, naming the metric.
    """
    import numpy as np

    if sums.shape[1] < 2:
        return np.full(len(sums), np.nan)
    scored = sums[:, -1] > 0
    values = np.full(len(sums), np.nan)
    if metric.aggregate is not None:
        try:
            formed = np.asarray(metric.aggregate(sums[scored, :-1]), dtype=np.float64)
        except (Exception, SystemExit) as error:
            raise TelbenchError(f"metric '{metric.name}' cannot sum up: {type(error).__name__}: {error}") from error
        # One number for all rows would pass for the score of each.
        if formed.shape != (scored.sum(),):
            raise TelbenchError(
                f"metric '{metric.name}' cannot sum up: aggregate gives shape {formed.shape} for {scored.sum()} rows"
            )
        values[scored] = formed
    else:
        values[scored] = sums[scored, 0] / sums[scored, 1]
    return values


def bootstrap(
    metrics: Sequence[Metric],
    matrices: Sequence[NDArray[np.float64]],
    clusters: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Estimate]:
    """Values and percentile intervals of several metrics on the same items.

    ``matrices`` come from `statistics_matrix`, a row an item; ``clusters`` names each item's cluster. With fewer than
    two clusters there is no interval (None), never a made-up one.
    """
    return bootstrap_sums(metrics, summed(matrices, clusters), resamples=resamples, seed=seed)


def bootstrap_sums(
    metrics: Sequence[Metric],
    sums: Sequence[ClusterSums],
    *,
    shifts: Sequence[tuple[float, int] | None] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Estimate]:
    """What `bootstrap` gives, from rows that were summed as they came.

    ``shifts`` are, for each metric, the standard error of what moves all its items together, with its degrees of
    freedom (see `judged.passes`): each resample also draws that, from Student's distribution.
    """
    import numpy as np

    by_cluster = [each.by_cluster for each in sums]
    groups = len(by_cluster[0]) if by_cluster else 0
    method = f"cluster bootstrap percentile|clusters:{groups}|resamples:{resamples}|seed:{seed}|level:{LEVEL}"
    estimates = []
    drawn_all = replicates(metrics, by_cluster, resamples, seed)
    for metric, each, drawn, shift in zip(metrics, sums, drawn_all, shifts or [None] * len(sums), strict=True):
        value, moved, how = float(aggregate(metric, each.total)[0]), drawn, method
        if shift is not None and len(drawn):
            error, freedom = shift
            moves = np.random.default_rng([seed, resamples]).standard_t(freedom, len(drawn))
            moved, how = np.clip(drawn + error * moves, *metric.range), f"{method}|passes:{freedom + 1}"
        scored = int(each.total[0, -1])
        absent = each.items - scored
        # A resample may hold no scored item at all when most are missing: then there is no honest interval.
        if np.isfinite(value) and len(drawn) and np.isfinite(drawn).all():
            low, high = np.quantile(moved, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            estimates.append(Estimate(value, float(low), float(high), how, scored, absent))
        else:
            estimates.append(Estimate(value if np.isfinite(value) else None, None, None, None, scored, absent))
    return estimates


def summed(matrices: Sequence[NDArray[np.float64]], clusters: Sequence[str]) -> list[ClusterSums]:
    """The sums of each matrix; ``clusters`` names each item's cluster, in the order of the rows."""
    numbers = cluster_numbers(clusters)
    sums = [ClusterSums(*numbers) for _ in matrices]
    for each, matrix in zip(sums, matrices, strict=True):
        each.add(matrix)
    return sums


def replicates(
    metrics: Sequence[Metric], summed: Sequence[NDArray[np.float64]], resamples: int, seed: int
) -> list[NDArray[np.float64]]:
    """Each metric on the same ``resamples`` draws of clusters with replacement; empty with fewer than two clusters."""
    import numpy as np

    groups = len(summed[0]) if summed else 0
    if groups < 2:
        return [np.empty(0) for _ in metrics]
    together = np.hstack(list(summed))
    edges = np.cumsum([rows.shape[1] for rows in summed])[:-1]
    blocks: list[list[NDArray[np.float64]]] = [[] for _ in metrics]
    height = max(1, min(resamples, _BLOCK // groups))
    with one_thread() if height * together.size > _SPLIT else nullcontext():
        for first in range(0, resamples, height):
            sums = _kept_counts(groups, min(height, resamples - first), seed, first) @ together
            for index, part in enumerate(np.split(sums, edges, axis=1)):
                blocks[index].append(aggregate(metrics[index], part))
    return [np.concatenate(parts) for parts in blocks]


def resample_counts(groups: int, size: int, seed: int, first: int) -> NDArray[np.float64]:
    """How often each cluster is drawn in resamples ``first`` to ``first + size``, shape (size, groups).

    A resample depends on seed, its own number and the number of clusters only, so that all metrics and all runs on the
    same items see the same resamples however many are drawn at a time.
    """
    import numpy as np

    counts = np.empty((size, groups))
    for row in range(size):
        draws = np.random.default_rng([seed, first + row]).integers(0, groups, size=groups)
        counts[row] = np.bincount(draws, minlength=groups)
    return counts


@lru_cache(maxsize=4)
def _kept_counts(groups: int, size: int, seed: int, first: int) -> NDArray[np.float64]:
    """`resample_counts` of the last blocks, not to be written to: one bootstrap after another asks for the same."""
    counts = resample_counts(groups, size, seed, first)
    counts.flags.writeable = False
    return counts
