"""``telbench score``: score answers made elsewhere."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from .eval import make_run
from .options import add_data_options, add_run_options, settings_from


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench score PREDICTIONS [--data NAME|PATH] [OPTIONS]"
    parser.add_argument(
        "predictions",
        type=Path,
        metavar="PREDICTIONS",
        help=".jsonl, .json, .csv or .parquet with 'id' and 'prediction', or .txt with a line an item",
    )
    add_data_options(parser)
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    """Score the file as a run of the replay engine."""
    settings = replace(settings_from(args), engine="replay", answers=args.predictions)
    return make_run(settings, args.command_line, as_json=args.json)
