"""Runs against the first of them, metric by metric: what differs, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, log2
from typing import TYPE_CHECKING, Any, Literal

from telbench.errors import InputError

from ...harness.cli.tables import difference_text
from ...metrics.contract import Metric
from ..runs.loaded import LoadedRun
from ..statistics import sign_flip
from ..statistics.clusters import Documents, Summed, clustered, documents, summed_up
from ..statistics.corpus import RESAMPLES, CorpusDifference
from ..statistics.multiplicity import benjamini_hochberg, holm, holm_levels
from ..statistics.paired import (
    FEW_CLUSTERS,
    FEW_ITEMS,
    PairedDifference,
    detectable,
    differences_of,
    paired_differences,
)
from .scored import Scored, corpora, scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ClusterBy = Literal["source_document", "category", "item"]
ALPHA = 0.05
NOT_SHOWN = "no difference shown"
FEW_DOCUMENTS = "too few source documents to tell"
FEW_DIFFER = "too few items differ to tell"
# A sentence names so many metrics, runs or rows; the rest are counted.
_NAMED = 3
# What a row is called in tables and fields.
OPPOSITE = ", but most items say the opposite"
SHORT = {
    "better": "better",
    "worse": "worse",
    f"better{OPPOSITE}": "better",
    f"worse{OPPOSITE}": "worse",
    NOT_SHOWN: "not shown",
    "identical": "identical",
    FEW_DOCUMENTS: "too few",
    FEW_DIFFER: "too few",
}
# What rows are sorted by: how a sentence begins with them, and how it goes on with them.
GROUPS = {
    "worse": ("{run} is worse than {base} on", "worse on"),
    "better": ("{run} is better than {base} on", "better on"),
    "not shown": ("No difference between {run} and {base} is shown on", "no difference shown on"),
    "identical": ("{run} and {base} have the same score on every item on", "the same score on every item on"),
    "too few": ("Nothing can be told of {run} and {base} on", "nothing can be told on"),
}


@dataclass(frozen=True)
class Comparison:
    """One metric of a run against the same metric of the first run, over the items that have it in both.

    ``values`` are (run, first run) on those items. ``items`` holds the paired statistics of item values; for corpus
    scores ``corpus`` holds the difference of the scores, its interval and p-value, which then stand for it. Positive is
    better throughout. ``p_adjusted`` is corrected by Holm over the runs compared in this metric, ``q`` by Benjamini and
    Hochberg over all metrics and runs, for exploring.

    The verdict rests on ``p_verdict``, corrected by Holm over all metrics and runs of its family (`decided`).
    ``ci_verdict`` is the interval at ``level_verdict``, the level at which Holm decides on the row: it holds 0 exactly
    where ``p_verdict`` is above 0.05. ``detectable`` is the smallest true difference that the row would have claimed
    with 80 % power. Where there are too few documents, ``p_verdict`` is 1 and there is no ``ci_verdict``. ``takes`` is
    how many documents a claim takes: more where the family is so large that fewer could never pass its correction.
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
    p_verdict: float = 1.0
    ci_verdict: tuple[float, float] | None = None
    level_verdict: float = 1 - ALPHA
    detectable: float | None = None
    takes: float = FEW_CLUSTERS

    @property
    def told(self) -> str:
        """The verdict with what it rests on: what would have been seen, or how much there is and how much it takes."""
        if self.verdict == NOT_SHOWN and self.detectable is not None:
            return f"{self.verdict}; would have seen {self.detectable:.2g}"
        if self.verdict == FEW_DOCUMENTS:
            return f"{self.verdict}: {self.items.effective_clusters:.1f} effective, it takes {self.takes:.0f}"
        if self.verdict == FEW_DIFFER:
            return f"{self.verdict}: {self.items.n_nonzero}, it takes {FEW_ITEMS}"
        return self.verdict

    @property
    def claimed(self) -> bool:
        """Is the run called better or worse?"""
        return self.verdict.startswith(("better", "worse"))

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
    primary: Collection[str] = (),
    resamples: int = RESAMPLES,
) -> list[Comparison]:
    """Every run after the first against the first, in every metric; ``strata``: once more within each category.

    Verdicts are corrected together over all rows of the whole data, and over all of the categories; ``primary`` metrics
    have families of their own. Metrics in which no item can be paired are left out. Raises `InputError` when nothing
    can be paired at all. ``resamples``: how many swaps and draws corpus scores have beside their test.
    """
    measured = measure_runs(runs, metrics, by=by, strata=strata, names=names, resamples=resamples)
    if not measured:
        raise InputError("no item has a score in both runs: there is nothing to compare")
    return decided([each for each, _ in measured], [data for _, data in measured], primary)


