"""What a comparison comes to: sentences for somebody who reads no table, and the same as fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...harness.cli.tables import difference_text, number
from ...metrics.contract import Metric
from ..runs.loaded import LoadedRun
from ..statistics.factorial import Study
from ..statistics.paired import FEW_CLUSTERS, FEW_ITEMS
from .pairwise import ALPHA, FEW_DIFFER, FEW_DOCUMENTS, NOT_SHOWN, Comparison
from .ranking import Ranking
from .seeds import Recipe, SeedEffect

# A sentence names so many metrics, runs or rows; the rest are counted.
_NAMED = 3
# What a row is called in tables and fields.
SHORT = {NOT_SHOWN: "not shown", FEW_DOCUMENTS: "too few", FEW_DIFFER: "too few"}
# What rows are sorted by: how a sentence begins with them, and how it goes on with them.
_GROUPS = {
    "worse": ("{run} is worse than {base} on", "worse on"),
    "better": ("{run} is better than {base} on", "better on"),
    "not shown": ("No difference between {run} and {base} is shown on", "no difference shown on"),
    "identical": ("{run} and {base} have the same score on every item on", "the same score on every item on"),
    "too few": ("Nothing can be told of {run} and {base} on", "nothing can be told on"),
}


@dataclass(frozen=True)
class Compared:
    """Runs that were measured alike (averaged over seeds where that was asked), and each against the first.

    ``primary`` names the metrics that decide; ``cluster`` is what was drawn as a whole. Rankings are there from three
    runs on, seeds and studies where they were asked for.
    """

    runs: Sequence[LoadedRun]
    names: Sequence[str]
    metrics: Sequence[Metric]
    recipes: Sequence[Recipe]
    pairs: Sequence[Comparison]
    notes: Sequence[str] = ()
    primary: Sequence[str] = ()
    cluster: str = "source_document"
    rankings: Sequence[Ranking] = ()
    seeds: Sequence[SeedEffect] = ()
    studies: Mapping[str, Study] = field(default_factory=dict)

    def families(self) -> list[tuple[str, list[Comparison]]]:
        """Rows that are told together: of the metrics that decide (all without ``primary``), of others, of categories.

        Empty ones are left out.
        """
        parts: dict[str, list[Comparison]] = {"primary ": [], "": [], "other ": [], "category": []}
        for each in self.pairs:
            name = "" if not self.primary else "primary " if each.metric in self.primary else "other "
            parts[name if each.stratum is None else "category"].append(each)
        return [(name, rows) for name, rows in parts.items() if rows]


def answer(found: Compared) -> list[str]:
    """Sentences: who is better or worse than the first run, or who leads; the one that counts is the first.

    What a study's factors do comes first, then metrics that decide, then others, then categories. Differences are
    those of the values, run minus first run: a gain is negative where lower is better.
    """
    told = [_of_study(name, study) for name, study in found.studies.items()]
    for family, rows in found.families():
        if family == "category":
            told.append(f"Within categories ({len(rows)} rows): {_verdicts(found, rows)}.")
        elif len(found.runs) > 2:
            told += _leaders(found, family, {each.metric for each in rows})
        elif family == "other ":
            told.append(f"Other metrics ({len(rows)}): {_verdicts(found, rows)}.")
        else:
            told.append(f"{_verdicts(found, rows, f'{family}metrics')}.")
    return [*told, *([_over_seeds(found)] if found.seeds else [])]


def answer_fields(found: Compared) -> dict[str, Any]:
    """The same for programs: ``sentences``, each run's metrics by verdict, and who leads in each metric."""
    return {
        "sentences": answer(found),
        "decides": "primary" if found.primary else "shown",
        "against_first": [
            {"run": name, "metrics": family.strip() or "shown", **_fields(found, [e for e in rows if e.run == name])}
            for family, rows in found.families()
            if family != "category"
            for name in found.names[1:]
        ],
        "leaders": [
            {
                "metric": each.metric,
                "leaders": [each.names[place] for place in leading(each)],
                "separated": any(span != (1, len(each.names)) for span in each.ranges),
                "too_few_source_documents": each.few_clusters,
            }
            for each in found.rankings
        ],
    }


def group_of(each: Comparison) -> str:
    """A row's verdict in a word or two."""
    return SHORT.get(each.verdict, each.verdict).partition(",")[0]


def leading(ranking: Ranking) -> list[int]:
    """Runs that none is shown to be better than, best mean first, by position."""
    return [place for place in ranking.order if ranking.ranges[place][0] == 1]


