"""``telbench plan``: how many items, documents and seeds a margin takes, before the money is spent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from telbench.config import group, near_name, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import print_json, shown
from ..gate.gate import ALPHA, MAX_MISSING, GatePolicy
from ..gate.margins import margin_doubts
from ..planning.budget import Costs, budget_of
from ..planning.needs import needs_of
from ..planning.pilot import Arms, Assumptions, Pilot, arms_of, assumed_pilot, pilot_of
from ..planning.report import Plan, plan_lines
from ..runs.directions import LogSettings
from ..runs.foreign import Reading
from ..statistics.power import POWER

# Items of a pilot that nobody made: only their documents' size matters.
_ITEMS = 1000


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """``telbench plan``: the pilot, what is to be shown, and what is assumed."""

    runs: tuple[Path, ...] = setting(
        (),
        "pilot runs of one or two models (baseline first), each with as many training seeds as there are; none: a plan "
        "from assumptions",
        metavar="RUN",
        positional=True,
    )
    margins: Mapping[str, float] = setting(
        {},
        "a metric and the largest drop to accept, on its own scale; several times or with commas",
        flag="--margin",
        metavar="METRIC=X",
    )
    power: float = setting(POWER, "how often the plan is to succeed", metavar="X", low=0.5, high=0.9999)
    alpha: float = setting(ALPHA, "error rate of the check", metavar="X", low=1e-6, high=0.4999)
    max_missing: float = setting(
        MAX_MISSING, "refuse when more items than this lack a score", metavar="SHARE", low=0, high=1
    )
    items: int | None = setting(None, "items of a design to look at", metavar="N", low=1)
    documents: int | None = setting(None, "source documents of that design", metavar="N", low=1)
    sd: float | None = setting(None, "standard deviation of one item's difference", metavar="X", above=0)
    icc: float | None = setting(
        None, "correlation of the differences within documents, where no runs tell it", metavar="X", low=0, high=1
    )
    correlation: float | None = setting(
        None, "correlation of the two models' scores of one item, where there is one run", metavar="X", low=-1, below=1
    )
    seed_sd: float | None = setting(
        None, "standard deviation of what a training seed does to the difference", metavar="X", above=0
    )
    cluster: str | None = setting(
        None, "field that names the source document in samples of other harnesses", metavar="FIELD"
    )
    same_judge: bool = setting(False, "assert that the runs were judged by one judge, whatever their signatures say")
    costs: Costs = group(Costs, "costs")
    logs: LogSettings = group(LogSettings, "logs of other harnesses")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench plan [RUN ...] [--margin METRIC=X] [OPTIONS]"
    parser.epilog = "Exit codes: 0 fine, 2 bad usage or input, 4 the runs cannot be compared."
    add_flags(parser, PlanOptions)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the plan; exit code 4 when the runs were not measured alike."""
    options = settings_of(args, PlanOptions)
    pilots, title, notes = _pilots(options)
    design = _design(options)
    plans = [
        Plan(
            pilot,
            needs_of(pilot, options.margins.get(pilot.metric), alpha=options.alpha, power=options.power, design=design),
            # Without items there is nothing to add to.
            budget_of(pilot, options.costs) if options.runs or options.items else [],
        )
        for pilot in pilots
    ]
    if args.json:
        print_json(_document(options, plans, title, notes))
        return 0
    lines = [
        *(f"WARNING: {note}" for note in notes),
        title,
        *plan_lines(plans, options.costs, alpha=options.alpha, power=options.power),
    ]
    sys.stdout.writelines(shown(line) + "\n" for line in lines)
    return 0


def _pilots(options: PlanOptions) -> tuple[list[Pilot], str, list[str]]:
    """A pilot a metric, what they are in words, and what to warn of."""
    assumed = Assumptions(options.sd, options.icc, options.correlation, options.seed_sd)
    if not options.runs:
        return _assumed(options, assumed)
    reading = Reading(options.logs, options.cluster)
    arms = arms_of(options.runs, reading, options.margins or None, same_judge=options.same_judge)
    _require_fitting(options, arms)
    known = {metric.name: metric for metric in arms.metrics}
    for name in options.margins:
        if name not in known:
            raise InputError(f"--margin {name}: {near_name(name, known)}")
    wanted = [known[name] for name in options.margins] or [
        metric
        for metric in arms.metrics
        if all(run.header["metrics"][metric.name]["value"] is not None for run in arms.runs)
    ]
    pilots = [
        pilot_of(metric, arms, assumed, alpha=options.alpha, max_missing=options.max_missing) for metric in wanted
    ]
    names = " against ".join(run.name for run in reversed(arms.runs))
    first = pilots[0].sample
    seeds = max(pilot.seeds for pilot in pilots)
    title = f"plan from {pilots[0].basis}: {names}, {first.n:,} items in {first.groups:,} documents"
    doubts = margin_doubts(GatePolicy(options.margins), arms.metrics, arms.runs[0]) if options.margins else []
    return pilots, title + (f", {seeds} training seeds" if seeds > 1 else ""), [*arms.notes, *doubts]


def _assumed(options: PlanOptions, assumed: Assumptions) -> tuple[list[Pilot], str, list[str]]:
    if options.same_judge:
        raise InputError("--same-judge is for a plan from runs: leave it out, or name the runs")
    if not options.margins:
        raise InputError("nothing to plan: name pilot runs, or --margin METRIC=X with --sd (see telbench plan --help)")
    # It refuses margins that are none.
    GatePolicy(options.margins)
    if options.correlation is not None:
        raise InputError("--correlation is for a plan from one run: leave it out, or name the run")
    items = options.items or _ITEMS
    if options.items is None and options.documents is not None:
        raise InputError("--documents needs --items beside it")
    documents = options.documents or items
    pilots = [assumed_pilot(name, assumed, items, documents) for name in options.margins]
    return pilots, "plan from assumptions", []


def _require_fitting(options: PlanOptions, arms: Arms) -> None:
    """Refuse assumptions that the runs make void."""
    if options.icc is not None:
        raise InputError("--icc is for a plan without runs: the runs tell how alike the items of a document are")
    for name in ("correlation", "sd"):
        if getattr(options, name) is not None and len(arms.runs) == 2:
            raise InputError(f"--{name} is for a plan from one run: two runs tell it")
    if options.correlation is not None and options.sd is not None:
        raise InputError("--correlation and --sd say the same in two ways: give one")


def _design(options: PlanOptions) -> tuple[int, int] | None:
    if options.items is None and options.documents is None:
        return None
    if options.items is None or options.documents is None:
        if not options.runs and options.items is not None:
            return None
        raise InputError("--items and --documents go together: a design has both")
    if options.documents > options.items:
        raise InputError(f"--documents {options.documents}: there are more than the {options.items} items")
    return None if not options.runs else (options.items, options.documents)


def _document(options: PlanOptions, plans: list[Plan], title: str, notes: list[str]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "title": title,
        "warnings": notes,
        "alpha": options.alpha,
        "power": options.power,
        "costs": asdict(options.costs),
        "metrics": [
            {
                **plan.needs.to_dict(),
                "basis": plan.pilot.basis,
                "items": plan.pilot.sample.n,
                "documents": plan.pilot.sample.groups,
                "effective_documents": plan.pilot.sample.effective_groups,
                "delta": plan.pilot.delta,
                "components": plan.pilot.components.to_dict(),
                "judges": None if plan.pilot.judges is None else asdict(plan.pilot.judges),
                "budget": [option.to_dict() for option in plan.options],
            }
            for plan in plans
        ],
    }
