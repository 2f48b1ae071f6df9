"""``telbench eval``: generate answers with a checkpoint and score them."""

from __future__ import annotations

import argparse
from dataclasses import replace

from telbench.flags import add_flags, add_json, settings_of

from ..runs.evaluate import make_run
from ..runs.settings import EvalSettings
from .network import online_allowed, stay_offline


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench eval --model CKPT [--data NAME|PATH] [OPTIONS]"
    parser.epilog = (
        "Interrupted runs are resumed by the same command. Exit codes: 0 fine, 2 bad usage or input, 5 the engine or "
        "telbench failed, 130 interrupted."
    )
    add_flags(parser, EvalSettings, config=True)
    add_json(parser, "print the run's header as JSON")


def run(args: argparse.Namespace) -> int:
    """Make the run and print its table."""
    settings = settings_of(args, EvalSettings)
    online = online_allowed(settings.engine.online)
    if not online:
        stay_offline()
    settings = replace(settings, engine=replace(settings.engine, online=online))
    return make_run(settings, args.command_line, as_json=args.json)
