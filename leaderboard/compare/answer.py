"""What a comparison found, and what rankings, seeds and studies come to in a sentence; the answer as fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...harness.cli.tables import difference_text, number
from ...metrics.contract import Metric
from ..runs.loaded import LoadedRun
from ..statistics.factorial import Study
from ..statistics.paired import FEW_CLUSTERS, FEW_ITEMS
from .lengths import LengthEffect
from .pairwise import ALPHA, FEW_DOCUMENTS, GROUPS, SHORT, Comparison, some
from .ranking import Ranking
from .seeds import Recipe, SeedEffect


@dataclass(frozen=True)
class Compared:
    """Runs that were measured alike (averaged over seeds where that was asked), and each against the first.

    ``primary`` names the metrics that decide; ``cluster`` is what was drawn as a whole. Rankings are there from three
    runs on, seeds and studies where they were asked for, ``lengths`` with ``--length-adjusted``.
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
    lengths: Sequence[LengthEffect] = ()


def answer_fields(found: Compared, sentences: Sequence[str]) -> dict[str, Any]:
    """The answer for programs: its sentences, each run's metrics by verdict, and who leads in each metric."""
    return {
        "sentences": list(sentences),
        "decides": "primary" if found.primary else "shown",
        "against_first": [
            {"run": name, "metrics": family, **_fields(found, name, first)}
            for family, first in ((("primary", True), ("other", False)) if found.primary else (("shown", False),))
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


def leading(ranking: Ranking) -> list[int]:
    """Runs that none is shown to be better than, best mean first, by position."""
    return [place for place in ranking.order if ranking.ranges[place][0] == 1]


def leader_sentences(found: Compared, family: str, names: set[str]) -> list[str]:
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
        told.append(f"Of {len(found.names)} runs on {noun}, {some(led)}.")
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
    rows = [each for each in found.pairs if each.metric == ranking.metric and each.stratum is None]
    spread = min((each.ci_verdict[1] - each.ci_verdict[0] for each in rows if each.ci_verdict), default=None)
    best, score = ranking.names[first[0]], number(ranking.means[first[0]], metric.range[1], spread)
    others = some([ranking.names[place] for place in first[1:]])
    said = f"{best} leads with {score}, {f'tied with {others}' if others else 'alone'}"
    if len(first) == len(ranking.names):
        said = f"no run is shown to be better than another; {best} has the best score, {score}"
    words = {"not shown": "without a shown difference", "too few": "with too little to tell"}
    counts = {words.get(group, group): sum(SHORT[each.verdict] == group for each in rows) for group in GROUPS}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{head}: {said}. Against {found.names[0]}{'' if by_mean else ', by the mean'}: {told}."


def _fields(found: Compared, run: str, primary: bool) -> dict[str, Any]:
    """A run's metrics by verdict, with the numbers that their sentence rests on; those that decide, or all others."""
    told: dict[str, list[Any]] = {group.replace(" ", "_"): [] for group in GROUPS}
    for each in found.pairs:
        if each.stratum is not None or each.run != run or (each.metric in found.primary) != primary:
            continue
        metric, group = next(metric for metric in found.metrics if metric.name == each.metric), SHORT[each.verdict]
        entry: dict[str, Any] = {"metric": each.metric}
        if group in ("worse", "better"):
            sign = 1 if metric.higher_is_better else -1
            ends = sorted(sign * end for end in each.ci_verdict or ())
            entry |= {"raw_difference": sign * each.delta, "raw_ci": ends or None, "p": each.p_verdict}
            entry |= {"higher_is_better": metric.higher_is_better}
        elif group == "not shown":
            entry["would_have_seen"] = each.detectable
        elif group == "too few" and each.verdict == FEW_DOCUMENTS:
            entry |= {"effective_source_documents": each.items.effective_clusters, "it_takes": each.takes}
        elif group == "too few":
            entry |= {"items_that_differ": each.items.n_nonzero, "it_takes": FEW_ITEMS}
        told[group.replace(" ", "_")].append(entry)
    return told


def seeds_sentence(found: Compared) -> str:
    """What the seeds say of the recipes as such."""
    tested = [each for each in found.seeds if each.p_adjusted is not None]
    if not tested:
        return f"Over training seeds, {found.seeds[0].effect.reason}."
    clauses = []
    for word, sign in (("worse", -1), ("better", 1)):
        shown = [each for each in tested if (each.p_adjusted or 0) <= ALPHA and sign * (each.effect.effect or 0) > 0]
        named = [f"{each.metric}{f' of {each.recipe}' * (len(found.runs) > 2)} {seeds_text(found, each)}"
                 for each in shown]  # fmt: skip
        clauses += [f"{word} on {len(shown)}: {some(named)}"] if shown else []
    if rest := sum((each.p_adjusted or 0) > ALPHA for each in tested):
        clauses.append(f"no difference shown on {rest}")
    return f"The recipes as such, over training seeds (Holm within a metric): {'; '.join(clauses)}."


def seeds_text(found: Compared, each: SeedEffect) -> str:
    """A recipe's effect over seeds with its interval, as the values have it."""
    metric, recipe = next(metric for metric in found.metrics if metric.name == each.metric), each.effect
    if recipe.effect is None:
        return ""
    known = recipe.ci_low is not None and recipe.ci_high is not None
    ends = (recipe.ci_low or 0.0, recipe.ci_high or 0.0) if known else None
    return difference_text(recipe.effect, ends, metric.range[1], higher_is_better=metric.higher_is_better)


def study_sentence(name: str, study: Study) -> str:
    """Which effects of a study's factors are shown."""
    effects = (*study.main, *study.interactions)
    shown = [each for each in effects if each.p_adjusted <= ALPHA]
    named = [f"{each.contrast} {difference_text(each.items.delta, each.ci_adjusted, 1)}" for each in shown]
    told = f": {some(named)} (+ is better)" if shown else ""
    return f"Study of {name}: {len(shown)} of {len(effects)} effects of factors are shown{told}."