def raw_difference(each: Comparison, metric: Metric) -> tuple[float, tuple[float, float] | None]:
    """Run minus first run as the two values have it, with its interval: a gain is negative where lower is better."""
    if metric.higher_is_better or each.ci_verdict is None:
        return (each.delta if metric.higher_is_better else -each.delta), each.ci_verdict
    return -each.delta, (-each.ci_verdict[1], -each.ci_verdict[0])


def _verdicts(found: Compared, rows: Sequence[Comparison], noun: str = "") -> str:
    """How many rows are worse, better, not shown, the same and untold, and which. None is set off against another.

    With a ``noun`` for the rows it is a sentence on the two runs.
    """
    clauses = []
    for group, (begin, go_on) in _GROUPS.items():
        members = [each for each in rows if group_of(each) == group]
        if not members:
            continue
        where, lead = str(len(members)), go_on
        if noun and not clauses:
            lead = begin.format(run=found.names[1], base=found.names[0])
            every = "any of" if group in ("not shown", "too few") else "all"
            share = every if len(members) == len(rows) else f"{len(members)} of"
            where = f"{'both' if share == 'all' and len(rows) == 2 else f'{share} {len(rows)}'} {noun}"
            where = rows[0].metric if len(rows) == 1 else where
        named = _listed(found, group, members, alone=len(rows) == 1 and bool(noun))
        if group == "identical" and len(members) == len(rows) and noun:
            named = ""
        clauses.append(f"{lead} {where}" + (f": {named}" if named else ""))
    return "; ".join(clauses)


def _listed(found: Compared, group: str, members: Sequence[Comparison], *, alone: bool) -> str:
    """Rows of one group by name, with the number that their verdict rests on."""
    many, several = len(found.runs) > 2, len({each.metric for each in found.pairs}) > 1
    labels = []
    for each in members:
        metric = each.metric if several or each.stratum is None else None
        label = " ".join(filter(None, (each.stratum, metric, f"of {each.run}" if many else None)))
        labels.append("" if alone else f"{label} ")
    if group in ("worse", "better"):
        return _some([f"{label}{claim_text(found, each)}" for label, each in zip(labels, members, strict=True)])
    if group == "not shown":
        told = [f"{label}{each.detectable or 0:.2g}" for label, each in zip(labels, members, strict=True)]
        return f"would have seen {_some(told)}"
    if group == "identical":
        return _some([label.rstrip() for label in labels])
    clauses = []
    if documents := [each.items for each in members if each.verdict == FEW_DOCUMENTS]:
        least = min(documents, key=lambda items: items.effective_clusters)
        clauses.append(
            f"{least.clusters} source documents tell as much as {least.effective_clusters:.1f} of equal size, it takes "
            f"{FEW_CLUSTERS:.0f}"
        )
    few = [f"{label}{each.items.n_nonzero}" for label, each in zip(labels, members, strict=True)
           if each.verdict == FEW_DIFFER]  # fmt: skip
    return "; ".join([*clauses, *([f"too few items differ ({_some(few)}), it takes {FEW_ITEMS}"] if few else [])])


def claim_text(found: Compared, each: Comparison) -> str:
    """A difference as the values have it, with its interval and with what to know of it."""
    metric = next(metric for metric in found.metrics if metric.name == each.metric)
    notes = [] if metric.higher_is_better else ["lower is better"]
    if "sign_conflict" in each.items.flags:
        notes.append("most items say the opposite")
    everything = each.n + sum(each.unpaired.values())
    if each.n < 0.99 * everything:
        notes.append(f"{each.n} of {everything} items")
    return difference_text(*raw_difference(each, metric), metric.range[1]) + (f" ({', '.join(notes)})" if notes else "")


def _some(named: Sequence[str]) -> str:
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more


def _leaders(found: Compared, family: str, names: set[str]) -> list[str]:
    """Of three runs or more: who leads in how many of these metrics, then each of them."""
    ranked = [each for each in found.rankings if each.metric in names]
    counts: dict[str, int] = {}
    for each in ranked:
        for place in leading(each) if len(leading(each)) < len(each.names) else ():
            counts[each.names[place]] = counts.get(each.names[place], 0) + 1
    best = sorted(counts, key=lambda name: -counts[name])
    noun, told = f"{len(ranked)} {family}metrics", []
    if len(ranked) > 1 and best:
        led = [f"{name} {'on ' if place else 'leads or ties for the lead on '}{counts[name]}"
               for place, name in enumerate(best)]  # fmt: skip
        told.append(f"Of {len(found.names)} runs on {noun}, {_some(led)}.")
    elif len(ranked) > 1:
        told.append(f"No run of {len(found.names)} is shown to be better than another on any of {noun}.")
    return told + [_leader(found, each) for each in ranked]


