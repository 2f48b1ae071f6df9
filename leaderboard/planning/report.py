"""A plan for people: tables of needs, of where the variance comes from, and of what more budget buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...harness.cli.tables import columns
from ..gate.report import about
from .budget import Costs, Option, best_size
from .needs import Estimate, Needs, SeedEstimate, Shown, with_unknown
from .pilot import Pilot

_BUYS = {"now": "nothing", "documents": "more documents", "items": "items of the same documents", "seeds": "seeds"}


@dataclass(frozen=True)
class Plan:
    """A metric's pilot with what follows from it."""

    pilot: Pilot
    needs: Needs
    options: list[Option]


def plan_lines(plans: Sequence[Plan], costs: Costs, *, alpha: float, power: float) -> list[str]:
    """All tables, and a line for each number that is absent."""
    return [
        *_needs_lines(plans, alpha, power),
        *_design_lines(plans),
        "",
        *_component_lines(plans),
        *_option_lines(plans, costs),
    ]


def _needs_lines(plans: Sequence[Plan], alpha: float, power: float) -> list[str]:
    """What the pilot shows and what the margins take."""
    head = f"error rate {100 * alpha:g} %, power {100 * power:g} %; 90 % intervals in brackets"
    rows = [("metric", "these items can show", "margin", "a check needs", "a comparison needs", "the recipes need")]
    notes: list[tuple[str, str]] = []
    for plan in plans:
        needs, looked = plan.needs, plan.options
        margin = "" if needs.margin is None else f"{needs.margin:g}"
        shown = _detectable(needs.pilot) if looked else ""
        rows.append(
            (needs.metric, shown, margin, _estimate(needs.check), _estimate(needs.comparison), _seeds(needs.seeds))
        )
        reasons = [needs.pilot.reason, *(each.reason for each in (needs.check, needs.comparison) if each is not None)]
        notes += [(needs.metric, f": {reason}") for reason in dict.fromkeys(reasons) if reason is not None]
    used = [index for index in range(len(rows[0])) if any(row[index] for row in rows[1:])]
    table = columns([tuple(row[index] for index in used) for row in rows], "<" * len(used))
    return [head, *table, *_grouped(notes)]


def _design_lines(plans: Sequence[Plan]) -> list[str]:
    told = []
    for plan in plans:
        design = plan.needs.design
        if design is None:
            continue
        what = f"{plan.needs.metric}: {design.items:,} items in {design.documents:,} equal documents"
        line = f"{what} can show {_detectable(design)}"
        if plan.needs.margin is not None and plan.needs.check_in_design is not None:
            line += f"; for {plan.needs.margin:g} it takes {_estimate(plan.needs.check_in_design)}"
        told.append(line + ("" if design.reason is None else f" ({design.reason})"))
    return told


def _component_lines(plans: Sequence[Plan]) -> list[str]:
    """Standard deviations by source, and what is not known of them."""
    names = ("documents", "items", "single answers", "seeds")
    rows: list[tuple[str, ...]] = [("one difference varies by", *names, "alike in a document")]
    notes: list[tuple[str, str]] = []
    for plan in plans:
        parts = plan.pilot.components
        each = dict(zip(names, (parts.document, parts.item, parts.rest, parts.replicate), strict=True))
        cells = ["unknown" if one.value is None else with_unknown(one) for one in each.values()]
        if parts.item_holds_rest and parts.item.value is not None:
            cells[1] += " *"
        share = "unknown" if parts.share.value is None else f"{parts.share.value:.2f}"
        if parts.share.high is not None:
            share += f" [{parts.share.low or 0.0:.2f}, {parts.share.high:.2f}]"
        rows.append((plan.needs.metric, *cells, share))
        absent: dict[str, list[str]] = {}
        for name, one in each.items():
            if one.value is None:
                absent.setdefault(with_unknown(one), []).append(name)
        notes += [(plan.needs.metric, f" ({', '.join(found)}): {reason}") for reason, found in absent.items()]
        if plan.pilot.judges is not None:
            judge, verdict = (with_unknown(one) for one in (plan.pilot.judges.judge, plan.pilot.judges.verdict))
            told = judge if judge == verdict else f"{judge}; single verdicts: {verdict}"
            notes.append((plan.needs.metric, f" (judges): {told}"))
        notes += [] if parts.method in ("none", "assumed") else [(plan.needs.metric, f": by {parts.method}")]
    star = ["*: with what single answers vary by"] if any("*" in row[2] for row in rows) else []
    return [*columns(rows, "<>>>>>"), *star, *_grouped(notes)]


