"""``telbench kd cache``: store a teacher's hidden rows once, so that trainings need not load its layers."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ...harness.cli.tables import print_json, shown
from ...harness.cli.terminal import Reporter
from ...harness.commands.options import bounded
from ...harness.datasets.canonical import parse_pairs
from ..settings import DataSettings


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command; those of the data are the training's own."""
    default = DataSettings()
    parser.add_argument("teacher", metavar="TEACHER", help="checkpoint folder of the teacher")
    parser.add_argument("--data", default=default.data, metavar="NAME|PATH", help="data set (default: %(default)s)")
    parser.add_argument("--split", default=default.split, metavar="S", help="split (default: %(default)s)")
    parser.add_argument("--context", choices=("open", "closed"), default=default.context, help="as in training")
    parser.add_argument("--limit", type=bounded(int, 1), metavar="N", help="first N items only")
    parser.add_argument(
        "--max-length",
        type=bounded(int, 1),
        default=default.max_length,
        metavar="N",
        help="longest prompt and answer in tokens, as in training (default: %(default)s)",
    )
    parser.add_argument("--data-dir", type=Path, metavar="PATH", help="folder with the public data sets")
    parser.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS,...", help="a file's columns")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="option of a data set")
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="number format that the teacher computes in and rows are stored in (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size", type=bounded(int, 1), default=8, metavar="N", help="items at once (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the cache (default: in telbench's cache)")
    parser.add_argument("--fresh", action="store_true", help="make all of it again, whatever lies there")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Make the cache or finish one that was begun; 0, or 130 when interrupted."""
    from ..teacher.making import make_cache, mebibytes, plan_cache

    data = DataSettings(
        args.data, args.split, "none", args.context, args.limit, args.max_length, args.data_dir,
        parse_pairs(args.map, "--map"), parse_pairs(args.option, "--option"),
    )  # fmt: skip
    reporter = Reporter()
    plan = plan_cache(args.teacher, data, args.dtype)
    for reason, count in plan.dropped.items():
        reporter.note(f"left out: {count} items {reason}")
    folder = args.out or plan.default_place
    rows = sum(each.rows for each in plan.examples)
    reporter.note(f"{len(plan.examples)} items, {rows:,} answer rows, {mebibytes(plan.bytes)} in {folder}")
    try:
        cached = make_cache(plan, folder, reporter, batch_size=args.batch_size, fresh=args.fresh)
    except KeyboardInterrupt:
        reporter.note(f"interrupted; finished shards are kept in {folder}")
        reporter.note(f"resume with: {_resume_line(args.command_line)}")
        return 130
    if args.json:
        print_json(
            {
                "path": str(folder),
                "examples": len(plan.examples),
                "rows": rows,
                "dropped": dict(plan.dropped),
                "bytes": cached.bytes,
                "shards": {"made": cached.made, "kept": cached.kept},
            }
        )
        return 0
    state = f"{cached.made} shards made, {cached.kept} kept" if cached.made else "was complete, all hashes are right"
    sys.stdout.write(shown(f"{folder}: {state}, {mebibytes(cached.bytes)}") + "\n")
    return 0


def _resume_line(command: Sequence[str]) -> str:
    return shlex.join(word for word in command if word != "--fresh")
