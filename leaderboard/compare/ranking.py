"""Three runs or more in one metric: who is separated from whom, and which ranks each may have.

Pairs are separated by the test that compares two runs (`pairwise`), the sign-flip test of the mean. So no ranking says
the opposite of a comparison. Other tests are there by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from telbench.errors import InputError

from ...metrics.contract import Metric
from ...metrics.intervals import aggregate
from ..runs.loaded import LoadedRun
from ..statistics.all_pairs import PairedRuns, all_pairs
from ..statistics.clusters import Documents, documents
from ..statistics.corpus import SUM_DECIMALS, difference_sums
from ..statistics.multiplicity import holm, holm_levels
from ..statistics.paired import FEW_CLUSTERS, FEW_ITEMS, TIE_DECIMALS
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
from .pairwise import ALPHA, ClusterBy, Comparison, cluster_names
from .scored import Scored, scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Posthoc = Literal["wilcoxon", "mean", "nemenyi", "conover"]
# What each says of itself beside the table.
CAPTIONS: dict[Posthoc, str] = {
    "wilcoxon": "pairs by Wilcoxon's signed-rank test, Holm-corrected over all pairs of all metrics ranked",
    "mean": "pairs by the sign-flip test of the mean, Holm-corrected over all pairs of all metrics ranked",
    "nemenyi": "pairs by Nemenyi's test: it depends on which other runs are compared",
    "conover": "pairs by Conover's test, Holm-corrected: it depends on which other runs are compared",
}


@dataclass(frozen=True)
class Ranking:
    """Runs in one metric, best mean first: ``order`` holds positions in the list of runs.

    ``blocks`` are the complete source documents or items that ranks are taken in, ``effective_clusters`` as many equal
    ones as say as much. ``p`` are the corrected p-values of all pairs, 1 for those in ``untested``: too few documents
    or items that differ. ``ranges`` are the ranks that each run may have, ``letters`` are shared by runs that are not
    separated, ``bars`` join neighbours that are not; ``hidden`` are further pairs that are not. All of them by
    position. ``pairs`` are the differences of all pairs with their intervals, whichever test separates the runs.
    ``conflicts`` are pairs (better, worse) by the test that ranks, of which the other of mean and signed ranks shows
    the opposite.
    """

    metric: str
    posthoc: Posthoc
    names: tuple[str, ...]
    means: tuple[float, ...]
    order: tuple[int, ...]
    blocks: int
    friedman: Friedman
    critical_difference: float | None
    pairs: tuple[PairedRuns, ...]
    effective_clusters: float
    untested: tuple[tuple[int, int], ...]
    alpha: float
    p: tuple[tuple[float, ...], ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    letters: tuple[str, ...] = ()
    bars: tuple[tuple[int, ...], ...] = ()
    hidden: tuple[tuple[int, int], ...] = ()
    conflicts: tuple[tuple[int, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)

    @property
    def few_clusters(self) -> bool:
        """Are there too few source documents for any claim?"""
        return self.effective_clusters < FEW_CLUSTERS


def rank_runs(
    runs: Sequence[LoadedRun],
    metric: Metric,
    *,
    posthoc: Posthoc = "mean",
    by: ClusterBy = "source_document",
    alpha: float = ALPHA,
    names: Sequence[str] | None = None,
    intervals: bool = True,
) -> Ranking:
    """Rank three runs or more by their scores on the items that all have; documents are flipped as a whole.

    Without ``intervals`` pairs have tests alone, which takes a fraction of the time.

    Raises:
        InputError: for fewer than three runs, or when no item has a score in all of them.
    """
    items = list(runs[0].clusters)
    columns = [scored(run, metric, items) for run in runs]
    clusters = documents(cluster_names(runs[0], items, by))
    titles = names or [run.name for run in runs]
    return rank_columns(columns, metric, titles, clusters, posthoc=posthoc, alpha=alpha, intervals=intervals)


def rank_columns(
    columns: Sequence[Scored],
    metric: Metric,
    names: Sequence[str],
    clusters: Documents,
    *,
    posthoc: Posthoc = "mean",
    alpha: float = ALPHA,
    intervals: bool = True,
    known: NDArray[np.float64] | None = None,
) -> Ranking:
    """`rank_runs` of runs as columns; ``clusters`` are those of all items, ``known`` as `rank_values` has it.

    Raises:
        InputError: for fewer than three runs, or when no item has a score in all of them.
    """
    import numpy as np

    kept = np.logical_and.reduce([column.present for column in columns])
    if not kept.any():
        raise InputError(f"{metric.name}: no item has a score in all runs")
    values = np.array([column.values[kept] for column in columns], np.float64)
    own = clusters.of(kept)
    rows = None
    if metric.level == "corpus":
        rows = np.array([column.summed(own, kept).by_document for column in columns])
    return rank_values(
        values, own.numbers, metric, names, posthoc=posthoc, alpha=alpha, rows=rows, intervals=intervals, known=known
    )


def rank_values(
    values: NDArray[np.float64],
    membership: NDArray[np.intp],
    metric: Metric,
    names: Sequence[str],
    *,
    posthoc: Posthoc = "mean",
    alpha: float = ALPHA,
    rows: NDArray[np.float64] | None = None,
    intervals: bool = True,
    known: NDArray[np.float64] | None = None,
) -> Ranking:
    """Rank k runs by the values of the items that all have, shape (k, n); ``membership`` is the cluster of each item.

    ``rows``, shape (k, G, c), are the statistics summed by cluster where the score is one of the corpus. ``known`` is
    what `pair_numbers` gives of an earlier ranking, NaN for pairs that were not in it.

    Raises:
        InputError: for fewer than three runs.
    """
    import numpy as np

    sign = 1.0 if metric.higher_is_better else -1.0
    scores = sign * values
    sizes = np.bincount(membership).astype(np.float64)
    sums = np.array([np.bincount(membership, weights=row) for row in scores], np.float64)
    blocks = np.round(sums / sizes, TIE_DECIMALS).T + 0.0
    result = friedman(blocks)
    k, means = len(values), scores.mean(axis=1)
    parts = None
    if rows is not None:
        means = sign * aggregate(metric, rows.sum(axis=1))
        parts = partial(_parts, rows, metric)
    decimals = TIE_DECIMALS if rows is None else SUM_DECIMALS
    pairs = all_pairs(
        sums,
        sizes,
        level=1 - alpha,
        decimals=decimals,
        means=blocks.T,
        parts=parts,
        intervals=intervals,
        known=None if known is None else known[:-1],
    )
    effective = float(sizes.sum() ** 2 / (sizes**2).sum())
    ranking = Ranking(
        metric=metric.name,
        posthoc=posthoc,
        names=tuple(names),
        means=tuple((sign * means).tolist()),
        order=tuple(sorted(range(k), key=lambda index: (-means[index], index))),
        blocks=len(blocks),
        friedman=result,
        critical_difference=critical_difference(k, len(blocks), alpha) if posthoc == "nemenyi" else None,
        pairs=tuple(pairs),
        effective_clusters=effective,
        untested=_untested(scores, pairs, effective, None if known is None else known[-1]),
        alpha=alpha,
    )
    if posthoc in ("nemenyi", "conover"):
        return _separated(ranking, nemenyi(result) if posthoc == "nemenyi" else conover(blocks))
    return ranked_together([ranking])[0]


def _parts(rows: NDArray[np.float64], metric: Metric, one: int, other: int) -> NDArray[np.float64]:
    """The difference of two corpus scores as sums of clusters, higher is better."""
    sign = 1.0 if metric.higher_is_better else -1.0
    return difference_sums(rows[one], rows[other], lambda totals: sign * aggregate(metric, totals))


def ranked_together(
    rankings: Sequence[Ranking], primary: Collection[str] = (), verdicts: Sequence[Comparison] = ()
) -> list[Ranking]:
    """The same, with pairs corrected by Holm over all pairs of all these metrics; ``primary`` ones apart.

    Where pairs are tested by their means, pairs with the first run are as ``verdicts`` have decided on them, and the
    pairs among the others are a family by themselves. So a rank, a letter and a verdict are one decision. Nemenyi's
    and Conover's tests stay as they are.
    """
    decided = [_decided(each, verdicts) for each in rankings]
    adjusted: dict[int, dict[tuple[int, int], float]] = {
        place: dict.fromkeys(each.untested, 1.0)
        | {(0, run): row.p_verdict if row.claimed else 1.0 for run, row in decided[place].items()}
        for place, each in enumerate(rankings)
        if each.posthoc in ("mean", "wilcoxon")
    }
    for members in _families(rankings, primary, decided):
        raw = [_raw(rankings[place], pair) for place, pair in members]
        for (place, pair), p in zip(members, holm(raw), strict=True):
            adjusted[place][pair.first, pair.second] = p
    return [
        _separated(each, symmetric(len(each.names), adjusted[place]), decided[place]) if place in adjusted else each
        for place, each in enumerate(rankings)
    ]


def pair_levels(
    rankings: Sequence[Ranking], primary: Collection[str] = (), verdicts: Sequence[Comparison] = ()
) -> list[dict[tuple[int, int], float]]:
    """The error rate at which `ranked_together` decided on each pair, by ranking; none for pairs that it did not test.

    An interval of the mean at 1 less that rate holds 0 exactly where the pair is not separated by means.
    """
    found: list[dict[tuple[int, int], float]] = [{} for _ in rankings]
    for members in _families(rankings, primary, [_decided(each, verdicts) for each in rankings]):
        rates = holm_levels([_raw(rankings[place], pair) for place, pair in members])
        for (place, pair), rate in zip(members, rates, strict=True):
            found[place][pair.first, pair.second] = rate
    return found


def _decided(ranking: Ranking, verdicts: Sequence[Comparison]) -> dict[int, Comparison]:
    """What was decided against the first run, by position, where pairs are tested as runs are against the first."""
    return {
        ranking.names.index(row.run): row
        for row in verdicts
        if ranking.posthoc == "mean"
        and row.metric == ranking.metric
        and row.stratum is None
        and row.run in ranking.names
    }


def _families(
    rankings: Sequence[Ranking], primary: Collection[str], decided: Sequence[Mapping[int, Comparison]]
) -> list[list[tuple[int, PairedRuns]]]:
    """The pairs that are corrected together, each with the position of its ranking."""
    families: dict[bool, list[tuple[int, PairedRuns]]] = {}
    for place, each in enumerate(rankings):
        if each.posthoc in ("mean", "wilcoxon"):
            known = {*each.untested, *((0, run) for run in decided[place])}
            tested = [(place, pair) for pair in each.pairs if (pair.first, pair.second) not in known]
            families.setdefault(each.metric in primary, []).extend(tested)
    return list(families.values())


def _raw(ranking: Ranking, pair: PairedRuns) -> float:
    return pair.p_mean if ranking.posthoc == "mean" else pair.p_wilcoxon


def _separated(
    ranking: Ranking, p: Sequence[Sequence[float]], decided: Mapping[int, Comparison] | None = None
) -> Ranking:
    """The ranking that follows from corrected p-values of all pairs, and from what is ``decided`` against the first."""
    k, decided = len(ranking.names), decided or {}
    untested = {pair for pair in ranking.untested if pair[0] or pair[1] not in decided}
    p = [[1.0 if (min(i, j), max(i, j)) in untested else p[i][j] for j in range(k)] for i in range(k)]
    ahead, otherwise = _ahead(ranking)
    differs = [[i != j and p[i][j] <= ranking.alpha for j in range(k)] for i in range(k)]
    better = [[differs[i][j] and ahead[i] > ahead[j] for j in range(k)] for i in range(k)]
    for run, row in decided.items():
        # Its own items decide, which may be more than those that all runs have.
        better[run][0], better[0][run] = (differs[0][run] and side for side in (row.delta > 0, row.delta < 0))
    bars, hidden = cliques(ranking.order, differs)
    seen = {
        (pair.first, pair.second): pair.p_wilcoxon_adjusted if ranking.posthoc == "mean" else pair.p_mean_adjusted
        for pair in ranking.pairs
    }
    conflicts = [
        (i, j)
        for i in range(k)
        for j in range(k)
        if better[i][j] and otherwise[i] < otherwise[j] and seen[min(i, j), max(i, j)] <= ranking.alpha
    ]
    return replace(
        ranking,
        p=tuple(map(tuple, p)),
        ranges=tuple(rank_ranges(better)),
        letters=tuple(letter_groups(ranking.order, differs)),
        bars=tuple(bars),
        hidden=tuple(hidden),
        conflicts=tuple(conflicts),
    )


def _ahead(ranking: Ranking) -> tuple[list[float], list[float]]:
    """What says which of two runs is the better one (higher is better): for the test that ranks, and for the other."""
    place = {run: -position for position, run in enumerate(ranking.order)}
    # Equal means have equal places: neither is ahead.
    means = [float(max(place[other] for other in place if ranking.means[other] == mean)) for mean in ranking.means]
    ranks = [-rank for rank in ranking.friedman.mean_ranks]
    return (means, ranks) if ranking.posthoc == "mean" else (ranks, means)


def _untested(
    scores: NDArray[np.float64],
    pairs: Sequence[PairedRuns],
    effective: float,
    known: NDArray[np.float64] | None = None,
) -> tuple[tuple[int, int], ...]:
    """Pairs of which nothing may be claimed: as between two runs, for too few documents or items that differ."""
    import numpy as np

    few = []
    for place, pair in enumerate(pairs):
        if known is not None and not np.isnan(known[place]):
            hopeless = bool(known[place])
        else:
            differing = np.count_nonzero(np.round(scores[pair.first] - scores[pair.second], TIE_DECIMALS))
            hopeless = effective < FEW_CLUSTERS or 0 < differing < FEW_ITEMS
        if hopeless:
            few.append((pair.first, pair.second))
    return tuple(few)


def pair_numbers(ranking: Ranking) -> NDArray[np.float64]:
    """What a ranking computed of each pair, before anything is corrected, shape (4, pairs).

    The difference, the p-values of the mean and of signed ranks, and whether the pair is untested (1 or 0).
    """
    import numpy as np

    untested = set(ranking.untested)
    rows = [
        (pair.delta, pair.p_mean, pair.p_wilcoxon, float((pair.first, pair.second) in untested))
        for pair in ranking.pairs
    ]
    return np.array(rows, np.float64).T
