"""What a gate is asked for, as flags and files say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from telbench.config import group, setting
from telbench.errors import InputError

from ..gate.categories import require_categories
from ..gate.gate import ALPHA, GUARDRAIL_BUDGET, MAX_MISSING, Case, GatePolicy
from ..gate.margins import margin_doubts
from ..runs.directions import LogSettings
from ..runs.foreign import Reading
from ..runs.loaded import LoadedRun, as_of_one_judge, notes_of, require_alike, shared_metrics


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """Margins, guardrails, categories, the error rate: the same as flags of ``telbench check`` and in ``gate.yaml``."""

    margins: Mapping[str, float] = setting(
        {},
        "a primary metric and the largest drop to accept, on its own scale; several times or with commas",
        flag="--margin",
        metavar="METRIC=X",
    )
    guardrail: tuple[str, ...] = setting(
        (),
        "metrics that fail on a shown drop beyond their budget only (default: all others that both runs have); "
        "METRIC=X sets the budget of one, on its own scale",
        many="comma",
        metavar="METRIC[=X],...",
    )
    guardrail_budget: float = setting(
        GUARDRAIL_BUDGET, "share of its range that a guardrail may drop by", metavar="SHARE", low=0, high=1
    )
    guardrails: bool = setting(True, "look at the primary metrics alone", flag="--no-guardrails")
    categories: tuple[str, ...] = setting(
        (),
        "categories of the items in which no primary metric may drop by more than its margin, or 'all'",
        many="comma",
        metavar="NAME,...",
    )
    category_budgets: Mapping[str, float] = setting(
        {},
        "the drop that a primary metric may show within a category, where that is not its margin",
        flag="--category-budget",
        metavar="METRIC=X",
    )
    on_inconclusive: Literal["warn", "fail"] = setting(
        "warn", "what too few items to tell come to: a warning, or exit code 3"
    )
    alpha: float = setting(ALPHA, "error rate", metavar="X", low=1e-6, high=0.4999)
    max_missing: float = setting(
        MAX_MISSING, "refuse when more items than this lack a score", metavar="SHARE", low=0, high=1
    )
    labels: Path | None = setting(
        None,
        "people's labels (telbench judge labels): judged metrics stand for what people would say",
        metavar="FILE",
    )
    same_judge: bool = setting(False, "assert that both runs were judged by one judge, whatever their signatures say")
    cluster: str | None = setting(
        None, "field that names the source document in samples of other harnesses", metavar="FIELD"
    )
    logs: LogSettings = group(LogSettings, "logs of other harnesses")

    @property
    def reading(self) -> Reading:
        """How logs of other harnesses are read."""
        return Reading(self.logs, self.cluster)

    def case(self, candidate: LoadedRun, baseline: LoadedRun) -> Case:
        """Two runs and the policy that the settings mean for them. Raises as `case_of`."""
        chosen, budgets = guardrails_of(self.guardrail)
        if self.same_judge:
            baseline, candidate = as_of_one_judge([baseline, candidate])
        corrected = set[str]()
        if self.labels is not None:
            from ...harness.labelling.labels import read_labels
            from ..runs.labelled import as_labelled

            labels = read_labels(self.labels)
            corrected = {label.metric for label in labels}
            baseline, candidate = as_labelled(baseline, labels), as_labelled(candidate, labels)
        case = case_of(
            candidate,
            baseline,
            margins=self.margins,
            guardrails=(chosen or None) if self.guardrails else (),
            alpha=self.alpha,
            on_inconclusive=self.on_inconclusive,
            max_missing=self.max_missing,
            budgets=budgets,
            guardrail_budget=self.guardrail_budget,
            categories=self.categories,
            category_budgets=dict(self.category_budgets),
        )
        judged = [metric.name for metric in case.metrics if metric.family == "judged"]
        if not judged:
            return case
        from ..runs.labelled import calibration_notes

        notes = calibration_notes([candidate, baseline], judged, corrected)
        return replace(case, warnings=(*case.warnings, *notes))


def case_of(
    candidate: LoadedRun,
    baseline: LoadedRun,
    *,
    margins: Mapping[str, float],
    guardrails: Sequence[str] | None,
    budgets: Mapping[str, float],
    **more: Any,
) -> Case:
    """Two runs and the policy for them; ``guardrails`` None are all other shared metrics, ``more`` is `GatePolicy`'s.

    Raises:
        InputError: for a policy that is none, or a metric that the runs do not share. IncomparableError: for runs that
            were not measured alike.
    """
    runs = [baseline, candidate]
    require_alike(runs)
    metrics = shared_metrics(runs, None if guardrails is None else {*margins, *guardrails})
    notes = notes_of(runs)
    known = {metric.name for metric in metrics}
    for name in margins:
        if name not in known:
            shared = f"--margin {name}: metric '{name}' is not in both runs: they share {', '.join(sorted(known))}"
            raise InputError("; ".join([shared, *notes]))
    require_categories(more.get("categories", ()), baseline)
    others = [metric.name for metric in metrics if metric.name not in margins and _usable(metric.name, runs)]
    guards = tuple(others if guardrails is None else guardrails)
    policy = GatePolicy(dict(margins), guards, budgets=dict(budgets), **more)
    return Case(candidate, baseline, metrics, policy, (*notes, *margin_doubts(policy, metrics, baseline)))


def guardrails_of(given: Sequence[str]) -> tuple[tuple[str, ...], dict[str, float]]:
    """Guardrails that were chosen, and budgets by name. Where all have a budget, none is chosen: all others stay.

    Raises:
        InputError: for a budget that is no number.

    >>> guardrails_of(["rougeL", "bleu=1.5"]), guardrails_of(["bleu=1.5"])
    ((('rougeL', 'bleu'), {'bleu': 1.5}), ((), {'bleu': 1.5}))
    """
    parts = [each.partition("=") for each in given]
    budgets: dict[str, float] = {}
    for name, equals, text in parts:
        if equals:
            try:
                budgets[name] = float(text)
            except ValueError as error:
                raise InputError(f"--guardrail {name}={text}: give a number, the largest drop to accept") from error
    chosen = tuple(name for name, _, _ in parts)
    return (chosen if len(budgets) < len(chosen) else ()), budgets


def _usable(name: str, runs: Sequence[LoadedRun]) -> bool:
    """A guardrail that nobody asked for by name counts only where both runs have values."""
    return all(run.header["metrics"][name]["value"] is not None for run in runs)
