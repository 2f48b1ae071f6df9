"""``telbench leaderboard``: build a board of finished runs, or look at one."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ...harness.cli.terminal import visible


def configure(parser: argparse.ArgumentParser) -> None:
    """Sub-commands build and serve."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="build|serve")
    build = actions.add_parser("build", help="write the board as a folder of pages that opens without a server")
    build.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="run folders, or a folder that holds run folders"
    )
    build.add_argument("--out", type=Path, required=True, metavar="SITE", help="folder to write (replaced as a whole)")
    build.add_argument(
        "--baseline", type=Path, metavar="RUN", help="what the others are held against (default: the first run)"
    )
    build.add_argument("--title", default="telbench leaderboard", help="(telbench leaderboard)")
    build.add_argument(
        "--allow-incomplete", action="store_true", help="rank runs that lack more than 1 %% of a metric's scores too"
    )
    build.add_argument(
        "--cluster",
        choices=("source_document", "category", "item"),
        default="source_document",
        help="what is drawn and flipped as a whole (default: source_document)",
    )
    build.add_argument(
        "--pairs",
        choices=("wilcoxon", "mean"),
        default="wilcoxon",
        help="test behind rank ranges and letters (default: wilcoxon)",
    )
    build.add_argument(
        "--data-dir",
        type=Path,
        metavar="PATH",
        help="folder with the public data sets, for contexts (default: environment variable TELBENCH_DATA)",
    )
    serve = actions.add_parser("serve", help="show a built board at a local address, to this machine alone")
    serve.add_argument("site", type=Path, metavar="SITE")
    serve.add_argument("--port", type=int, default=8000, help="(8000; 0 takes a free one)")


def run(args: argparse.Namespace) -> int:
    """Build or serve."""
    if args.action == "serve":
        from ..site.serve import serve

        serve(args.site, args.port)
        return 0
    from ...harness.cli.terminal import Reporter
    from ..site.build import build_site, inputs_digest, is_current, require_own
    from ..site.model.board import Options, make_board
    from ..site.model.contexts import find_contexts
    from ..site.model.eligibility import run_folders

    require_own(args.out)
    options = Options(args.title, args.baseline, args.allow_incomplete, args.cluster, args.pairs)
    reporter = Reporter()
    paths = args.runs if args.baseline is None else [*args.runs, *_unnamed(args.baseline, args.runs)]
    contexts = find_contexts(run_folders(paths)[0], args.data_dir)
    inputs = inputs_digest(paths, options, contexts)
    if is_current(args.out, inputs):
        sys.stdout.write(visible(f"nothing changed since the last build: open {args.out / 'index.html'}") + "\n")
        return 0
    for note in contexts.notes:
        reporter.note(note)
    board = make_board(paths, options, reporter, min(os.cpu_count() or 1, 8), contexts)
    count = build_site(board, args.out, reporter, inputs)
    apart = f", {len(board.apart)} apart" if board.apart else ""
    told = f"{len(board.runs)} runs ranked{apart}; {count} files: open {args.out / 'index.html'}"
    sys.stdout.write(visible(told) + "\n")
    return 0


def _unnamed(baseline: Path, runs: list[Path]) -> list[Path]:
    """The baseline, where it is none of the runs and in none of the folders of runs."""
    resolved = {path.resolve() for path in runs} | {path.resolve() for folder in runs for path in folder.glob("*")}
    return [] if baseline.resolve() in resolved else [baseline]
