"""Runs of several models on several data sets: who is ahead on each, and over all of them by stated weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from telbench.errors import IncomparableError, InputError

from ...harness.cli.tables import Block, Grid, Words, difference_text, number, p_value
from ...harness.suite.table import HEADLINE
from ...metrics.contract import Metric
from ..runs.loaded import LoadedRun, require_alike, shared_metrics
from ..statistics.clusters import FEW_CLUSTERS, clustered
from ..statistics.multiplicity import holm, holm_levels
from ..statistics.paired import PairedDifference, differences_of, paired_difference
from ..statistics.ranks import rank_ranges
from .overall import BY_ITEMS, EQUAL, Overall, Part, overall, part_of, weights_of
from .pairwise import ALPHA, ClusterBy, cluster_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Metrics that are averaged go from 0 to 1 (`headline_metric`).
SCORES, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)


@dataclass(frozen=True)
class SetResult:
    """One data set: its metric, the runs' means on the items that all have, and each run against the first.

    ``weight`` is the set's share of the overall mean; ``parts`` are each run's, ``pairs`` those of each pair of runs
    (first position, second position) to the difference second minus first.
    """

    name: str
    metric: str
    n: int
    documents: float
    weight: float
    means: tuple[float, ...]
    against_first: tuple[PairedDifference, ...]
    parts: tuple[Part, ...]
    pairs: Mapping[tuple[int, int], Part]


@dataclass(frozen=True)
class SetsCompared:
    """All data sets, and what they come to: each model's mean over them, and the difference of each pair of models.

    ``p`` are the pairs' p-values by Holm, ``ranges`` the ranks that each model may have: models that no pair separates
    share theirs. A pair with fewer degrees of freedom than six documents have claims nothing: its p-value is 1.
    """

    names: tuple[str, ...]
    weights: str
    sets: tuple[SetResult, ...]
    means: tuple[Overall, ...]
    pairs: Mapping[tuple[int, int], Overall]
    p: Mapping[tuple[int, int], float]
    ranges: tuple[tuple[int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return {
            "schema_version": 1,
            "runs": list(self.names),
            "weights": self.weights,
            "data": [
                {
                    "name": each.name,
                    "metric": each.metric,
                    "n": each.n,
                    "effective_documents": each.documents,
                    "weight": each.weight,
                    "means": list(each.means),
                    "against_first": [found.to_dict() for found in each.against_first],
                }
                for each in self.sets
            ],
            "overall": {
                "means": [each.to_dict() for each in self.means],
                "pairs": [
                    {
                        "run": self.names[second],
                        "other": self.names[first],
                        **found.to_dict(),
                        "p_adjusted": self.p[first, second],
                    }
                    for (first, second), found in self.pairs.items()
                ],
                "ranks": [list(each) for each in self.ranges],
            },
        }


def by_set(runs: Sequence[LoadedRun]) -> dict[str, list[LoadedRun]] | None:
    """The runs by data set, models in one order; None where not even two data sets have two runs or more.

    Raises:
        IncomparableError: for a model that lacks a data set or has it twice, or runs of one set measured differently.
    """
    groups: dict[str, list[LoadedRun]] = {}
    for run in runs:
        groups.setdefault(str(run.header["data"].get("items_sha256")), []).append(run)
    if sum(len(group) > 1 for group in groups.values()) < 2:
        return None
    models = list(dict.fromkeys(run.name for run in runs))
    sets: dict[str, list[LoadedRun]] = {}
    for group in groups.values():
        data = group[0].header["data"]
        name = next(each for each in names_of(data) if each not in sets)
        named = [run.name for run in group]
        for model in models:
            if named.count(model) != 1:
                told = "no run" if model not in named else f"{named.count(model)} runs"
                raise IncomparableError(
                    f"{model} has {told} on {name}: over several data sets each model has one on each"
                )
        require_alike(group)
        sets[name] = [group[named.index(model)] for model in models]
    return sets


def names_of(data: Mapping[str, Any]) -> Iterator[str]:
    """What a data set may be called, the shortest first; sets of one name need more to be told apart."""
    name, split, n = data.get("name"), data.get("split"), data.get("n")
    yield str(name)
    yield f"{name} ({split})"
    yield f"{name} ({split}, {n} items)"
    yield f"{name} ({split}, {str(data.get('items_sha256'))[:8]})"


def compare_sets(
    sets: Mapping[str, Sequence[LoadedRun]],
    *,
    weights: str = EQUAL,
    primary: Sequence[str] = (),
    by: ClusterBy,
    metrics: Mapping[str, Metric] | None = None,
) -> SetsCompared:
    """Every data set by one metric, and the weighted mean over them; ``metrics``: by which, where that is known.

    Intervals of differences are at the level at which Holm decides on the pair. So they hold 0 where nothing is shown.

    Raises:
        InputError: where a set has no metric from 0 to 1 that all its runs share, or weights do not fit.
    """
    metrics = metrics or {name: headline_metric(name, runs, primary) for name, runs in sets.items()}
    items = {name: _common(runs, metrics[name]) for name, runs in sets.items()}
    shares = weights_of(weights, {name: len(each) for name, each in items.items()})
    results = [_result(name, runs, metrics[name], items[name], shares[name], by) for name, runs in sets.items()]
    names = tuple(run.name for run in next(iter(sets.values())))
    couples = list(combinations(range(len(names)), 2))
    alone = [overall([each.pairs[couple] for each in results], within=DIFFERENCES) for couple in couples]
    # As of two runs on one data set: what rests on too few documents claims nothing.
    raw = [1.0 if too_few(each) else each.p for each in alone]
    p = dict(zip(couples, holm(raw), strict=True))
    pairs = {
        couple: overall([each.pairs[couple] for each in results], 1 - rate, DIFFERENCES)
        for couple, rate in zip(couples, holm_levels(raw, ALPHA), strict=True)
    }
    better = [[False] * len(names) for _ in names]
    for (first, second), found in pairs.items():
        if p[first, second] <= ALPHA:
            ahead, behind = (second, first) if found.mean > 0 else (first, second)
            better[ahead][behind] = True
    return SetsCompared(
        names=names,
        weights=weights,
        sets=tuple(results),
        means=tuple(overall([each.parts[place] for each in results], within=SCORES) for place in range(len(names))),
        pairs=pairs,
        p=p,
        ranges=tuple(rank_ranges(better)),
    )


def too_few(found: Overall) -> bool:
    """Are there too few source documents, over all data sets, for a claim?"""
    return found.degrees < FEW_CLUSTERS - 1


def headline_metric(name: str, runs: Sequence[LoadedRun], primary: Sequence[str]) -> Metric:
    """The metric of a data set: the first of ``primary`` that its runs share, else of `HEADLINE`, else the only one."""
    shared = {metric.name: metric for metric in shared_metrics(runs, None, lenient=True)}
    fits = {
        key: metric
        for key, metric in shared.items()
        if metric.level == "item" and metric.range == (0, 1) and metric.higher_is_better
    }
    for wanted in (*primary, *HEADLINE):
        if wanted in fits:
            return fits[wanted]
    if len(fits) == 1:
        return next(iter(fits.values()))
    raise InputError(
        f"{name}: no metric to average over data sets: name one from 0 to 1 with --primary, of "
        f"{', '.join(shared) or 'those that all runs share: there is none'}"
    )


def _common(runs: Sequence[LoadedRun], metric: Metric) -> list[str]:
    """The items that have a score in all runs. Raises `InputError` where there is none."""
    columns = [run.scores[metric.name] for run in runs]
    items = [item for item in runs[0].clusters if all(column[item].value is not None for column in columns)]
    if not items:
        raise InputError(f"{metric.name}: no item of {runs[0].header['data'].get('name')} has a score in all runs")
    return items


def _result(
    name: str, runs: Sequence[LoadedRun], metric: Metric, items: Sequence[str], weight: float, by: ClusterBy
) -> SetResult:
    import numpy as np

    columns = [np.array([run.scores[metric.name][item].value for item in items], np.float64) for run in runs]
    return set_result(name, metric.name, columns, cluster_names(runs[0], items, by), weight)


def set_result(
    name: str, metric: str, columns: Sequence[NDArray[np.float64]], clusters: Sequence[str], weight: float
) -> SetResult:
    """One data set from the runs' values, item by item, with the source document of each item."""
    pairs = {
        (first, second): part_of(differences_of(columns[second], columns[first]), clusters, weight)
        for first, second in combinations(range(len(columns)), 2)
    }
    found = [paired_difference(differences_of(each, columns[0]), clusters, adjusted_wald=False) for each in columns[1:]]
    return SetResult(
        name=name,
        metric=metric,
        n=len(clusters),
        documents=clustered(columns[0], clusters).effective_groups,
        weight=weight,
        means=tuple(float(column.mean()) for column in columns),
        against_first=tuple(found),
        parts=tuple(part_of(column, clusters, weight, differences=False) for column in columns),
        pairs=pairs,
    )