def _grouped(notes: Sequence[tuple[str, str]]) -> list[str]:
    """Notes that say the same of several metrics as one line: the names, then what is said."""
    found: dict[str, list[str]] = {}
    for metric, text in notes:
        found.setdefault(text, []).append(metric)
    return [f"{', '.join(dict.fromkeys(names))}{text}" for text, names in found.items()]


def _option_lines(plans: Sequence[Plan], costs: Costs) -> list[str]:
    if not any(plan.options for plan in plans):
        return []
    spend = max(option.cost for plan in plans for option in plan.options)
    told = (
        f"what a budget of {spend:g} buys (an answer costs {costs.cost_answer:g}, an item {costs.cost_item:g}, a "
        f"document {costs.cost_document:g}, a seed {costs.cost_seed:g}):"
    )
    rows = [("metric", "buy", "items", "documents", "seeds", "standard error", "of the recipes", "")]
    best: list[tuple[str, str]] = []
    for plan in plans:
        for option in plan.options:
            error = "unknown" if option.error is None else f"{option.error:.3g}"
            if option.low is not None and option.high is not None:
                error += f" [{option.low:.3g}, {option.high:.3g}]"
            recipe = "" if option.recipe_error is None else f"{option.recipe_error:.3g}"
            counts = (f"{option.items:,}", f"{option.documents:,}", f"{option.seeds:,}")
            rows.append((plan.needs.metric, _BUYS[option.buys], *counts, error, recipe, option.reason or ""))
        known = [each for each in plan.options if each.error is not None and each.buys != "now"]
        if known:
            first = min(known, key=lambda each: each.error or 0.0)
            line = f": {_BUYS[first.buys]} bring the error down most"
            recipes = [each for each in plan.options if each.recipe_error is not None and each.buys != "now"]
            if recipes:
                line += f", that of the recipes {_BUYS[min(recipes, key=lambda each: each.recipe_error or 0.0).buys]}"
            size = best_size(plan.pilot, costs)
            best.append((plan.needs.metric, line + ("" if size is None else f"; best are {size:.1f} items a document")))
    used = [index for index in range(len(rows[0])) if any(row[index] for row in rows[1:])]
    sides = "<<>>>>><"
    table = columns([tuple(row[index] for index in used) for row in rows], "".join(sides[index] for index in used))
    return ["", told, *table, *_grouped(best)]


def _detectable(shown: Shown) -> str:
    limits = _limits(shown.low, shown.high)
    return f"a drop of {'unknown size' if shown.detectable is None else f'{shown.detectable:.2g}'}{limits}"


def _limits(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None or low == high else f" [{low:.2g}, {high:.2g}]"


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    limits = ""
    if estimate.low is not None and estimate.high is not None:
        limits = f" [{about(estimate.low.items)}, {about(estimate.high.items)}]"
    if estimate.needed is None:
        return f"unknown{limits}"
    return f"{about(estimate.needed.items)}{limits} items in {about(estimate.needed.documents)} documents"


def _seeds(estimate: SeedEstimate | None) -> str:
    if estimate is None or estimate.seeds is None:
        return ""
    high = "more" if estimate.high is None else str(estimate.high)
    limits = "" if estimate.low is None else f" [{estimate.low}, {high}]"
    return f"{estimate.seeds}{limits} seeds"
