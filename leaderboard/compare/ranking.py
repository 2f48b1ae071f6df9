"""Three runs or more in one metric: who is separated from whom, and which ranks each may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from telbench.errors import InputError

from ...metrics.contract import Metric
from ...metrics.intervals import cluster_numbers
from ..runs.loaded import LoadedRun
from ..statistics.all_pairs import PairedRuns, all_pairs
from ..statistics.paired import TIE_DECIMALS
from ..statistics.ranks import (
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
from .pairwise import ALPHA, ClusterBy, cluster_names

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
    ``bars`` join neighbours that are not; ``hidden`` are further pairs that are not. All of them by position. ``pairs``
    are the differences of all pairs with their intervals, whichever test separates the runs.
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
    pairs: tuple[PairedRuns, ...]

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
    values = np.array([[column[item].value for item in items] for column in columns], np.float64)
    _, membership = cluster_numbers(cluster_names(runs[0], items, by))
    titles = names or [run.name for run in runs]
    return rank_values(values, membership, metric, titles, posthoc=posthoc, alpha=alpha)


def rank_values(
    values: NDArray[np.float64],
    membership: NDArray[np.intp],
    metric: Metric,
    names: Sequence[str],
    *,
    posthoc: Posthoc = "wilcoxon",
    alpha: float = ALPHA,
) -> Ranking:
    """Rank k runs by the values of the items that all have, shape (k, n); ``membership`` is the cluster of each item.

    Raises:
        InputError: for fewer than three runs.
    """
    import numpy as np

    scores = values if metric.higher_is_better else -values
    sizes = np.bincount(membership).astype(np.float64)
    sums = np.array([np.bincount(membership, weights=row) for row in scores], np.float64)
    blocks = np.round(sums / sizes, TIE_DECIMALS).T + 0.0
    result = friedman(blocks)
    pairs = all_pairs(sums, sizes, level=1 - alpha, decimals=TIE_DECIMALS)
    p = _separation(posthoc, result, blocks, pairs)
    k, means = len(values), scores.mean(axis=1)
    order = sorted(range(k), key=lambda index: (-means[index], index))
    # Which of two is the better one: by mean rank for tests of ranks, by mean for the test of means.
    standing = means if posthoc == "mean" else -np.array(result.mean_ranks)
    differs = [[i != j and p[i][j] <= alpha for j in range(k)] for i in range(k)]
    better = [[differs[i][j] and bool(standing[i] > standing[j]) for j in range(k)] for i in range(k)]
    bars, hidden = cliques(order, differs)
    return Ranking(
        metric=metric.name,
        posthoc=posthoc,
        names=tuple(names),
        means=tuple(values.mean(axis=1).tolist()),
        order=tuple(order),
        blocks=len(blocks),
        friedman=result,
        critical_difference=critical_difference(k, len(blocks), alpha) if posthoc == "nemenyi" else None,
        p=tuple(tuple(row) for row in p),
        ranges=tuple(rank_ranges(better)),
        letters=tuple(letter_groups(order, differs)),
        bars=tuple(bars),
        hidden=tuple(hidden),
        pairs=tuple(pairs),
    )


def _separation(
    posthoc: Posthoc, result: Friedman, blocks: NDArray[np.float64], pairs: Sequence[PairedRuns]
) -> list[list[float]]:
    """Corrected p-values of all pairs, shape (k, k)."""
    if posthoc == "nemenyi":
        return nemenyi(result)
    if posthoc == "conover":
        return conover(blocks)
    adjusted = {
        (pair.first, pair.second): pair.p_wilcoxon_adjusted if posthoc == "wilcoxon" else pair.p_mean_adjusted
        for pair in pairs
    }
    return symmetric(blocks.shape[1], adjusted)
