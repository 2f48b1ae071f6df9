"""``telbench compare``: finished runs side by side, each against the first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..harness.tables import columns, number, print_json, shown, span
from ..judges.errors import InputError
from ..metrics.base import Metric
from .comparison import Difference, LoadedRun, load_run, paired_differences, require_alike, shared_metrics


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders; the first is the baseline")
    parser.add_argument("--metrics", default="", metavar="NAME,…", help="only these metrics")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table; exit code 4 when the runs were not measured alike."""
    if len(args.runs) < 2:
        raise InputError("compare needs two or more run folders: telbench compare RUN RUN")
    runs = [load_run(path) for path in args.runs]
    require_alike(runs)
    metrics = _chosen(shared_metrics(runs), [name for name in args.metrics.split(",") if name])
    differences = [paired_differences(other, runs[0], metrics) for other in runs[1:]]
    if args.json:
        print_json(_document(runs, metrics, differences))
    else:
        _print_table(runs, metrics, differences)
    return 0


def _chosen(metrics: list[Metric], wanted: list[str]) -> list[Metric]:
    known = {metric.name: metric for metric in metrics}
    for name in wanted:
        if name not in known:
            raise InputError(f"--metrics {name}: the runs share {', '.join(known)}")
    return [known[name] for name in wanted] or metrics


def _document(
    runs: Sequence[LoadedRun], metrics: Sequence[Metric], differences: Sequence[Sequence[Difference]]
) -> dict[str, Any]:
    names = [metric.name for metric in metrics]
    return {
        "baseline": str(runs[0].path),
        "runs": [
            {
                "path": str(run.path),
                "name": run.name,
                "run_id": run.header["run_id"],
                "metrics": {name: run.header["metrics"][name] for name in names},
                "difference": None if index == 0 else {each.metric: each.to_dict() for each in differences[index - 1]},
            }
            for index, run in enumerate(runs)
        ],
    }


def _print_table(
    runs: Sequence[LoadedRun], metrics: Sequence[Metric], differences: Sequence[Sequence[Difference]]
) -> None:
    names = _distinct_names(runs)
    rows = [["metric", names[0], *(cell for name in names[1:] for cell in (name, "difference"))]]
    for position, metric in enumerate(metrics):
        cells = [metric.name + ("" if metric.higher_is_better else " (lower is better)")]
        for index, run in enumerate(runs):
            entry = run.header["metrics"][metric.name]
            cells.append(_interval(entry["value"], entry["ci_low"], entry["ci_high"], span(entry)))
            if index:
                cells.append(_change(differences[index - 1][position], metric, entry))
        rows.append(cells)
    data = runs[0].header["data"]
    clusters = max((each.clusters for each in differences[0]), default=0)
    how = f"paired by item, interval by resampling {clusters} source documents"
    signs = "+ better, - worse, ~ interval contains 0"
    elsewhere = [name for name, run in zip(names, runs, strict=True) if run.made_elsewhere]
    caution = [f"answers of {', '.join(elsewhere)} were made elsewhere: their prompts and decoding are not checked"]
    lines = [
        shown(f"{data['name']} {data['split']}: {data['n']} items, 95 % intervals"),
        *map(shown, caution if elsewhere and len(elsewhere) < len(runs) else []),
        *columns(rows, "<" + ">" * (len(rows[0]) - 1)),
        shown(f"difference = run minus {names[0]}, {how}; {signs}"),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _distinct_names(runs: Sequence[LoadedRun]) -> list[str]:
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [run.path.resolve().name for run in runs]


def _interval(value: float | None, low: float | None, high: float | None, width: float) -> str:
    shown = number(value, width)
    return shown if low is None or high is None else f"{shown} [{number(low, width)}, {number(high, width)}]"


def _change(difference: Difference, metric: Metric, entry: Mapping[str, Any]) -> str:
    if difference.value is None:
        return "N/A"
    width = span(entry)
    text = _interval(difference.value, difference.ci_low, difference.ci_high, width)
    if difference.ci_low is None or difference.ci_high is None or difference.ci_low <= 0 <= difference.ci_high:
        return f"{text} ~"
    return f"{text} {'+' if (difference.value > 0) == metric.higher_is_better else '-'}"
