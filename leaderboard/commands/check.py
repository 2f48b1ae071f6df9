"""``telbench check``: fail a pipeline when a candidate is worse than the baseline by more than is acceptable."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from telbench.config import REQUIRED, group, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import columns, plain, print_json, shown
from ...harness.cli.terminal import visible
from ...harness.runs.folder import SAMPLES, read_samples
from ...harness.storage import disk_message
from ...metrics.contract import Metric
from ..compare.markdown import markdown as as_markdown
from ..gate.explain import explained_gates
from ..gate.gate import ALPHA, GUARDRAIL_BUDGET, MAX_MISSING, Gate, GatePolicy, judge_gate
from ..gate.ledger import opened
from ..gate.margins import margin_doubts
from ..gate.report import guardrail_line, junit_xml, look_lines, markdown, power_lines, terminal_rows, workflow_commands
from ..gate.sequential import judge_look
from ..gate.spending import HALF
from ..runs.directions import LogSettings
from ..runs.foreign import AS_IT_IS, Reading
from ..runs.loaded import LoadedRun, notes_of, require_alike, shared_metrics
from ..runs.sources import open_run, require_used

# Decides on (candidate, baseline, metrics, policy).
Judge = Callable[[LoadedRun, LoadedRun, Sequence[Metric], GatePolicy], Gate]


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """``telbench check``: two runs, the policy, and what is written."""

    baseline: Path = setting(
        REQUIRED, "anchor file of telbench baseline pin, run folder or log", metavar="RUN", required=True
    )
    candidate: Path = setting(REQUIRED, "the candidate's run folder or log", metavar="RUN", required=True)
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
    on_inconclusive: Literal["warn", "fail"] = setting(
        "warn", "what too few items to tell come to: a warning, or exit code 3"
    )
    sequential: bool = setting(
        False, "hold the error rates over all looks at this baseline; the anchor keeps a ledger of them"
    )
    half_spent_by: int = setting(
        HALF, "with --sequential: looks by which half of the error rate is spent", metavar="N", low=1, high=10_000
    )
    alpha: float = setting(ALPHA, "error rate", metavar="X", low=1e-6, high=0.4999)
    max_missing: float = setting(
        MAX_MISSING, "refuse when more items than this lack a score", metavar="SHARE", low=0, high=1
    )
    out: Path | None = setting(None, "write gate.json there", metavar="FILE")
    junit: Path | None = setting(None, "write JUnit XML there", metavar="FILE")
    summary: Path | None = setting(None, "write a Markdown summary there", metavar="FILE")
    markdown: bool = setting(False, "print the Markdown summary, for a pull request")
    explain: bool = setting(False, "say in plain words what each column, verdict and flag means")
    cluster: str | None = setting(
        None, "field that names the source document in samples of other harnesses", metavar="FIELD"
    )
    logs: LogSettings = group(LogSettings, "logs of other harnesses")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = (
        "Exit codes: 0 no regression, 1 regression, 2 bad usage or input, 3 inconclusive (with --on-inconclusive "
        "fail), 4 the runs cannot be compared."
    )
    add_flags(parser, CheckOptions)
    add_json(parser, "print the gate as JSON")


def run(args: argparse.Namespace) -> int:
    """Judge, write what was asked for, print the table; the exit code is the verdict."""
    options = settings_of(args, CheckOptions)
    if args.json and (options.markdown or options.explain):
        raise InputError(f"--json and --{'markdown' if options.markdown else 'explain'}: choose one")
    gate, candidate = gate_of(options)
    document = json.dumps(gate.to_dict(), indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"
    summary = markdown(gate, _questions(candidate, gate))
    for path, text in ((options.out, document), (options.junit, junit_xml(gate)), (options.summary, summary)):
        if path is not None:
            _write(path, text)
    _tell_github(gate, summary)
    if args.json:
        print_json(gate.to_dict())
        return gate.exit_code
    lines = _lines(gate)
    means = explained_gates([gate], lines) if options.explain else []
    if options.markdown:
        sys.stdout.write(visible("\n".join([summary, *([as_markdown(means)] if means else [])]), lines=True))
    else:
        sys.stdout.writelines(shown(line) + "\n" for line in [*lines, *([""] if means else []), *plain(means)])
    return gate.exit_code


def gate_of(options: CheckOptions) -> tuple[Gate, LoadedRun]:
    """The gate that the options ask for, and the candidate."""
    if not options.sequential:
        return _judged_as_asked(options, judge_gate)
    with opened(options.baseline, options.alpha, options.half_spent_by) as ledger:
        return _judged_as_asked(options, partial(judge_look, ledger))


def _judged_as_asked(options: CheckOptions, judge: Judge) -> tuple[Gate, LoadedRun]:
    named, budgets = guardrails_of(options.guardrail)
    return judged(
        options.candidate,
        options.baseline,
        margins=dict(options.margins),
        guardrails=(named or None) if options.guardrails else (),
        alpha=options.alpha,
        on_inconclusive=options.on_inconclusive,
        max_missing=options.max_missing,
        reading=Reading(options.logs, options.cluster),
        budgets=budgets,
        guardrail_budget=options.guardrail_budget,
        judge=judge,
    )


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


def judged(
    candidate: Path,
    baseline: Path,
    *,
    margins: dict[str, float],
    guardrails: tuple[str, ...] | None = None,
    alpha: float = ALPHA,
    on_inconclusive: str = "warn",
    max_missing: float = MAX_MISSING,
    reading: Reading = AS_IT_IS,
    budgets: Mapping[str, float] | None = None,
    guardrail_budget: float = GUARDRAIL_BUDGET,
    judge: Judge = judge_gate,
) -> tuple[Gate, LoadedRun]:
    """The gate of two runs by path, and the candidate; ``guardrails`` None takes all other shared metrics.

    ``reading`` says what logs of other harnesses leave open; ``judge`` decides (candidate, baseline, metrics, policy).

    Raises:
        InputError: for paths that hold no runs, or a policy that is none. IncomparableError: for runs that were not
            measured alike.
    """
    if on_inconclusive not in ("warn", "fail"):
        raise InputError(f"on_inconclusive is '{on_inconclusive}': give 'warn' or 'fail'")
    base, ours = open_run(baseline, reading), open_run(candidate, reading)
    require_used(reading, [base, ours])
    require_alike([base, ours])
    metrics = shared_metrics([base, ours], None if guardrails is None else {*margins, *guardrails})
    notes = notes_of([base, ours])
    known = {metric.name for metric in metrics}
    for name in margins:
        if name not in known:
            shared = f"--margin {name}: metric '{name}' is not in both runs: they share {', '.join(sorted(known))}"
            raise InputError("; ".join([shared, *notes]))
    others = tuple(metric.name for metric in metrics if metric.name not in margins and _usable(metric.name, base, ours))
    guards = others if guardrails is None else guardrails
    policy = GatePolicy(margins, guards, alpha, on_inconclusive, max_missing, dict(budgets or {}), guardrail_budget)
    gate = judge(ours, base, metrics, policy)
    return replace(gate, warnings=(*notes, *margin_doubts(policy, metrics, base), *gate.warnings)), ours


def _usable(name: str, *runs: LoadedRun) -> bool:
    """A guardrail that nobody asked for by name counts only where both runs have values."""
    return all(run.header["metrics"][name]["value"] is not None for run in runs)


def _questions(candidate: LoadedRun, gate: Gate) -> dict[str, str]:
    """Questions of the worst items, where the candidate's samples are at hand."""
    wanted = {str(item["item_id"]) for each in gate.metrics for item in each.worst}
    if not wanted or not (candidate.path / SAMPLES).is_file():
        return {}
    return {
        sample["item_id"]: sample["question"] for sample in read_samples(candidate.path) if sample["item_id"] in wanted
    }


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(disk_message(error, path)) from error


def _tell_github(gate: Gate, summary: str) -> None:
    """Annotations and the step's summary, inside GitHub Actions only."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    sys.stderr.writelines(f"{line}\n" for line in workflow_commands(gate))
    if place := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(place, "a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(summary)
        except OSError as error:
            sys.stderr.write(f"telbench check: no step summary: {visible(str(error))}\n")


def _lines(gate: Gate) -> list[str]:
    names = f"{gate.candidate['name']} against {gate.baseline['name']}"
    code = f"exit code {gate.exit_code}"
    if gate.verdict == "inconclusive" and not gate.exit_code:
        code += " (3 with --on-inconclusive fail)"
    return [
        *(f"WARNING: {warning}" for warning in gate.warnings),
        *columns(terminal_rows(gate), "<<>>>>>><"),
        *([guardrail_line(gate)] if gate.policy.guardrails else []),
        f"{gate.verdict.upper()}: {names}, {code}",
        *look_lines(gate),
        *power_lines(gate),
    ]
