"""``telbench eval``: generate answers with a checkpoint and score them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from telbench.config import settings_in
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of

from ..datasets.settings import SUITES
from ..runs.evaluate import make_run
from ..runs.fleet import make_runs
from ..runs.settings import EvalSettings
from .judge_labels import told_by
from .network import as_allowed
from .score import LABELS


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench eval --model CKPT [CKPT ...] [--data NAME|SUITE|PATH] [OPTIONS]"
    parser.epilog = (
        "Interrupted runs are resumed by the same command. Exit codes: 0 fine, 2 bad usage or input, 5 the engine or "
        "telbench failed, 130 interrupted."
    )
    told = settings_in(EvalSettings)["model"].told["help"]
    parser.add_argument(
        "--model",
        dest="model",
        nargs="+",
        action="extend",
        metavar="CKPT",
        default=argparse.SUPPRESS,
        help=f"{told}; of several each gets a run folder, in --out if that is given",
    )
    add_flags(parser, EvalSettings, without=("model",), config=True)
    parser.add_argument("--labels", type=Path, metavar="FILE", help=LABELS)
    add_json(parser, "print the run's header as JSON (of several models: a list)")


def run(args: argparse.Namespace) -> int:
    """Make the run of each model and print its table."""
    models = getattr(args, "model", [])
    if models:
        args.model = models[0]
    settings = as_allowed(settings_of(args, EvalSettings))
    models = models or [settings.model]
    sets = SUITES.get(settings.data.data, (settings.data.data,))
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
