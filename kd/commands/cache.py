"""``telbench kd cache``: store a teacher's hidden rows once, so that trainings need not load its layers."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from telbench.config import REQUIRED, group, setting
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import print_json, shown
from ...harness.cli.terminal import Reporter
from ..settings import NONE, DataSettings


@dataclass(frozen=True)
class CacheOptions:
    """``telbench kd cache``: the teacher, and the data as its students will train on them."""

    teacher: str = setting(REQUIRED, "checkpoint folder of the teacher", metavar="TEACHER", positional=True)
    data: DataSettings = group(lambda: DataSettings(dev_split=NONE), "data, as in training")
    dtype: Literal["float32", "bfloat16"] = setting(
        "float32", "number format that the teacher computes in and rows are stored in"
    )
    batch_size: int = setting(8, "items at once", metavar="N", low=1)
    out: Path | None = setting(None, "folder of the cache (default: in telbench's cache)", metavar="DIR")
    fresh: bool = setting(False, "make all of it again, whatever lies there")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command; those of the data are the training's own."""
    add_flags(parser, CacheOptions, without=("dev_split", "dev_limit"), config=True)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Make the cache or finish one that was begun; 0, or 130 when interrupted."""
    from ..teacher.making import make_cache, mebibytes, plan_cache

    options = settings_of(args, CacheOptions)
    reporter = Reporter()
    plan = plan_cache(options.teacher, options.data, options.dtype)
    for reason, count in plan.dropped.items():
        reporter.note(f"left out: {count} items {reason}")
    folder = options.out or plan.default_place
    rows = sum(each.rows for each in plan.examples)
    reporter.note(f"{len(plan.examples)} items, {rows:,} answer rows, {mebibytes(plan.bytes)} in {folder}")
    try:
        cached = make_cache(plan, folder, reporter, batch_size=options.batch_size, fresh=options.fresh)
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
