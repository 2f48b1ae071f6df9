"""The command line: names the commands as strings and imports the one that is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence

# name -> (module, what the overview says). Modules are relative to this package.
COMMANDS: dict[str, tuple[str, str]] = {
    "eval": (".commands.eval", "generate answers with a checkpoint and score them"),
    "score": (".commands.score", "score answers made elsewhere"),
    "compare": ("..leaderboard.compare", "set finished runs side by side, with paired differences"),
    "data": (".commands.data", "list, show, lint or split data sets"),
    "metrics": (".commands.metrics", "list, show or check metrics"),
    "demo": ("..kd.demo", "train two tiny checkpoints, evaluate both, print a table"),
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
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())  # noqa: T201
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"telbench {version('telbench')}")  # noqa: T201
        return 0
    from .dispatch import run_command

    return run_command(arguments[0], arguments[1:])


def entry() -> None:
    """Console script."""
    sys.exit(main())