def measure_runs(
    runs: Sequence[LoadedRun],
    metrics: Sequence[Metric],
    *,
    by: ClusterBy = "source_document",
    strata: bool = False,
    names: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
) -> list[tuple[Comparison, Summed]]:
    """What `compare_runs` finds before anything is corrected, each with what is tested; none where nothing is paired.

    Corrections and verdicts need all metrics that are shown together (`decided`).
    """
    base, titles = runs[0], names or [run.name for run in runs]
    measured = []
    for stratum in (None, *(_categories(base) if strata else ())):
        items = [item for item in base.clusters if stratum is None or base.categories.get(item) == stratum]
        clusters = documents(cluster_names(base, items, by))
        for metric in metrics:
            columns = [scored(run, metric, items) for run in runs]
            measured += measure_columns(metric, columns, titles, clusters, stratum=stratum, resamples=resamples)
    return measured


def measure_columns(
    metric: Metric,
    columns: Sequence[Scored],
    names: Sequence[str],
    clusters: Documents,
    *,
    stratum: str | None = None,
    resamples: int = RESAMPLES,
) -> list[tuple[Comparison, Summed]]:
    """`measure_runs` of one metric as columns, the first run's first; ``clusters`` are those of all items."""
    base = columns[0]
    found = []
    for title, run in zip(names[1:], columns[1:], strict=True):
        kept = run.present & base.present
        if kept.any():
            found.append((title, run, kept, clusters.of(kept)))
    # The interval inverts the test of the p-value, of right or wrong too.
    data = [
        clustered(differences_of(run.values[kept], base.values[kept], higher_is_better=metric.higher_is_better), own)
        for _, run, kept, own in found
    ]
    records = paired_differences(data, [own.names for *_, own in found])
    wholes = (
        corpora(metric, base, [row[1:] for row in found], resamples)
        if metric.level == "corpus"
        else [None] * len(found)
    )
    measured = []
    for (title, run, kept, _), each, record, whole in zip(found, data, records, wholes, strict=True):
        corpus, scores, tested = whole or (None, _means(run, base, kept), each)
        comparison = Comparison(
            metric=metric.name,
            run=title,
            stratum=stratum,
            values=scores,
            n=each.n,
            unpaired=_unpaired(run, base, kept),
            items=record,
            corpus=corpus,
            p=record.p_mean if corpus is None else corpus.p,
            p_adjusted=1.0,
            q=1.0,
            verdict="",
        )
        measured.append((comparison, summed_up(tested.sums, tested.sizes)))
    return measured


def _means(run: Scored, base: Scored, kept: NDArray[np.bool_]) -> tuple[float, float]:
    return float(run.values[kept].mean()), float(base.values[kept].mean())


def cluster_names(run: LoadedRun, items: Sequence[str], by: ClusterBy) -> list[str]:
    """The cluster of each item."""
    if by == "item":
        return list(items)
    if by == "category":
        return [str(run.categories.get(item)) for item in items]
    return [run.clusters[item] for item in items]


def _unpaired(run: Scored, base: Scored, kept: NDArray[np.bool_]) -> dict[str, int]:
    """Why items lack a score on either side, counted."""
    import numpy as np

    counts: dict[str, int] = {}
    for place in np.flatnonzero(~kept).tolist():
        lacking = [side for side in (run, base) if not side.present[place]]
        told = "in both runs" if len(lacking) == 2 else f"in {lacking[0].run}"
        reason = f"{lacking[0].reasons.get(place) or 'no score'} {told}"
        counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items()))


def _categories(run: LoadedRun) -> list[str]:
    return sorted({category for category in run.categories.values() if category is not None})


def decided(measured: Sequence[Comparison], data: Sequence[Summed], primary: Collection[str] = ()) -> list[Comparison]:
    """The same corrected for how many they are, with verdicts; what is tested is ``data``, by row."""
    explored = benjamini_hochberg([each.p for each in measured])
    found = [
        replace(each, q=q, p_verdict=1.0, ci_verdict=None, verdict=verdict(each, 1.0))
        for each, q in zip(measured, explored, strict=True)
    ]
    metrics: dict[tuple[str, str | None], list[int]] = {}
    families: dict[tuple[bool, bool], list[int]] = {}
    for index, each in enumerate(measured):
        metrics.setdefault((each.metric, each.stratum), []).append(index)
        # What can claim nothing is no test, and costs the others nothing.
        if "few_clusters" not in each.items.flags:
            families.setdefault((each.metric in primary, each.stratum is None), []).append(index)
    for members in metrics.values():
        for index, p in zip(members, holm([measured[index].p for index in members]), strict=True):
            found[index] = replace(found[index], p_adjusted=p)
    for members in families.values():
        raw = [measured[index].p for index in members]
        # All signs alike are 2 of 2^G: with fewer documents not even these would pass the first step of Holm.
        takes = max(FEW_CLUSTERS, ceil(1 + log2(len(members) / ALPHA)))
        hopeless = max(measured[index].items.clusters for index in members) < takes
        rates = holm_levels(raw, ALPHA)
        # Of corpus scores, too, p is that of the sums.
        ends = sign_flip.intervals([data[index] for index in members], [1 - rate for rate in rates], raw)
        for index, p, rate, interval in zip(members, holm(raw), rates, ends, strict=True):
            told = verdict(measured[index], p)
            found[index] = replace(
                found[index],
                p_verdict=p,
                ci_verdict=interval,
                level_verdict=1 - rate,
                detectable=None if hopeless else detectable(data[index], ALPHA / len(members)),
                verdict=FEW_DOCUMENTS if hopeless and told == NOT_SHOWN else told,
                takes=takes,
            )
    return found


