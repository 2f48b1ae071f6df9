"""Any two runs of a board in every metric: the decisions that its ranks, letters and verdicts rest on.

A pair with the baseline has the row's own comparison. The others have what the ranking decided on them, with the
interval of that decision. So a pair says nothing that a rank or a letter does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....metrics.intervals import aggregate, cluster_numbers
from ...compare.pairwise import ALPHA, FEW_DIFFER, FEW_DOCUMENTS, NOT_SHOWN, OPPOSITE, Comparison
from ...compare.ranking import Ranking, pair_levels
from ...statistics.all_pairs import exact_ends, near_ends
from ...statistics.corpus import SUM_DECIMALS, difference_sums
from ...statistics.paired import TIE_DECIMALS
from ..model.board import Board
from ..model.composite import OVERALL
from ..model.standings import MetricTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Up to so many pairs in all metrics every interval inverts its test; beyond, intervals are approximations.
EXACT_PAIRS = 1_000
_TURNED = {"better": "worse", "worse": "better"}


@dataclass(frozen=True)
class RunPair:
    """Run ``second`` minus run ``first``, places on the board, in one metric; positive is better.

    ``interval`` is the one that decided, None where nothing could be decided or ranks did. ``p`` is corrected over all
    pairs of its family. ``near``: the interval is an approximation.
    """

    first: int
    second: int
    delta: float
    interval: tuple[float, float] | None
    p: float
    verdict: str
    near: bool = False


@dataclass(frozen=True)
class _Job:
    table: MetricTable
    levels: Mapping[tuple[int, int], float]
    exact: bool


def turned(pair: RunPair) -> RunPair:
    """The same pair the other way round."""
    interval = None if pair.interval is None else (-pair.interval[1] + 0.0, -pair.interval[0] + 0.0)
    word, comma, rest = pair.verdict.partition(",")
    verdict = f"{_TURNED.get(word, word)}{comma}{rest}"
    return RunPair(pair.second, pair.first, -pair.delta + 0.0, interval, pair.p, verdict, pair.near)


def run_pairs(board: Board) -> list[list[RunPair]]:
    """All pairs of ranked runs, by table of the board; in each the place of ``first`` is the lower one."""
    rankings = [table.ranking for table in board.tables if table.ranking is not None]
    comparisons = [each for table in board.tables for each in table.comparisons]
    levels = iter(pair_levels(rankings, [OVERALL], comparisons))
    exact = sum(len(each.pairs) for each in rankings) <= EXACT_PAIRS
    jobs = [_Job(table, {} if table.ranking is None else next(levels), exact) for table in board.tables]
    return list(board.each_of(_Pairs(board), jobs))


@dataclass(frozen=True)
class _Pairs:
    board: Board

    def __call__(self, job: _Job) -> list[RunPair]:
        table, ranking = job.table, job.table.ranking
        places = sorted(row.run for row in table.rows)
        names = [self.board.runs[place].name for place in places]
        told = {names.index(each.run): each for each in table.comparisons if each.run in names}
        found = [_with_first(places[0], places[run], each) for run, each in told.items()]
        if ranking is not None:
            ends = _ends(self.board, job, places, ranking)
            found += [
                _decided(places, ranking, place, ends, near=not job.exact)
                for place, pair in enumerate(ranking.pairs)
                if pair.first or pair.second not in told
            ]
        return sorted(found, key=lambda pair: (pair.first, pair.second))


def _with_first(first: int, second: int, each: Comparison) -> RunPair:
    return RunPair(first, second, each.delta, each.ci_verdict, each.p_verdict, each.verdict)


def _decided(places: Sequence[int], ranking: Ranking, number: int, ends: NDArray[np.float64], *, near: bool) -> RunPair:
    """A pair of a ranking, turned so that the second run is held against the first."""
    import numpy as np

    pair = ranking.pairs[number]
    p, low, high = ranking.p[pair.first][pair.second], *(-ends[::-1, number] + 0.0).tolist()
    interval = None if np.isnan(low) or np.isnan(high) else (low, high)
    delta = -pair.delta + 0.0
    ahead = delta
    if ranking.posthoc != "mean":
        ranks = ranking.friedman.mean_ranks
        # The lower mean rank is the better one.
        ahead, interval = ranks[pair.first] - ranks[pair.second], None
    if p <= ALPHA and ahead:
        ordered = (pair.second, pair.first) if ahead > 0 else (pair.first, pair.second)
        verdict = ("better" if ahead > 0 else "worse") + (OPPOSITE if ordered in ranking.conflicts else "")
    elif ranking.few_clusters:
        verdict = FEW_DOCUMENTS
    elif (pair.first, pair.second) in ranking.untested:
        verdict, interval = FEW_DIFFER, None
    else:
        verdict = "identical" if interval == (0.0, 0.0) else NOT_SHOWN
    return RunPair(places[pair.first], places[pair.second], delta, interval, p, verdict, near and interval is not None)


def _ends(board: Board, job: _Job, places: Sequence[int], ranking: Ranking) -> NDArray[np.float64]:
    """Ends of all pairs' intervals (first minus second), shape (2, pairs); NaN for pairs that were not tested."""
    import numpy as np

    ends = np.full((2, len(ranking.pairs)), np.nan)
    rows = [place for place, pair in enumerate(ranking.pairs) if (pair.first, pair.second) in job.levels]
    if not rows or ranking.posthoc != "mean":
        return ends
    sums, sizes, decimals = _sums(board, job.table, places)
    pairs = [ranking.pairs[row] for row in rows]
    if sums.ndim == 2:
        differences = sums[[pair.first for pair in pairs]] - sums[[pair.second for pair in pairs]]
    else:
        metric = job.table.metric
        sign = 1.0 if metric.higher_is_better else -1.0
        differences = np.array(
            [
                difference_sums(sums[pair.first], sums[pair.second], lambda totals: sign * aggregate(metric, totals))
                for pair in pairs
            ]
        )
    differences = np.round(differences, decimals) + 0.0
    rates = np.array([job.levels[pair.first, pair.second] for pair in pairs])
    if job.exact:
        ends[:, rows] = exact_ends(differences, sizes, rates)
    else:
        ends[:, rows] = near_ends(differences, sizes, rates, np.array([pair.p_mean for pair in pairs]))
    return ends


def _sums(
    board: Board, table: MetricTable, places: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """What `rank_runs` ranks: scores summed by cluster, or statistics of the corpus; items by cluster; decimals."""
    import numpy as np

    columns = [board.runs[place].columns for place in places]
    values = np.array([each.values[table.name] for each in columns])
    kept = np.flatnonzero(np.isfinite(values).all(axis=0))
    first = columns[0]
    by = board.options.by
    groups = first.items if by == "item" else first.clusters if by == "source_document" else first.categories
    _, membership = cluster_numbers([str(groups[place]) for place in kept.tolist()])
    sizes = np.bincount(membership).astype(np.float64)
    if table.metric.level != "corpus":
        sign = 1.0 if table.metric.higher_is_better else -1.0
        sums = np.array([np.bincount(membership, weights=sign * row) for row in values[:, kept]], np.float64)
        return sums, sizes, TIE_DECIMALS
    stats = [each.stats[table.name][kept] for each in columns]
    summed = np.zeros((len(columns), len(sizes), stats[0].shape[1] + 1))
    for total, rows in zip(summed, stats, strict=True):
        np.add.at(total[:, :-1], membership, rows)
        total[:, -1] = sizes
    return summed, sizes, SUM_DECIMALS
