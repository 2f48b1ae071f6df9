"""``telbench kd sft`` and ``telbench kd distill``: one candidate from a YAML file, flags, or both."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from telbench.flags import add_flags, add_json, flags_given, settings_of

from ...harness.cli.terminal import Reporter
from ..settings import TrainingSettings, require_read, require_verb


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of both commands: what the settings have, and where they come from."""
    # The action was chosen already: its parser's name ends with it.
    if parser.prog.endswith("distill"):
        parser.add_argument("--teacher", default=argparse.SUPPRESS, metavar="CKPT", help="folder of the teacher")
        parser.add_argument("--student", default=argparse.SUPPRESS, metavar="CKPT", help="folder of the student")
    else:
        parser.add_argument("--model", dest="student", default=argparse.SUPPRESS, metavar="CKPT", help="what to tune")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the finished checkpoint")
    parser.add_argument("--fresh", action="store_true", help="start over, and replace what stands at --out")
    add_json(parser, "print the checkpoint's note as one JSON document")
    add_flags(parser, TrainingSettings, config=True)


def run(args: argparse.Namespace) -> int:
    """Train; exit code 0."""
    settings = settings_of(args, TrainingSettings)
    require_verb(settings, args.action)
    asked = flags_given(args, TrainingSettings).get("method")
    if asked:
        require_read(settings.method, asked)
    from ..train.candidate import train_candidate

    candidate = train_candidate(settings, args.out, Reporter(), fresh=args.fresh)
    if os.environ.get("RANK", "0") != "0":
        # Of several processes the first one tells.
        return 0
    if args.json:
        sys.stdout.write(json.dumps({"path": str(candidate.path), **asdict(candidate.origin)}, indent=1) + "\n")
    elif candidate.made_now:
        training = candidate.origin.training
        best = training["best"]
        dev = "" if best is None else f", loss on the dev split {best['loss']:.4f} (step {best['step']})"
        sys.stdout.write(
            f"{candidate.path}: {training['steps']} steps, {training['tokens']:,} tokens in "
            f"{training['seconds']:.0f} s{dev}\nNext: telbench eval --model {candidate.path}\n"
        )
    return 0
