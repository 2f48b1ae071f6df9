"""Import one command, parse its options, run it, and turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import importlib
import os
import select
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from ..judges.errors import InputError, TelbenchError
from .cli import COMMANDS, overview
from .visible import visible

HELP, VERSION = ("-h", "--help", "help"), ("-V", "--version")
_LONGEST_LINE = 2000


class Options(argparse.ArgumentParser):
    """A parser whose complaints are one line, as those of the commands are; subparsers are made alike."""

    def error(self, message: str) -> NoReturn:
        """Raise `InputError` instead of printing the usage of every option."""
        raise InputError(f"{self._with_hint(message)}: see {self.prog} --help")

    def _with_hint(self, message: str) -> str:
        unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0].partition("=")[0]
        near = difflib.get_close_matches(unknown, self._flags(), n=1) if unknown.startswith("-") else []
        return f"unknown option {unknown}: did you mean {near[0]}" if near else message

    def _flags(self) -> list[str]:
        flags = [flag for action in self._actions for flag in action.option_strings]
        choices = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return flags + [flag for each in choices for parser in (each or {}).values() for flag in parser._flags()]


def say(line: str) -> None:
    """One line to stderr; hostile characters in it are shown, not done."""
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(visible(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Exit code of the command: its own, or 2, 4 or 5 by the kind of error, or 130 when interrupted.

    ``TELBENCH_DEBUG=1`` shows the traceback of an error above its line.
    """
    speaker = f"telbench {name}" if name in COMMANDS else "telbench"
    try:
        code = _run(name, arguments)
        sys.stdout.flush()
        return code
    except SystemExit as stop:
        # argparse after --help; rich when the reader of stdout has gone.
        if isinstance(stop.__context__, BrokenPipeError):
            return _reader_has_gone()
        return stop.code if isinstance(stop.code, int) else 0
    except TelbenchError as error:
        _debug()
        say(f"{speaker}: {one_line(error)}")
        return error.exit_code
    except KeyboardInterrupt:
        say(f"{speaker}: interrupted")
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _stdout_is_closed():
            return _reader_has_gone()
        _debug()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            say(
                f"{speaker}: the disk is full ({error.filename or 'stdout'}): free some space and run the command again"
            )
            return InputError.exit_code
        kind = type(error).__name__
        say(f"{speaker}: internal error: {kind}: {one_line(error)} (TELBENCH_DEBUG=1 shows the traceback)")
        return TelbenchError.exit_code


def one_line(error: BaseException) -> str:
    """The message with line breaks folded, cut where it is endless; never empty."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 2 :]}"


def _run(name: str, arguments: Sequence[str]) -> int:
    if name in HELP:
        sys.stdout.write(overview() + "\n")
        return 0
    if name in VERSION:
        from importlib.metadata import version

        sys.stdout.write(f"telbench {version('telbench')}\n")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)} (see telbench --help)"
        raise InputError(f"unknown command '{name}': {hint}")
    module_name, summary = COMMANDS[name]
    module: Any = importlib.import_module(module_name, __package__)
    parser = Options(prog=f"telbench {name}", description=summary, allow_abbrev=False)
    module.configure(parser)
    args = parser.parse_args(arguments)
    args.command_line = ["telbench", name, *arguments]
    return module.run(args)


def _debug() -> None:
    if os.environ.get("TELBENCH_DEBUG"):
        traceback.print_exc()


def _stdout_is_closed() -> bool:
    """Has the reader of stdout gone? A broken pipe may also be one that an engine had open."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False


def _reader_has_gone() -> int:
    """Silence the flush at exit; that a pager or head wants no more is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    return 0
