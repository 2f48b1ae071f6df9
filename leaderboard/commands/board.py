"""``telbench leaderboard``: build a board of finished runs, or look at one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from telbench.config import REQUIRED, group, same_as, setting
from telbench.errors import InputError
from telbench.flags import add_flags, settings_of

from ...harness.cli.terminal import visible
from ...harness.datasets.settings import DataSettings
from ...harness.loggers.settings import ShownSettings
from ..compare.pairwise import ClusterBy
from ..runs.directions import LogSettings
from .compare import CompareOptions


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """``telbench leaderboard build``."""

    runs: tuple[Path, ...] = setting(
        REQUIRED,
        "run folders, a folder that holds run folders, logs of lm-eval, inspect, HELM and EvalScope, anchors, or files "
        "of Every Eval Ever",
        metavar="RUN",
        positional=True,
    )
    out: Path = setting(REQUIRED, "folder to write (replaced as a whole)", metavar="SITE", required=True)
    baseline: Path | None = setting(None, "what the others are held against (default: the first run)", metavar="RUN")
    title: str = setting("telbench leaderboard", "heading of the board", metavar="TEXT")
    allow_incomplete: bool = setting(False, "rank runs that lack more than 1 % of a metric's scores too")
    cluster: ClusterBy = setting("source_document", "what is drawn and flipped as a whole")
    pairs: Literal["wilcoxon", "mean"] = setting("mean", "test behind rank ranges and letters")
    history: Path | None = setting(None, "checks of a gate to draw (telbench check --history)", metavar="FILE")
    worth: Path | None = setting(
        None, "what metrics are worth on this data (telbench metrics worth --out), for the method page", metavar="FILE"
    )
    items: Literal["all", "ids", "none"] | None = setting(
        None,
        "show texts of questions and answers, ids alone, or no items (default: all, ids where the data set's publisher "
        "protects its texts)",
    )
    margins: Mapping[str, float] = setting(
        {},
        "the largest drop to accept, on the metric's own scale or overall: each row says whether it is shown to be "
        "smaller",
        flag="--margin",
        metavar="METRIC=X",
        above=0,
    )
    url: str | None = setting(
        None, "address that the board will have: links to it then show a picture (preview.png)", metavar="URL"
    )
    weights: str = same_as(CompareOptions, "weights")
    primary: tuple[str, ...] = setting(
        (),
        "runs of several data sets: metrics that count, on each the first that its runs share",
        many="comma",
        metavar="NAME,…",
    )
    cache: bool = setting(
        True,
        "take what earlier builds made of the same runs from the cache, and keep what this one makes (parts lie in "
        "~/.cache/telbench/boards, which may be deleted at any time)",
    )
    data_dir: Path | None = same_as(DataSettings, "data_dir")
    logs: LogSettings = group(LogSettings, "logs of other harnesses")
    shown: ShownSettings = group(ShownSettings, "where the board is shown")


@dataclass(frozen=True)
class ServeOptions:
    """``telbench leaderboard serve``."""

    site: Path = setting(REQUIRED, "a built board", metavar="SITE", positional=True)
    port: int = setting(8000, "0 takes a free one", metavar="N", low=0, high=65535)


def configure(parser: argparse.ArgumentParser) -> None:
    """Sub-commands build and serve."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="build|serve")
    build = actions.add_parser("build", help="write the board as a folder of pages that opens without a server")
    # What a board shows of items it says itself.
    add_flags(build, BuildOptions, without=("log_samples", "log_items"))
    serve = actions.add_parser("serve", help="show a built board at a local address, to this machine alone")
    add_flags(serve, ServeOptions)


def run(args: argparse.Namespace) -> int:
    """Build or serve."""
    if args.action == "serve":
        from ..site.serve import serve

        served = settings_of(args, ServeOptions)
        serve(served.site, served.port)
        return 0
    asked = settings_of(args, BuildOptions)
    asked.shown.require()
    sys.stdout.write(visible(build(asked)) + "\n")
    return asked.shown.show([asked.out])


def build(asked: BuildOptions) -> str:
    """Build the board, unless it is there already; what to tell of it."""
    from ...harness.cli.terminal import Reporter
    from ..runs.foreign import Reading
    from ..site.build import build_site, inputs_digest, is_current, require_own
    from ..site.elsewhere.rows import rows_from, sorted_out
    from ..site.model.board import Options, licence_lines, make_board
    from ..site.model.contexts import find_contexts
    from ..site.model.eligibility import run_folders
    from ..site.store import Store, user_store
    from ..site.views.recipes import with_recipes
    from ..site.views.sets import make_sets

    require_own(asked.out)
    options = Options(
        asked.title,
        asked.baseline,
        asked.allow_incomplete,
        asked.cluster,
        asked.pairs,
        asked.history,
        asked.worth,
        asked.items,
        asked.margins,
        asked.weights,
        asked.primary,
        _address(asked.url),
    )
    reporter = Reporter()
    paths = [*asked.runs, *([] if asked.baseline is None else _unnamed(asked.baseline, asked.runs))]
    paths, others = sorted_out(paths)
    elsewhere = rows_from(others, Reading(asked.logs))
    contexts = find_contexts(run_folders(paths)[0], asked.data_dir)
    inputs = inputs_digest(paths, options, contexts, elsewhere.digest)
    if is_current(asked.out, inputs):
        return f"nothing changed since the last build: open {asked.out / 'index.html'}"
    for note in (*contexts.notes, *elsewhere.notes):
        reporter.note(note)
    processes = min(os.cpu_count() or 1, 8)
    store = user_store() if asked.cache else Store()
    sets = make_sets(paths, options, reporter, processes, contexts, elsewhere, store)
    if sets is not None:
        for line in dict.fromkeys(line for each in sets.sets for line in licence_lines(each.board)):
            reporter.note(line)
        count = build_site(sets, asked.out, reporter, inputs)
        store.tidy()
        told = f"{sets.runs} runs ranked on {len(sets.sets)} data sets"
        return f"{told}; {count} files: open {asked.out / 'index.html'}"
    for name, given in (("weights", options.weights != "equal"), ("primary", options.primary)):
        if given:
            raise InputError(f"--{name}: the runs are of one data set: drop it")
    board = with_recipes(make_board(paths, options, reporter, processes, contexts, elsewhere, store), reporter)
    for line in licence_lines(board):
        reporter.note(line)
    count = build_site(board, asked.out, reporter, inputs)
    store.tidy()
    apart = f", {len(board.apart)} apart" if board.apart else ""
    return f"{len(board.runs)} runs ranked{apart}; {count} files: open {asked.out / 'index.html'}"


def _address(url: str | None) -> str | None:
    if url is not None and not url.startswith(("https://", "http://")):
        raise InputError(f"--url {url}: an address begins with https://")
    return url


def _unnamed(baseline: Path, runs: Sequence[Path]) -> list[Path]:
    """The baseline, where it is none of the runs and in none of the folders of runs."""
    resolved = {path.resolve() for path in runs} | {path.resolve() for folder in runs for path in folder.glob("*")}
    return [] if baseline.resolve() in resolved else [baseline]