def sets_report(found: SetsCompared) -> list[Block]:
    """The answer in a sentence, then a row a data set and one over all of them."""
    blocks: list[Block] = [Words(answer(found), "answer")]
    few = [each.name for each in found.sets if each.documents < FEW_CLUSTERS]
    if few:
        blocks.append(
            Words(f"too few source documents or items on {', '.join(few)}: what they add is uncertain", "warning")
        )
    blocks.append(Words(f"Scores by data set; the overall mean weighs them {weighed(found)}.", "title"))
    rows = [
        (each.name, each.metric, f"{each.n:,}", f"{each.weight:.3g}", *(number(mean, 1) for mean in each.means))
        for each in found.sets
    ]
    total = f"{sum(each.n for each in found.sets):,}"
    rows.append(("OVERALL", "", total, "1", *(number(each.mean, 1) for each in found.means)))
    heads, sides = ("data", "metric", "n", "weight", *found.names), "<<>>" + ">" * len(found.names)
    blocks.append(Grid(heads, tuple(rows), sides, spare=("n", "metric")))
    for place, name in enumerate(found.names[1:]):
        whole = found.pairs[0, place + 1]
        blocks.append(Words(f"{name} against {found.names[0]}", "title"))
        against = [
            (each.name, difference_text(one.delta, _ends(one.ci_low, one.ci_high), 1), p_value(one.p_mean))
            for each in found.sets
            for one in (each.against_first[place],)
        ]
        against.append(
            ("OVERALL", difference_text(whole.mean, (whole.ci_low, whole.ci_high), 1), p_value(found.p[0, place + 1]))
        )
        blocks.append(Grid(("data", "difference", "p"), tuple(against), "<>>"))
    if len(found.names) > 2:
        blocks.append(Words("Standings over all data sets; models that share a rank are not separated", "title"))
        order = sorted(range(len(found.names)), key=lambda place: -found.means[place].mean)
        standing = [(_rank(found.ranges[place]), found.names[place], _mean(found.means[place])) for place in order]
        blocks.append(Grid(("rank", "run", "overall"), tuple(standing), "<<>"))
    note = "p of OVERALL is corrected by Holm over the pairs of models; those of single data sets are not."
    blocks.append(Words(note))
    return blocks


