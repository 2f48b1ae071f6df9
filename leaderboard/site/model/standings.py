"""One metric of the board: for each run its rank range, value with interval, difference to the baseline and letters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from ....metrics.contract import Metric
from ...compare.pairwise import Comparison, decided
from ...compare.ranking import Ranking, ranked_together
from ...statistics.clusters import Summed
from ...statistics.ranks import letter_groups, rank_ranges
from .columns import RunColumns
from .eligibility import Apart


@dataclass(frozen=True)
class Standing:
    """One run in one metric; ``run`` is its place among the board's runs.

    ``entry`` is what the run's header says of the metric (value, interval, n, missing, calibration). ``ranks`` are the
    best and the worst rank that the run may have. ``comparison`` is against the baseline, None for the baseline itself
    and where the baseline has no score.
    """

    run: int
    entry: Mapping[str, Any]
    ranks: tuple[int, int]
    letters: str
    comparison: Comparison | None


@dataclass(frozen=True)
class Partly:
    """A run that lacks ``lacking``, parts of the composite: compared with the baseline over the parts that both have.

    ``run`` is its place among the board's runs. It has no rank, as the others are ranked over all parts.
    """

    run: int
    shared: tuple[str, ...]
    lacking: tuple[str, ...]
    comparison: Comparison


@dataclass(frozen=True)
class MetricTable:
    """One metric of a board, best value first; ``apart`` are runs that are not ranked in it.

    ``ranking`` is there for three runs or more. ``detectable`` is the smallest true difference to the baseline that
    these items find with 80 % power after correction, the median over the runs. ``partly`` are runs that lack a part
    of the composite. ``comparisons`` are with the first run that is ranked, whether it is the baseline or not.
    """

    metric: Metric
    rows: tuple[Standing, ...]
    apart: tuple[Apart, ...]
    ranking: Ranking | None
    n: int
    clusters: int
    effective_clusters: float
    detectable: float | None
    partly: tuple[Partly, ...] = ()
    comparisons: tuple[Comparison, ...] = ()

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.metric.name

    @property
    def signature(self) -> str:
        """How the ranked runs computed it, encoder and judge included."""
        return str(self.rows[0].entry["signature"])


@dataclass(frozen=True)
class Measured:
    """The statistics of one metric: runs against the baseline (with what is tested), and all of them ranked.

    Verdicts come when all metrics are there (`decided_together`).
    """

    comparisons: tuple[Comparison, ...]
    ranking: Ranking | None
    tested: tuple[Summed, ...] = ()


def within_margin(each: Comparison, margin: float) -> str:
    """Is the run shown not to be worse than the baseline by more than the margin? By the interval that decided.

    The gate asks the same with a one-sided bound at 95 %, for one candidate: it may pass where a board of many runs
    shows nothing.
    """
    if "identical" in each.items.flags:
        return "shown"
    if each.ci_verdict is None:
        return "not shown"
    low, high = each.ci_verdict
    return "shown" if low > -margin else "worse" if high < -margin else "not shown"


def decided_together(found: Sequence[Measured], primary: Collection[str] = ()) -> list[Measured]:
    """The same with verdicts, ranks and ``q`` corrected over all metrics, verdicts of ``primary`` ones apart."""
    measured = [each for one in found for each in one.comparisons]
    told = decided(measured, [data for one in found for data in one.tested], primary)
    rankings = iter(ranked_together([one.ranking for one in found if one.ranking is not None], primary, told))
    verdicts = iter(told)
    return [
        replace(
            one,
            comparisons=tuple(next(verdicts) for _ in one.comparisons),
            ranking=None if one.ranking is None else next(rankings),
        )
        for one in found
    ]


def metric_table(
    metric: Metric,
    runs: Sequence[RunColumns],
    places: Sequence[int],
    names: Sequence[str],
    found: Measured,
    apart: Sequence[Apart],
    *,
    baseline: bool,
) -> MetricTable:
    """Rows of the table. ``places`` are the runs' among the board's; ``baseline``: the first run is the baseline."""
    by_name = {each.run: each for each in found.comparisons}
    comparisons = [by_name.get(name) if index else None for index, name in enumerate(names)]
    ranks, letters = _standing(found, comparisons)
    if not baseline:
        comparisons = [None] * len(runs)
    sign = 1.0 if metric.higher_is_better else -1.0
    rows = [
        Standing(place, run.header["metrics"][metric.name], ranks[index], letters[index], comparisons[index])
        for index, (run, place) in enumerate(zip(runs, places, strict=True))
    ]
    rows.sort(key=lambda row: (-sign * row.entry["value"], row.run))
    records = [each.items for each in found.comparisons]
    seen = [each.detectable for each in found.comparisons if each.detectable is not None]
    return MetricTable(
        metric=metric,
        rows=tuple(rows),
        apart=tuple(apart),
        ranking=found.ranking,
        n=max((row.entry["n"] for row in rows), default=0),
        clusters=max((each.clusters for each in records), default=0),
        effective_clusters=min((each.effective_clusters for each in records), default=0.0),
        detectable=median(seen) if seen and baseline else None,
        comparisons=found.comparisons,
    )


def _standing(found: Measured, comparisons: Sequence[Comparison | None]) -> tuple[list[tuple[int, int]], list[str]]:
    """Rank ranges and letters by run: from the ranking, or without one from the comparisons with the first."""
    if found.ranking is not None:
        return list(found.ranking.ranges), list(found.ranking.letters)
    count = len(comparisons)
    differs = [[False] * count for _ in range(count)]
    better = [[False] * count for _ in range(count)]
    for run, each in enumerate(comparisons):
        if each is not None and each.claimed:
            differs[0][run] = differs[run][0] = True
            better[run][0], better[0][run] = each.delta > 0, each.delta < 0
    ahead = [0.0 if each is None else each.delta for each in comparisons]
    order = sorted(range(count), key=lambda run: -ahead[run])
    return rank_ranges(better), letter_groups(order, differs)
