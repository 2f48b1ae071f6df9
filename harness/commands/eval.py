"""``telbench eval``: generate answers with checkpoints on data sets and score them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from telbench.config import settings_in
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of

from ..datasets.settings import SUITES
from ..fleet.together import make_runs
from ..runs.evaluate import make_run
from ..runs.settings import EvalSettings
from .judge_labels import told_by
from .network import as_allowed, stay_offline
from .score import LABELS

# Settings that take several values here: each pair of them is a run.
SEVERAL = {
    "model": ("CKPT", "; of several each gets a run folder, in --out if that is given"),
    "data": ("NAME|PATH", "; of several each model gets a run on each"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench eval --model CKPT [CKPT ...] [--data NAME|SUITE|PATH ...] [OPTIONS]"
    parser.epilog = (
        "Interrupted runs are resumed by the same command. Exit codes: 0 fine, 2 bad usage or input, 5 the engine or "
        "telbench failed, 130 interrupted."
    )
    for name, (shown, more) in SEVERAL.items():
        parser.add_argument(
            f"--{name}",
            nargs="+",
            action="extend",
            metavar=shown,
            default=argparse.SUPPRESS,
            help=settings_in(EvalSettings)[name].told["help"] + more,
        )
    add_flags(parser, EvalSettings, without=tuple(SEVERAL), config=True)
    parser.add_argument("--labels", type=Path, metavar="FILE", help=LABELS)
    parser.add_argument("--entries", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    add_json(parser, "print the run's header as JSON (of several runs: a list)")


def run(args: argparse.Namespace) -> int:
    """Make the run of each model on each data set and print its table."""
    if args.entries is not None:
        from ..fleet.entries import make_entries, read_entries

        entries = read_entries(args.entries)
        if not any(each.settings.get("online") for each in entries):
            stay_offline()
        return make_entries(entries, args.command_line)
    models, named = getattr(args, "model", []), getattr(args, "data", [])
    if models:
        args.model = models[0]
    if named:
        args.data = named[0]
    settings = as_allowed(settings_of(args, EvalSettings))
    models, named = models or [settings.model], named or [settings.data.data]
    sets = [each for name in named for each in SUITES.get(name, (name,))]
    if len(models) * len(sets) < 2:
        more = None if args.labels is None else told_by(args.labels)
        return make_run(settings, args.command_line, as_json=args.json, more=more)
    if args.labels is not None:
        raise InputError(
            "--labels is for one model on one data set: correct several runs by telbench judge correct RUN RUN --labels"
        )
    if settings.name:
        several = f"{len(models)} models" if len(models) > 1 else f"runs on {len(sets)} data sets"
        raise InputError(f"--name {settings.name} cannot be the name of {several}: drop it")
    every = [
        replace(settings, model=model, data=replace(settings.data, data=data)) for model in models for data in sets
    ]
    return make_runs(every, args.command_line, as_json=args.json)
