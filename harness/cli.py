"""The command line: names the commands as strings and imports the one that is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# name -> (module, what the overview says). Modules are relative to this package.
COMMANDS: dict[str, tuple[str, str]] = {
    "eval": (".commands.eval", "generate answers with a checkpoint and score them"),
    "score": (".commands.score", "score answers made elsewhere"),
    "compare": ("..leaderboard.compare", "set finished runs side by side, with paired differences"),
    "check": ("..leaderboard.check", "fail a pipeline when a candidate is worse than the baseline"),
    "baseline": ("..leaderboard.baseline", "pin the run that candidates are held against"),
    "leaderboard": ("..leaderboard.site.command", "publish finished runs as a folder of pages, or look at one"),
    "data": (".commands.data", "list, show, lint or split data sets"),
    "metrics": (".commands.metrics", "list, show or check metrics"),
    "judge": (".commands.judge", "show how a judged number came about, calibrate a judge, prefer one run"),
    "kd": ("..kd.command", "make candidates: fine-tune, distil, whole studies"),
    "demo": ("..kd.demo", "distil a few tiny candidates, evaluate and compare them, build a board"),
    "doctor": (".commands.doctor", "what is installed and usable here, and how to get what is missing"),
}
DESCRIPTION = "telbench: which telecom checkpoint is really better."


def overview() -> str:
    """The text of ``telbench --help``."""
    width = max(map(len, COMMANDS))
    lines = [DESCRIPTION, "", "usage: telbench COMMAND [OPTIONS]", "", "commands:"]
    lines += [f"  {name.ljust(width)}  {text}" for name, (_, text) in COMMANDS.items()]
    lines += ["", "telbench COMMAND --help tells more of one; telbench --version prints the version."]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors of the user's making become one line on stderr."""
    from .dispatch import run_command

    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        sys.stderr.write(overview() + "\n")
        return 2
    return run_command(arguments[0], arguments[1:])


def entry() -> None:
    """Console script: what no terminal or pipe can show becomes an escape, and a stream that is closed a sink."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Opened at once, so that no file of a run gets the descriptor of a closed stream.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        getattr(sys, name).reconfigure(errors="backslashreplace")
    code = main()
    # Libraries that say goodbye when the interpreter ends must not follow the result on stdout.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.exit(code)