def verdict(each: Comparison, p_adjusted: float, alpha: float = ALPHA) -> str:
    """The difference in words; a claim needs enough items and documents."""
    flags = each.items.flags
    if "identical" in flags and each.delta == 0:
        return "identical"
    if "few_clusters" in flags:
        return FEW_DOCUMENTS
    if "few_items" in flags:
        return FEW_DIFFER
    if p_adjusted > alpha:
        return NOT_SHOWN
    word = "better" if each.delta > 0 else "worse"
    return f"{word}{OPPOSITE}" if "sign_conflict" in flags else word


def verdicts_told(rows: Sequence[Comparison], names: Sequence[str], metrics: Sequence[Metric], noun: str = "") -> str:
    """How many rows are worse, better, not shown, the same and untold, and which. None is set off against another.

    With a ``noun`` for the rows it is a sentence on the two runs. Differences are those of the values, run minus first
    run. ``names`` and ``metrics`` are of all that was compared.
    """
    clauses = []
    for group, (begin, go_on) in GROUPS.items():
        members = [each for each in rows if SHORT[each.verdict] == group]
        if not members:
            continue
        where, lead = str(len(members)), go_on
        if noun and not clauses:
            lead = begin.format(run=names[1], base=names[0])
            every = "any of" if group in ("not shown", "too few") else "all"
            share = every if len(members) == len(rows) else f"{len(members)} of"
            where = f"{'both' if share == 'all' and len(rows) == 2 else f'{share} {len(rows)}'} {noun}"
            where = rows[0].metric if len(rows) == 1 else where
        named = _listed(group, members, names, metrics, alone=len(rows) == 1 and bool(noun))
        if group == "identical" and len(members) == len(rows) and noun:
            named = ""
        clauses.append(f"{lead} {where}" + (f": {named}" if named else ""))
    return "; ".join(clauses)


def _listed(
    group: str, members: Sequence[Comparison], names: Sequence[str], metrics: Sequence[Metric], *, alone: bool
) -> str:
    """Rows of one group by name, with the number that their verdict rests on."""
    many, several = len(names) > 2, len(metrics) > 1
    labels = []
    for each in members:
        metric = each.metric if several or each.stratum is None else None
        label = " ".join(filter(None, (each.stratum, metric, f"of {each.run}" if many else None)))
        labels.append("" if alone else f"{label} ")
    if group in ("worse", "better"):
        return some([f"{label}{_claim(each, metrics)}" for label, each in zip(labels, members, strict=True)])
    if group == "not shown":
        told = [f"{label}{each.detectable or 0:.2g}" for label, each in zip(labels, members, strict=True)]
        return f"would have seen {some(told)}"
    if group == "identical":
        return some([label.rstrip() for label in labels])
    clauses = []
    if documents := [each for each in members if each.verdict == FEW_DOCUMENTS]:
        least = min(documents, key=lambda each: each.items.effective_clusters)
        clauses.append(
            f"{least.items.clusters} source documents tell as much as {least.items.effective_clusters:.1f} of equal "
            f"size, it takes {least.takes:.0f}"
        )
    few = [f"{label}{each.items.n_nonzero}" for label, each in zip(labels, members, strict=True)
           if each.verdict == FEW_DIFFER]  # fmt: skip
    return "; ".join([*clauses, *([f"too few items differ ({some(few)}), it takes {FEW_ITEMS}"] if few else [])])


def _claim(each: Comparison, metrics: Sequence[Metric]) -> str:
    """A difference as the values have it, with its interval and with what to know of it."""
    metric = next(metric for metric in metrics if metric.name == each.metric)
    notes = [] if metric.higher_is_better else ["lower is better"]
    if "sign_conflict" in each.items.flags:
        notes.append("most items say the opposite")
    everything = each.n + sum(each.unpaired.values())
    if each.n < 0.99 * everything:
        notes.append(f"{each.n} of {everything} items")
    told = difference_text(each.delta, each.ci_verdict, metric.range[1], higher_is_better=metric.higher_is_better)
    return told + (f" ({', '.join(notes)})" if notes else "")


def some(named: Sequence[str]) -> str:
    """The first three of them, and how many more.

    >>> some(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more
