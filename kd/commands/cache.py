"""``telbench kd cache``: store a teacher's hidden rows once, so that trainings need not load its layers."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from telbench.config import REQUIRED, Bounded, group, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import print_json, shown
from ...harness.cli.terminal import Reporter
from ..settings import NONE, DataSettings
from ..teacher.served import served_teacher
from ..teacher.sparse import Form


@dataclass(frozen=True)
class CacheOptions(Bounded):
    """``telbench kd cache``: the teacher, and the data as its students will train on them."""

    teacher: str = setting(
        REQUIRED, "checkpoint folder of the teacher, or openai:MODEL@URL", metavar="TEACHER", positional=True
    )
    data: DataSettings = group(lambda: DataSettings(dev_split=NONE), "data, as in training")
    dtype: Literal["float32", "bfloat16"] = setting(
        "float32", "number format that the teacher computes in and rows are stored in"
    )
    top_k: int | None = setting(
        None, "store the K likeliest tokens of each row instead of its hidden state", metavar="K", low=1
    )
    sampled: int | None = setting(
        None, "store N drawn tokens of each row with their weights instead", metavar="N", low=1
    )
    temperature: float = setting(1.0, "of the probabilities that tokens are stored of", metavar="T", above=0)
    proposal: float = setting(
        1.0, "draw by the teacher's probabilities to this power; above 1: likely tokens more often", metavar="X", low=0
    )
    tokenizer: str | None = setting(
        None, "a served teacher's: folder with its tokenizer and config.json", metavar="FOLDER"
    )
    batch_size: int = setting(8, "items at once", metavar="N", low=1)
    out: Path | None = setting(None, "folder of the cache (default: in telbench's cache)", metavar="DIR")
    fresh: bool = setting(False, "make all of it again, whatever lies there")

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        super().__post_init__()
        served = served_teacher(self.teacher) is not None
        if self.top_k and self.sampled:
            raise InputError("--top-k and --sampled are two forms of a cache: give one")
        if served and (self.top_k is None or self.tokenizer is None):
            raise InputError("a served teacher needs --top-k K and --tokenizer FOLDER (its tokenizer and config.json)")
        if served and self.temperature != 1:
            raise InputError("a served teacher tells its probabilities at temperature 1: leave --temperature out")
        if self.tokenizer is not None and not served:
            raise InputError("--tokenizer is for a served teacher (openai:MODEL@URL): a checkpoint has its own")
        if self.form is None and self.temperature != 1:
            raise InputError("--temperature is for --top-k and --sampled: hidden states serve any temperature")
        if not self.sampled and self.proposal != 1:
            raise InputError("--proposal is for --sampled: nothing else is drawn")

    @property
    def form(self) -> Form | None:
        """What is kept of a row; None: its hidden state."""
        if self.top_k:
            return Form("top_k", self.top_k, self.temperature)
        return Form("sampled", self.sampled, self.temperature, self.proposal) if self.sampled else None


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command; those of the data are the training's own."""
    add_flags(parser, CacheOptions, without=("dev_split", "dev_limit"), config=True)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Make the cache or finish one that was begun; 0, or 130 when interrupted."""
    from ..teacher.making import make_cache, mebibytes, plan_cache

    options = settings_of(args, CacheOptions)
    reporter = Reporter()
    plan = plan_cache(options.teacher, options.data, options.dtype, options.form, options.tokenizer)
    for reason, count in plan.dropped.items():
        reporter.note(f"left out: {count} items {reason}")
    folder = options.out or plan.default_place
    rows = sum(each.rows for each in plan.examples)
    kept = "" if plan.form is None else f"{plan.form.told}: "
    reporter.note(f"{len(plan.examples)} items, {rows:,} answer rows, {kept}{mebibytes(plan.bytes)} in {folder}")
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
