"""``telbench check``: fail a pipeline when a candidate is worse than the baseline by more than is acceptable."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from telbench.errors import InputError

from ...harness.cli.tables import columns, print_json, shown
from ...harness.cli.terminal import visible
from ...harness.commands.options import bounded
from ...harness.datasets.canonical import parse_pairs
from ...harness.runs.folder import SAMPLES, read_samples
from ...harness.storage import disk_message
from ..gate.gate import ALPHA, MAX_MISSING, Gate, GatePolicy, judge_gate
from ..gate.report import junit_xml, markdown, terminal_rows, workflow_commands
from ..runs.loaded import LoadedRun, require_alike, shared_metrics
from ..runs.sources import open_run


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = (
        "Exit codes: 0 no regression, 1 regression, 2 bad usage or input, 3 inconclusive (with --on-inconclusive "
        "fail), 4 the runs cannot be compared."
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        required=True,
        metavar="RUN",
        help="run folder, or anchor file of telbench baseline pin",
    )
    parser.add_argument("--candidate", type=Path, required=True, metavar="RUN", help="run folder of the candidate")
    parser.add_argument(
        "--margin",
        action="append",
        default=[],
        metavar="METRIC=X",
        help="a primary metric and the largest drop to accept, on its own scale; several times or with commas",
    )
    parser.add_argument(
        "--guardrail",
        default="",
        metavar="METRIC,...",
        help="metrics that fail on a shown drop only (default: all others that both runs have)",
    )
    parser.add_argument("--no-guardrails", action="store_true", help="look at the primary metrics alone")
    parser.add_argument(
        "--on-inconclusive",
        choices=("warn", "fail"),
        default="warn",
        help="what too few items to tell come to: a warning, or exit code 3 (default: warn)",
    )
    parser.add_argument("--alpha", type=bounded(float, 1e-6, 0.4999), default=ALPHA, help="error rate (default: 0.05)")
    parser.add_argument(
        "--max-missing",
        type=bounded(float, 0, 1),
        default=MAX_MISSING,
        metavar="SHARE",
        help="refuse when more items than this lack a score (default: 0.01)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write gate.json there")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML there")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write a Markdown summary there")
    parser.add_argument("--json", action="store_true", help="print the gate as JSON")


def run(args: argparse.Namespace) -> int:
    """Judge, write what was asked for, print the table; the exit code is the verdict."""
    gate, candidate = judged(
        args.candidate,
        args.baseline,
        margins=_margins(args.margin),
        guardrails=() if args.no_guardrails else _names(args.guardrail) or None,
        alpha=args.alpha,
        on_inconclusive=args.on_inconclusive,
        max_missing=args.max_missing,
    )
    document = json.dumps(gate.to_dict(), indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"
    summary = markdown(gate, _questions(candidate, gate))
    for path, text in ((args.out, document), (args.junit, junit_xml(gate)), (args.summary, summary)):
        if path is not None:
            _write(path, text)
    _tell_github(gate, summary)
    if args.json:
        print_json(gate.to_dict())
    else:
        _print(gate)
    return gate.exit_code


def judged(
    candidate: Path,
    baseline: Path,
    *,
    margins: dict[str, float],
    guardrails: tuple[str, ...] | None = None,
    alpha: float = ALPHA,
    on_inconclusive: str = "warn",
    max_missing: float = MAX_MISSING,
) -> tuple[Gate, LoadedRun]:
    """The gate of two runs by path, and the candidate; ``guardrails`` None takes all other shared metrics.

    Raises:
        InputError: for paths that hold no runs, or a policy that is none. IncomparableError: for runs that were not
            measured alike.
    """
    if on_inconclusive not in ("warn", "fail"):
        raise InputError(f"on_inconclusive is '{on_inconclusive}': give 'warn' or 'fail'")
    base, ours = open_run(baseline), open_run(candidate)
    require_alike([base, ours])
    metrics = shared_metrics([base, ours])
    others = tuple(metric.name for metric in metrics if metric.name not in margins and _usable(metric.name, base, ours))
    policy = GatePolicy(margins, others if guardrails is None else guardrails, alpha, on_inconclusive, max_missing)
    return judge_gate(ours, base, metrics, policy), ours


def _usable(name: str, *runs: LoadedRun) -> bool:
    """A guardrail that nobody asked for by name counts only where both runs have values."""
    return all(run.header["metrics"][name]["value"] is not None for run in runs)


def _margins(texts: list[str]) -> dict[str, float]:
    margins = {}
    for name, text in parse_pairs(texts, "--margin").items():
        try:
            margins[name] = float(text)
        except ValueError as error:
            raise InputError(f"--margin {name}={text}: give a number, on the metric's own scale") from error
    return margins


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


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
        raise InputError(disk_message(error, path, 0).rpartition(";")[0]) from error


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
    lines = [
        *(f"WARNING: {warning}" for warning in gate.warnings),
        *columns(terminal_rows(gate), "<<>>>>>><"),
        f"{gate.verdict.upper()}: {names}, exit code {gate.exit_code}",
    ]
    sys.stdout.writelines(shown(line) + "\n" for line in lines)
