"""``telbench check``: fail a pipeline when a candidate is worse than the baseline by more than is acceptable."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from telbench.config import REQUIRED, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import columns, print_json, shown
from ...harness.cli.terminal import visible
from ...harness.runs.folder import SAMPLES, read_samples
from ...harness.storage import disk_message
from ..gate.gate import ALPHA, GUARDRAIL_BUDGET, MAX_MISSING, Gate, judge_gates
from ..gate.report import guardrail_line, junit_xml, markdown, power_lines, terminal_rows, workflow_commands
from ..gate.settings import PolicySettings, case_of
from ..runs.foreign import AS_IT_IS, Reading
from ..runs.loaded import LoadedRun
from ..runs.sources import open_run, require_used


@dataclass(frozen=True, kw_only=True)
class CheckOptions(PolicySettings):
    """``telbench check``: two runs, the policy, and what is written."""

    baseline: Path = setting(
        REQUIRED, "anchor file of telbench baseline pin, run folder or log", metavar="RUN", required=True
    )
    candidate: Path = setting(REQUIRED, "the candidate's run folder or log", metavar="RUN", required=True)
    out: Path | None = setting(None, "write gate.json there", metavar="FILE")
    junit: Path | None = setting(None, "write JUnit XML there", metavar="FILE")
    summary: Path | None = setting(None, "write a Markdown summary there", metavar="FILE")


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
    gate, candidate = gate_of(options)
    document = json.dumps(gate.to_dict(), indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"
    summary = markdown(gate, _questions(candidate, gate))
    for path, text in ((options.out, document), (options.junit, junit_xml(gate)), (options.summary, summary)):
        if path is not None:
            _write(path, text)
    _tell_github(gate, summary)
    if args.json:
        print_json(gate.to_dict())
    else:
        _print(gate)
    return gate.exit_code


def gate_of(options: CheckOptions) -> tuple[Gate, LoadedRun]:
    """The gate that the options ask for, and the candidate."""
    base, ours = open_run(options.baseline, options.reading), open_run(options.candidate, options.reading)
    require_used(options.reading, [base, ours])
    return judge_gates([options.case(ours, base)])[0], ours


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
) -> tuple[Gate, LoadedRun]:
    """The gate of two runs by path, and the candidate; ``guardrails`` None takes all other shared metrics.

    ``reading`` says what logs of other harnesses leave open.

    Raises:
        InputError: for paths that hold no runs, or a policy that is none. IncomparableError: for runs that were not
            measured alike.
    """
    if on_inconclusive not in ("warn", "fail"):
        raise InputError(f"on_inconclusive is '{on_inconclusive}': give 'warn' or 'fail'")
    base, ours = open_run(baseline, reading), open_run(candidate, reading)
    require_used(reading, [base, ours])
    case = case_of(
        ours,
        base,
        margins=margins,
        guardrails=guardrails,
        budgets=budgets or {},
        alpha=alpha,
        on_inconclusive=on_inconclusive,
        max_missing=max_missing,
        guardrail_budget=guardrail_budget,
    )
    return judge_gates([case])[0], ours


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


def _print(gate: Gate) -> None:
    names = f"{gate.candidate['name']} against {gate.baseline['name']}"
    code = f"exit code {gate.exit_code}"
    if gate.verdict == "inconclusive" and not gate.exit_code:
        code += " (3 with --on-inconclusive fail)"
    lines = [
        *(f"WARNING: {warning}" for warning in gate.warnings),
        *columns(terminal_rows(gate), "<<>>>>>><"),
        *([guardrail_line(gate)] if any(each.budget is not None for each in gate.metrics) else []),
        f"{gate.verdict.upper()}: {names}, {code}",
        *power_lines(gate),
    ]
    sys.stdout.writelines(shown(line) + "\n" for line in lines)
