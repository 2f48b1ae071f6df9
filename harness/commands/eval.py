"""``telbench eval``: generate answers with a checkpoint and score them."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from telbench.flags import add_flags, add_json, settings_of

from ..cli.terminal import Reporter
from ..runs.evaluate import InterruptedRunError, Run, evaluate
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


def make_run(settings: EvalSettings, command: Sequence[str], *, as_json: bool) -> int:
    """Evaluate, tell where the run is, print table or JSON; an interruption prints the line that resumes."""
    from ..cli.tables import print_json, print_run

    reporter = Reporter()
    try:
        # stdout is for the result.
        with reporter.quiet():
            made: Run = evaluate(settings, reporter, command)
    except InterruptedRunError as interrupted:
        reporter.note(f"interrupted; finished answers are kept in {interrupted.path}")
        reporter.note(f"resume with: {resume_line(command, interrupted.path)}")
        return 130
    reporter.note(f"{'already finished' if made.reused else 'written'}: {made.path}")
    if as_json:
        print_json({**made.header, "path": str(made.path)})
    else:
        print_run(made.header)
    return 0


def resume_line(command: Sequence[str], path: Path) -> str:
    """The command again, with its run folder named and without --fresh."""
    kept = [word for word in command if word != "--fresh"]
    named = any(word == "--out" or word.startswith("--out=") for word in kept)
    return shlex.join([*kept, *([] if named else ["--out", str(path)])])
