"""One metric of a run as columns of numbers: what comparisons, rankings and studies are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ...metrics.contract import Metric
from ...metrics.intervals import aggregate, statistics_matrix
from ..runs.loaded import LoadedRun
from ..statistics.clusters import Documents, Summed, documents
from ..statistics.corpus import CorpusDifference, corpus_differences

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class DocumentSums:
    """Statistics summed by cluster, shape (G, k + 1), and over all items, shape (1, k + 1); the last counts items."""

    by_document: NDArray[np.float64]
    total: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores of a run's items in one metric, in the order of the items.

    ``values`` has shape (n,), NaN where there is none and ``reasons``, by place, say why. ``statistics`` are those of
    corpus metrics, shape (n, k). ``run`` is how the run is called where reasons are told.
    """

    run: str
    values: NDArray[np.float64]
    reasons: Mapping[int, str] = field(default_factory=dict)
    statistics: NDArray[np.float64] | None = None

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Which items have a score."""
        import numpy as np

        return ~np.isnan(self.values)

    def summed(self, clusters: Documents, kept: NDArray[np.bool_]) -> DocumentSums:
        """Statistics of the items that are ``kept``, and their number; ``clusters`` are those of these items."""
        import numpy as np

        rows = np.zeros((len(kept), 0)) if self.statistics is None else self.statistics
        matrix = np.column_stack([rows if kept.all() else rows[kept], np.ones(int(kept.sum()))])
        groups = len(clusters.names)
        by_document = np.column_stack([np.bincount(clusters.numbers, column, groups) for column in matrix.T])
        return DocumentSums(np.asarray(by_document, np.float64), matrix.sum(axis=0, keepdims=True))


def scored(run: LoadedRun, metric: Metric, items: Sequence[str]) -> Scored:
    """The scores of these items of a run that was loaded item by item.

    Raises:
        TelbenchError: when a corpus metric has statistics of more than one length.
    """
    import numpy as np

    column = [run.scores[metric.name][item] for item in items]
    values = np.array([np.nan if each.value is None else each.value for each in column], np.float64)
    reasons = {place: each.reason for place, each in enumerate(column) if each.reason is not None}
    rows = statistics_matrix(metric, column)[:, :-1] if metric.level == "corpus" else None
    return Scored(run.name, values, reasons, rows)


def compare_corpora(
    run: LoadedRun,
    base: LoadedRun,
    metric: Metric,
    items: Sequence[str],
    clusters: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 0,
) -> tuple[CorpusDifference, tuple[float, float], Summed]:
    """The difference of two corpus scores over these items, positive where the run is better, and both scores.

    The third are the sums that are tested.
    """
    import numpy as np

    everything, own = np.ones(len(items), bool), documents(clusters)
    ours, theirs = (scored(side, metric, items).summed(own, everything) for side in (run, base))
    return _against(metric, [ours], theirs, resamples=resamples, level=level)[0]


def corpora(
    metric: Metric,
    base: Scored,
    runs: Sequence[tuple[Scored, NDArray[np.bool_], Documents]],
    resamples: int,
) -> list[tuple[CorpusDifference, tuple[float, float], Summed]]:
    """Differences of corpus scores to those of ``base``, each over the items that are kept, with their clusters.

    Runs that lack the same items are resampled together.
    """
    alike: dict[bytes, list[int]] = {}
    for place, (_, kept, _) in enumerate(runs):
        alike.setdefault(kept.tobytes(), []).append(place)
    told: dict[int, tuple[CorpusDifference, tuple[float, float], Summed]] = {}
    for places in alike.values():
        _, kept, own = runs[places[0]]
        theirs = base.summed(own, kept)
        ours = [runs[place][0].summed(own, kept) for place in places]
        told |= zip(places, _against(metric, ours, theirs, resamples=resamples), strict=True)
    return [told[place] for place in range(len(runs))]


def _against(
    metric: Metric,
    runs: Sequence[DocumentSums],
    other: DocumentSums,
    *,
    resamples: int = 0,
    level: float = 0.95,
) -> list[tuple[CorpusDifference, tuple[float, float], Summed]]:
    """Differences of corpus scores by statistics summed by cluster, both scores, and the sums that are tested."""
    sign = 1.0 if metric.higher_is_better else -1.0
    found = corpus_differences(
        [run.by_document for run in runs],
        other.by_document,
        lambda rows: sign * aggregate(metric, rows),
        resamples=resamples,
        level=level,
    )
    theirs, *ours = (float(aggregate(metric, each.total)[0]) for each in (other, *runs))
    return [(each, (score, theirs), data) for (each, data), score in zip(found, ours, strict=True)]