def answer(found: SetsCompared) -> str:
    """What it comes to, in a sentence."""
    if len(found.names) == 1:
        over = f"over {len(found.sets)} data sets, weighed {weighed(found)}"
        return f"{found.names[0]} has {_mean(found.means[0])} {over}."
    over = f"Over {len(found.sets)} data sets, weighed {weighed(found)}, "
    if len(found.names) == 2:
        whole = found.pairs[0, 1]
        difference = difference_text(whole.mean, (whole.ci_low, whole.ci_high), 1)
        if too_few(whole):
            return f"{over}there are too few source documents to tell {found.names[1]} and {found.names[0]} apart."
        if found.p[0, 1] > ALPHA:
            return f"{over}{found.names[1]} and {found.names[0]} are tied: {difference}."
        word = "better" if whole.mean > 0 else "worse"
        return f"{over}{found.names[1]} is {word} than {found.names[0]}: {difference}."
    first = [found.names[place] for place, each in enumerate(found.ranges) if each[0] == 1]
    if len(first) == len(found.names):
        return f"{over}no model is shown to be better than another."
    return f"{over}{first[0]} leads." if len(first) == 1 else f"{over}{', '.join(first)} are tied for the lead."


def weighed(found: SetsCompared) -> str:
    """How the data sets are weighed, in words."""
    return {EQUAL: "equally", BY_ITEMS: "by their items"}.get(found.weights, f"as told ({found.weights})")


def _ends(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


def _rank(ends: tuple[int, int]) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]}-{ends[1]}"


def _mean(each: Overall) -> str:
    low, high = number(each.ci_low, 1), number(each.ci_high, 1)
    return f"{number(each.mean, 1)} [{low}, {high}]"
