"""Three runs or more in one metric: who is separated from whom, and which ranks each may have."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..judges.errors import InputError
from ..metrics.base import Metric
from .comparison import LoadedRun
from .pairwise import ALPHA, ClusterBy, cluster_names
from .statistics import sign_flip
from .statistics.clusters import clustered
from .statistics.multiplicity import holm
from .statistics.paired import TIE_DECIMALS
from .statistics.ranks import (
    Friedman,
    cliques,
    conover,
    critical_difference,
    friedman,
    letter_groups,
    nemenyi,
    rank_ranges,
    symmetric,
)
from .statistics.signed_rank import signed_rank

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Posthoc = Literal["wilcoxon", "mean", "nemenyi", "conover"]
# What each says of itself beside the table.
CAPTIONS: dict[Posthoc, str] = {
    "wilcoxon": "pairs by Wilcoxon's signed-rank test, Holm-corrected over all pairs",
    "mean": "pairs by the sign-flip test of the mean, Holm-corrected over all pairs",
    "nemenyi": "pairs by Nemenyi's test: it depends on which other runs are compared",
    "conover": "pairs by Conover's test, Holm-corrected: it depends on which other runs are compared",
}


@dataclass(frozen=True)
class Ranking:
    """Runs in one metric, best mean first: ``order`` holds positions in the list of runs.

    ``blocks`` are the complete source documents or items that ranks are taken in. ``p`` are the corrected p-values of
    all pairs. ``ranges`` are the ranks that each run may have, ``letters`` are shared by runs that are not separated,
    ``bars`` join neighbours that are not; ``hidden`` are further pairs that are not. All of them by position.
    """

    metric: str
    posthoc: Posthoc
    names: tuple[str, ...]
    means: tuple[float, ...]
    order: tuple[int, ...]
    blocks: int
    friedman: Friedman
    critical_difference: float | None
    p: tuple[tuple[float, ...], ...]
    ranges: tuple[tuple[int, int], ...]
    letters: tuple[str, ...]
    bars: tuple[tuple[int, ...], ...]
    hidden: tuple[tuple[int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def rank_runs(
    runs: Sequence[LoadedRun],
    metric: Metric,
    *,
    posthoc: Posthoc = "wilcoxon",
    by: ClusterBy = "source_document",
    alpha: float = ALPHA,
    names: Sequence[str] | None = None,
) -> Ranking:
    """Rank three runs or more by their item values, in source documents (means) where items are clustered.

    Raises:
        InputError: for fewer than three runs, or when no item has a score in all of them.
    """
    import numpy as np

    columns = [run.scores[metric.name] for run in runs]
    items = [item for item in runs[0].clusters if all(column[item].value is not None for column in columns)]
    if not items:
        raise InputError(f"{metric.name}: no item has a score in all runs")
    sign = 1.0 if metric.higher_is_better else -1.0
    scores = sign * np.array([[column[item].value for column in columns] for item in items], np.float64)
    _, membership = np.unique(np.array(cluster_names(runs[0], items, by), dtype=object), return_inverse=True)
    sizes = np.bincount(membership)
    blocks = np.column_stack([np.bincount(membership, weights=column) / sizes for column in scores.T])
    blocks = np.round(blocks, TIE_DECIMALS) + 0.0
    result = friedman(blocks)
    p = _pairs(posthoc, result, blocks, scores, membership)
    k, means = len(runs), scores.mean(axis=0)
    order = sorted(range(k), key=lambda index: (-means[index], index))
    # Which of two is the better one: by mean rank for tests of ranks, by mean for the test of means.
    standing = means if posthoc == "mean" else -np.array(result.mean_ranks)
    differs = [[i != j and p[i][j] <= alpha for j in range(k)] for i in range(k)]
    better = [[differs[i][j] and bool(standing[i] > standing[j]) for j in range(k)] for i in range(k)]
    bars, hidden = cliques(order, differs)
    return Ranking(
        metric=metric.name,
        posthoc=posthoc,
        names=tuple(names or (run.name for run in runs)),
        means=tuple((sign * means).tolist()),
        order=tuple(order),
        blocks=len(blocks),
        friedman=result,
        critical_difference=critical_difference(k, len(blocks), alpha) if posthoc == "nemenyi" else None,
        p=tuple(tuple(row) for row in p),
        ranges=tuple(rank_ranges(better)),
        letters=tuple(letter_groups(order, differs)),
        bars=tuple(bars),
        hidden=tuple(hidden),
    )


def _pairs(
    posthoc: Posthoc,
    result: Friedman,
    blocks: NDArray[np.float64],
    scores: NDArray[np.float64],
    membership: NDArray[np.int64],
) -> list[list[float]]:
    """Corrected p-values of all pairs, shape (k, k)."""
    import numpy as np

    if posthoc == "nemenyi":
        return nemenyi(result)
    if posthoc == "conover":
        return conover(blocks)
    k = blocks.shape[1]
    pairs = list(itertools.combinations(range(k), 2))
    if posthoc == "wilcoxon":
        raw = [signed_rank(np.round(blocks[:, i] - blocks[:, j], TIE_DECIMALS)).p for i, j in pairs]
    else:
        raw = [sign_flip.two_sided(clustered(scores[:, i] - scores[:, j], membership).sums) for i, j in pairs]
    return symmetric(k, dict(zip(pairs, holm(raw), strict=True)))
