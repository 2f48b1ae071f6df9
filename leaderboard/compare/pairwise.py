"""Runs against the first of them, metric by metric: what differs, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from telbench.errors import InputError

from ...metrics.contract import Metric
from ...metrics.intervals import aggregate, cluster_sums, score_of, statistics_matrix
from ..runs.loaded import LoadedRun
from ..statistics.corpus import CorpusDifference, corpus_difference
from ..statistics.multiplicity import family
from ..statistics.paired import PairedDifference, differences_of, paired_difference

ClusterBy = Literal["source_document", "category", "item"]
ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """One metric of a run against the same metric of the first run, over the items that have it in both.

    ``values`` are (run, first run) on those items. ``items`` holds the paired statistics of item values; for corpus
    scores ``corpus`` holds the difference of the scores, its interval and p-value, which then stand for it. Positive is
    better throughout. ``p_adjusted`` is corrected by Holm over the runs compared in this metric, ``q`` by Benjamini and
    Hochberg over all metrics and runs, for exploring.
    """

    metric: str
    run: str
    stratum: str | None
    values: tuple[float, float]
    n: int
    unpaired: Mapping[str, int]
    items: PairedDifference
    corpus: CorpusDifference | None
    p: float
    p_adjusted: float
    q: float
    verdict: str

    @property
    def delta(self) -> float:
        """The difference, positive where the run is better."""
        return self.corpus.delta if self.corpus is not None else self.items.delta

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the difference."""
        source = self.corpus or self.items
        return None if source.ci_low is None or source.ci_high is None else (source.ci_low, source.ci_high)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        interval = self.interval
        return {**asdict(self), "delta": self.delta, "ci": None if interval is None else list(interval)}


def compare_runs(
    runs: Sequence[LoadedRun],
    metrics: Sequence[Metric],
    *,
    by: ClusterBy = "source_document",
    strata: bool = False,
    names: Sequence[str] | None = None,
) -> list[Comparison]:
    """Every run after the first against the first, in every metric; ``strata``: once more within each category.

    Metrics in which no item can be paired are left out. Raises `InputError` when nothing can be paired at all.
    """
    base, titles = runs[0], names or [run.name for run in runs]
    measured = []
    for stratum in (None, *(_categories(base) if strata else ())):
        for metric in metrics:
            for title, run in zip(titles[1:], runs[1:], strict=True):
                found = _compared(run, base, metric, by, stratum, title)
                if found is not None:
                    measured.append(found)
    if not measured:
        raise InputError("no item has a score in both runs: there is nothing to compare")
    return _corrected(measured)


def compare_corpora(
    run: LoadedRun,
    base: LoadedRun,
    metric: Metric,
    items: Sequence[str],
    clusters: Sequence[str],
    level: float = 0.95,
) -> tuple[CorpusDifference, tuple[float, float]]:
    """The difference of two corpus scores over these items, positive where the run is better, and both scores."""
    matrices = [statistics_matrix(metric, [side.scores[metric.name][item] for item in items]) for side in (run, base)]
    _, summed = cluster_sums(matrices, clusters)
    sign = 1.0 if metric.higher_is_better else -1.0
    found = corpus_difference(summed[0], summed[1], lambda rows: sign * aggregate(metric, rows), level=level)
    return found, (score_of(metric, matrices[0]), score_of(metric, matrices[1]))


def cluster_names(run: LoadedRun, items: Sequence[str], by: ClusterBy) -> list[str]:
    """The cluster of each item."""
    if by == "item":
        return list(items)
    if by == "category":
        return [str(run.categories.get(item)) for item in items]
    return [run.clusters[item] for item in items]


def unpaired_reasons(run: LoadedRun, base: LoadedRun, name: str, items: Sequence[str]) -> dict[str, int]:
    """Why items lack a score on either side, counted."""
    counts: dict[str, int] = {}
    for item in items:
        lacking = [side for side in (run, base) if side.scores[name][item].value is None]
        if lacking:
            told = "in both runs" if len(lacking) == 2 else f"in {lacking[0].name}"
            reason = f"{lacking[0].scores[name][item].reason or 'no score'} {told}"
            counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items()))


def _categories(run: LoadedRun) -> list[str]:
    return sorted({category for category in run.categories.values() if category is not None})


def _compared(
    run: LoadedRun, base: LoadedRun, metric: Metric, by: ClusterBy, stratum: str | None, title: str
) -> Comparison | None:
    import numpy as np

    ours, theirs = run.scores[metric.name], base.scores[metric.name]
    items = [item for item in base.clusters if stratum is None or base.categories.get(item) == stratum]
    paired = [item for item in items if ours[item].value is not None and theirs[item].value is not None]
    if not paired:
        return None
    values = [np.array([side[item].value for item in paired], np.float64) for side in (ours, theirs)]
    clusters = cluster_names(base, paired, by)
    record = paired_difference(differences_of(*values, higher_is_better=metric.higher_is_better), clusters)
    corpus = None
    scores = float(values[0].mean()), float(values[1].mean())
    if metric.level == "corpus":
        corpus, scores = compare_corpora(run, base, metric, paired, clusters)
    return Comparison(
        metric=metric.name,
        run=title,
        stratum=stratum,
        values=scores,
        n=len(paired),
        unpaired=unpaired_reasons(run, base, metric.name, items),
        items=record,
        corpus=corpus,
        p=record.p_mean if corpus is None else corpus.p,
        p_adjusted=1.0,
        q=1.0,
        verdict="",
    )


def _corrected(measured: Sequence[Comparison]) -> list[Comparison]:
    groups: dict[tuple[str, str | None], list[int]] = {}
    for index, each in enumerate(measured):
        groups.setdefault((each.metric, each.stratum), []).append(index)
    adjusted: dict[int, float] = {}
    for (name, _), members in groups.items():
        found = family(f"runs against the first in {name}", [measured[index].p for index in members]).adjusted
        adjusted.update({index: p or 0.0 for index, p in zip(members, found, strict=True)})
    explored = family("all metrics and runs", [each.p for each in measured], "bh").adjusted
    return [
        replace(each, p_adjusted=adjusted[index], q=explored[index] or 0.0, verdict=verdict(each, adjusted[index]))
        for index, each in enumerate(measured)
    ]


def verdict(each: Comparison, p_adjusted: float, alpha: float = ALPHA) -> str:
    """The difference in words; a claim needs enough items and documents."""
    flags = each.items.flags
    if "identical" in flags and each.delta == 0:
        return "identical"
    if "few_clusters" in flags:
        return "too few source documents to tell"
    if "few_items" in flags:
        return "too few items differ to tell"
    if p_adjusted > alpha:
        return "no difference shown"
    word = "better" if each.delta > 0 else "worse"
    return f"{word}, but most items say the opposite" if "sign_conflict" in flags else word