def _leader(found: Compared, ranking: Ranking) -> str:
    """Who leads in one metric and who ties, and how the runs stand to the first."""
    metric = next(metric for metric in found.metrics if metric.name == ranking.metric)
    by_mean = ranking.posthoc == "mean"
    head = ranking.metric + ("" if metric.higher_is_better else " (lower is better)")
    head += "" if by_mean else f", ranked by {ranking.posthoc}"
    if ranking.few_clusters:
        return (
            f"{head}: nothing can be ranked: {ranking.blocks} source documents tell as much as "
            f"{ranking.effective_clusters:.1f} of equal size, it takes {FEW_CLUSTERS:.0f}."
        )
    first = leading(ranking)
    best, score = ranking.names[first[0]], number(ranking.means[first[0]], metric.range[1])
    others = _some([ranking.names[place] for place in first[1:]])
    said = f"{best} leads with {score}, {f'tied with {others}' if others else 'alone'}"
    if len(first) == len(ranking.names):
        said = f"no run is shown to be better than another; {best} has the best score, {score}"
    rows = [each for each in found.pairs if each.metric == ranking.metric and each.stratum is None]
    words = {"not shown": "without a shown difference", "too few": "with too little to tell"}
    counts = {words.get(group, group): sum(group_of(each) == group for each in rows) for group in _GROUPS}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{head}: {said}. Against {found.names[0]}{'' if by_mean else ', by the mean'}: {told}."


def _fields(found: Compared, rows: Sequence[Comparison]) -> dict[str, Any]:
    """A run's rows by verdict, with the numbers that their sentence rests on."""
    told: dict[str, list[Any]] = {group.replace(" ", "_"): [] for group in _GROUPS}
    for each in rows:
        metric, group = next(metric for metric in found.metrics if metric.name == each.metric), group_of(each)
        entry: dict[str, Any] = {"metric": each.metric}
        if group in ("worse", "better"):
            raw, interval = raw_difference(each, metric)
            entry |= {"raw_difference": raw, "raw_ci": interval and list(interval), "p": each.p_verdict}
            entry |= {"higher_is_better": metric.higher_is_better}
        elif group == "not shown":
            entry["would_have_seen"] = each.detectable
        elif group == "too few" and each.verdict == FEW_DOCUMENTS:
            entry |= {"effective_source_documents": each.items.effective_clusters, "it_takes": FEW_CLUSTERS}
        elif group == "too few":
            entry |= {"items_that_differ": each.items.n_nonzero, "it_takes": FEW_ITEMS}
        told[group.replace(" ", "_")].append(entry)
    return told


def _over_seeds(found: Compared) -> str:
    """What the seeds say of the recipes as such."""
    tested = [each for each in found.seeds if each.p_adjusted is not None]
    if not tested:
        return f"Over training seeds, {found.seeds[0].effect.reason}."
    clauses = []
    for word, sign in (("worse", -1), ("better", 1)):
        shown = [each for each in tested if (each.p_adjusted or 0) <= ALPHA and sign * (each.effect.effect or 0) > 0]
        named = [f"{each.metric}{f' of {each.recipe}' * (len(found.runs) > 2)} {seeds_text(found, each)}"
                 for each in shown]  # fmt: skip
        clauses += [f"{word} on {len(shown)}: {_some(named)}"] if shown else []
    if rest := sum((each.p_adjusted or 0) > ALPHA for each in tested):
        clauses.append(f"no difference shown on {rest}")
    return f"The recipes as such, over training seeds (Holm within a metric): {'; '.join(clauses)}."


def seeds_text(found: Compared, each: SeedEffect) -> str:
    """A recipe's effect over seeds with its interval, as the values have it."""
    metric, recipe = next(metric for metric in found.metrics if metric.name == each.metric), each.effect
    if recipe.effect is None:
        return ""
    sign = 1 if metric.higher_is_better else -1
    ends = sorted(sign * end for end in (recipe.ci_low, recipe.ci_high) if end is not None)
    return difference_text(sign * recipe.effect, (ends[0], ends[1]) if ends else None, metric.range[1])


def _of_study(name: str, study: Study) -> str:
    """Which effects of a study's factors are shown."""
    effects = (*study.main, *study.interactions)
    shown = [each for each in effects if each.p_adjusted <= ALPHA]
    named = [f"{each.contrast} {difference_text(each.items.delta, each.ci_adjusted, 1)}" for each in shown]
    told = f": {_some(named)} (+ is better)" if shown else ""
    return f"Study of {name}: {len(shown)} of {len(effects)} effects of factors are shown{told}."
