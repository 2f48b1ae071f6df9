"""``telbench report``: one self-contained file on finished runs, for a mail or a pull request."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from telbench.config import REQUIRED, group, setting
from telbench.errors import InputError
from telbench.flags import add_flags, settings_of

from ...harness.cli.terminal import Reporter, visible
from ...harness.datasets.loading import protects_texts
from ...harness.storage import replace_text
from ..compare.ranking import rank_runs, ranked_together
from ..publish.report import as_markdown, as_page, finite, place_of, report_blocks
from ..runs.directions import LogSettings
from ..runs.loaded import LoadedRun
from .compare import CompareOptions, compared


@dataclass(frozen=True)
class ReportOptions:
    """``telbench report``: which runs, into which file, with how much of the items."""

    runs: tuple[Path, ...] = setting(
        REQUIRED,
        "run folders, anchors or logs; of several the first is the baseline",
        metavar="RUN",
        positional=True,
    )
    out: Path | None = setting(None, "file to write: .html or .md (default: Markdown on stdout)", metavar="FILE")
    title: str = setting("", "heading (default: the models' names)", metavar="TEXT")
    metrics: tuple[str, ...] = setting((), "only these metrics", many="comma", metavar="NAME,…")
    primary: tuple[str, ...] = setting((), "metrics that decide", many="comma", metavar="NAME,…")
    worst: int = setting(5, "so many items that lost most, or scored lowest", metavar="N", low=0, high=1000)
    items: Literal["all", "ids"] | None = setting(
        None, "texts of questions and answers, or ids alone (default: all, ids where the publisher protects its texts)"
    )
    logs: LogSettings = group(LogSettings, "logs of other harnesses")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench report RUN... [--out FILE.html|FILE.md] [OPTIONS]"
    add_flags(parser, ReportOptions)


def run(args: argparse.Namespace) -> int:
    """Write the report, or print it as Markdown."""
    options = settings_of(args, ReportOptions)
    text = report_of(options)
    if options.out is None:
        sys.stdout.write(visible(text, lines=True))
        return 0
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {options.out.parent}: {error.strerror}") from error
    replace_text(options.out, text)
    Reporter().note(f"written: {options.out}")
    return 0


def report_of(options: ReportOptions) -> str:
    """The report as HTML or Markdown, by the name of the file.

    Raises:
        InputError: for what is no run, a metric that the runs have not, or a file of another kind.
        IncomparableError: for runs that were not measured alike.
    """
    kind = "md" if options.out is None else place_of(options.out)
    if not kind:
        raise InputError(f"--out {options.out}: a report is a .html or a .md file")
    asked = CompareOptions(
        runs=options.runs if len(options.runs) > 1 else (*options.runs, *options.runs),
        metrics=options.metrics,
        primary=options.primary,
        logs=options.logs,
    )
    found = compared(asked, 0)
    runs: list[LoadedRun] = list(found.runs)
    if len(options.runs) == 1:
        runs = runs[:1]
        blocks = report_blocks(_only(runs, options.metrics), None, options.worst, texts=_texts(options, runs[0]))
        title = options.title or f"{runs[0].name} on {runs[0].header['data']['name']}"
        return as_page(title, blocks, None) if kind == "html" else as_markdown(title, blocks)
    if len(runs) > 2:
        rankings = [
            rank_runs(runs, metric, names=found.names)
            for metric in found.metrics
            if any(all(run.scores[metric.name][item].value is not None for run in runs) for item in runs[0].clusters)
        ]
        found = replace(found, rankings=ranked_together(rankings, options.primary, found.pairs))
    found = finite(found)
    blocks = report_blocks(_only(runs, options.metrics), found, options.worst, texts=_texts(options, runs[0]))
    title = options.title or f"{', '.join(found.names[1:])} against {found.names[0]}"
    return as_page(title, blocks, found) if kind == "html" else as_markdown(title, blocks)


def _only(runs: list[LoadedRun], metrics: tuple[str, ...]) -> list[LoadedRun]:
    """The runs with these metrics alone in their tables; all where none is named."""
    return [
        replace(run, header={**run.header, "metrics": {name: run.header["metrics"][name] for name in metrics}})
        if metrics
        else run
        for run in runs
    ]


def _texts(options: ReportOptions, run: LoadedRun) -> bool:
    """May the report hold texts of items?"""
    if options.items is not None:
        return options.items != "ids"
    return not protects_texts(run.header["data"]["name"])
