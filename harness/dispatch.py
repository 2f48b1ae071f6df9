"""Import one command, parse its options, run it, and turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence

from ..judges.errors import InputError, TelbenchError
from .cli import COMMANDS
from .visible import visible


def say(line: str) -> None:
    """One line to stderr; hostile characters in it are shown, not done."""
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(visible(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Exit code of the command: its own, or 2, 4 or 5 by the kind of error, or 130 when interrupted."""
    try:
        if name not in COMMANDS:
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            raise InputError(
                f"unknown command '{name}'" + (f": did you mean {near[0]}?" if near else ": see telbench --help")
            )
        module_name, summary = COMMANDS[name]
        module = importlib.import_module(module_name, __package__)
        parser = argparse.ArgumentParser(prog=f"telbench {name}", description=summary, allow_abbrev=False)
        module.configure(parser)
        args = parser.parse_args(arguments)
        args.command_line = ["telbench", name, *arguments]
        code = module.run(args)
        sys.stdout.flush()
        return code
    except TelbenchError as error:
        say(f"telbench {name}: {one_line(error)}")
        return error.exit_code
    except BrokenPipeError:
        # The reader (head, a pager) has gone; silence the flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say(f"telbench {name}: interrupted")
        return 130
    except Exception as error:
        if os.environ.get("TELBENCH_DEBUG"):
            raise
        kind = type(error).__name__
        say(f"telbench {name}: internal error: {kind}: {one_line(error)} (TELBENCH_DEBUG=1 shows the traceback)")
        return TelbenchError.exit_code


def one_line(error: BaseException) -> str:
    """The message with line breaks folded; never empty."""
    return " ".join(str(error).split()) or type(error).__name__
