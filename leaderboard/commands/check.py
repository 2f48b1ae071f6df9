"""``telbench check``: fail a pipeline when a candidate is worse than the baseline by more than is acceptable."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from telbench.config import group, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, flags_given, settings_of

from ...harness.cli.tables import columns, plain, print_json, shown
from ...harness.cli.terminal import visible
from ...harness.runs.folder import SAMPLES, read_samples
from ...metrics.contract import Metric
from ..checks.file import cases_of, read_gate
from ..checks.settings import PolicySettings, case_of
from ..checks.several import GateSet, all_line, data_line, judge_set, markdown_of
from ..compare.markdown import markdown as as_markdown
from ..gate.explain import explained_gates
from ..gate.gate import ALPHA, GUARDRAIL_BUDGET, MAX_MISSING, Case, Gate, GatePolicy, judge_gate
from ..gate.ledger import opened
from ..gate.report import guardrail_line, look_lines, markdown, power_lines, terminal_rows, workflow_commands
from ..gate.sequential import judge_look
from ..gate.spending import HALF
from ..publish.files import Outcome, OutputFiles, tell_github, write_files
from ..runs.foreign import AS_IT_IS, Reading
from ..runs.loaded import LoadedRun
from ..runs.sources import open_run, require_used

# Decides on (candidate, baseline, metrics, policy).
Judge = Callable[[LoadedRun, LoadedRun, Sequence[Metric], GatePolicy], Gate]


@dataclass(frozen=True, kw_only=True)
class CheckOptions(PolicySettings):
    """``telbench check``: two runs, the policy, and what is written."""

    baseline: Path | None = setting(None, "anchor file of telbench baseline pin, run folder or log", metavar="RUN")
    candidate: Path | None = setting(None, "the candidate's run folder or log", metavar="RUN")
    gate: Path | None = setting(
        None,
        "YAML of several data sets as one gate, in place of two runs; flags come before it",
        metavar="FILE",
    )
    files: OutputFiles = group(OutputFiles, "files to write")
    sequential: bool = setting(
        False, "hold the error rates over all looks at this baseline; the anchor keeps a ledger of them"
    )
    half_spent_by: int = setting(
        HALF, "with --sequential: looks by which half of the error rate is spent", metavar="N", low=1, high=10_000
    )
    markdown: bool = setting(False, "print the Markdown summary, for a pull request")
    explain: bool = setting(False, "say in plain words what each column, verdict and flag means")


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
    if options.gate is None:
        found = _alone(options)
        commands = [line for gate in found.gates.values() for line in workflow_commands(gate)]
    else:
        found = _together(options, options.gate, flags_given(args, PolicySettings))
        commands = [line for name, gate in found.gates.items() for line in workflow_commands(gate, name)]
    write_files(options.files, found)
    tell_github(options.files, found, commands)
    if args.json:
        print_json(found.document)
        return found.exit_code
    lines = _lines(found, options)
    means = explained_gates(list(found.gates.values()), lines) if options.explain else []
    if options.markdown:
        sys.stdout.write(visible("\n".join([found.summary, *([as_markdown(means)] if means else [])]), lines=True))
    else:
        sys.stdout.writelines(shown(line) + "\n" for line in [*lines, *([""] if means else []), *plain(means)])
    return found.exit_code


def _alone(options: CheckOptions) -> Outcome:
    """The gate of the two runs that the flags name."""
    gate, candidate = gate_of(options)
    name = str(candidate.header["data"]["name"])
    summary = markdown(gate, _questions(candidate, gate))
    return Outcome(gate.verdict, gate.exit_code, {name: gate}, {name: candidate}, gate.to_dict(), summary)


def _together(options: CheckOptions, file: Path, over: Mapping[str, Any]) -> Outcome:
    """The gates of a file's data sets, at one error rate."""
    for flag, given in (("--baseline", options.baseline), ("--candidate", options.candidate)):
        if given is not None:
            raise InputError(f"{flag} and --gate: {file} names the runs of each data set: give one of the two")
    asked = read_gate(file, over)
    if options.sequential:
        count = len(asked.gate.data)
        raise InputError(
            "--sequential and --gate: a ledger is of one baseline: check each data set by itself, with --sequential "
            f"--alpha {asked.gate.alpha / count:.3g}, so that all {count} together hold {asked.gate.alpha:g}"
        )
    cases = cases_of(asked)
    found = judge_set(cases, asked.gate.on_inconclusive)
    candidates = {name: case.candidate for name, case in cases.items()}
    questions = {name: _questions(candidates[name], gate) for name, gate in found.gates.items()}
    summary = markdown_of(found, questions)
    return Outcome(found.verdict, found.exit_code, found.gates, candidates, found.to_dict(), summary)


def gate_of(options: CheckOptions) -> tuple[Gate, LoadedRun]:
    """The gate that the options ask for, and the candidate."""
    if options.baseline is None or options.candidate is None:
        lacking = "--baseline" if options.baseline is None else "--candidate"
        raise InputError(f"{lacking} is missing: name two runs, or a file of several data sets with --gate")
    if not options.sequential:
        return _judged_as_asked(options, options.candidate, options.baseline, judge_gate)
    with opened(options.baseline, options.alpha, options.half_spent_by) as ledger:
        return _judged_as_asked(options, options.candidate, options.baseline, partial(judge_look, ledger))


def _judged_as_asked(options: CheckOptions, candidate: Path, baseline: Path, judge: Judge) -> tuple[Gate, LoadedRun]:
    base, ours = open_run(baseline, options.reading), open_run(candidate, options.reading)
    require_used(options.reading, [base, ours])
    return _decided(options.case(ours, base), judge), ours


def _decided(case: Case, judge: Judge) -> Gate:
    gate = judge(case.candidate, case.baseline, case.metrics, case.policy)
    return replace(gate, warnings=(*case.warnings, *gate.warnings))


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
    return _decided(case, judge), ours


def _questions(candidate: LoadedRun, gate: Gate) -> dict[str, str]:
    """Questions of the worst items, where the candidate's samples are at hand."""
    wanted = {str(item["item_id"]) for each in gate.metrics for item in each.worst}
    if not wanted or not (candidate.path / SAMPLES).is_file():
        return {}
    return {
        sample["item_id"]: sample["question"] for sample in read_samples(candidate.path) if sample["item_id"] in wanted
    }


def _lines(found: Outcome, options: CheckOptions) -> list[str]:
    """What the command prints: the table and what became of it, by data set where there are several."""
    if options.gate is None:
        (gate,) = found.gates.values()
        code = f"exit code {gate.exit_code}"
        if gate.verdict == "inconclusive" and not gate.exit_code:
            code += " (3 with --on-inconclusive fail)"
        told = f"{gate.verdict.upper()}: {gate.candidate['name']} against {gate.baseline['name']}, {code}"
        return [*_table(gate), told, *look_lines(gate), *power_lines(gate)]
    lines = []
    for name, gate in found.gates.items():
        lines += [f"{name}: {gate.candidate['name']} against {gate.baseline['name']}"]
        lines += [*_table(gate), *power_lines(gate), ""]
    lines += [data_line(name, gate) for name, gate in found.gates.items()]
    return [*lines, all_line(GateSet(found.verdict, found.exit_code, found.gates))]


def _table(gate: Gate) -> list[str]:
    return [
        *(f"WARNING: {warning}" for warning in gate.warnings),
        *columns(terminal_rows(gate), "<<>>>>>><"),
        *([guardrail_line(gate)] if any(each.budget is not None for each in gate.metrics) else []),
    ]
