"""The command line: imports the one command that is called, and turns errors into one line and an exit code."""

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

from telbench.errors import InputError, TelbenchError

from .terminal import visible

# name -> (module, what the overview says). Only the one that is called is imported.
COMMANDS: dict[str, tuple[str, str]] = {
    "eval": ("telbench.harness.commands.eval", "generate answers with a checkpoint and score them"),
    "suite": (
        "telbench.leaderboard.commands.suite",
        "models x data sets x prompts from one file, with boards",
    ),
    "score": ("telbench.harness.commands.score", "score answers made elsewhere"),
    "show": ("telbench.harness.commands.show", "one item of a run, with its facts marked in the answer"),
    "prompts": ("telbench.harness.commands.prompts", "print the exact prompts of a run, before anything is spent"),
    "compare": ("telbench.leaderboard.commands.compare", "set finished runs side by side, with paired differences"),
    "check": ("telbench.leaderboard.commands.check", "fail a pipeline when a candidate is worse than the baseline"),
    "plan": ("telbench.leaderboard.commands.plan", "how many items, documents and seeds a margin takes, from a pilot"),
    "baseline": ("telbench.leaderboard.commands.baseline", "pin the run that candidates are held against"),
    "leaderboard": (
        "telbench.leaderboard.commands.board",
        "publish finished runs as a folder of pages, or look at one",
    ),
    "data": (
        "telbench.harness.commands.data",
        "list, show, lint or split data sets, or take the few items that say what all say",
    ),
    "report": ("telbench.leaderboard.commands.report", "one file on finished runs, for a mail or a pull request"),
    "export": ("telbench.leaderboard.commands.export", "finished runs in the formats of other tools and of the hub"),
    "log": ("telbench.leaderboard.commands.log", "finished runs and boards in W&B, MLflow or TensorBoard"),
    "import": ("telbench.leaderboard.commands.bring_in", "logs of other tools as run folders"),
    "metrics": ("telbench.harness.commands.metrics", "list, show or check metrics, and measure their worth"),
    "judge": (
        "telbench.harness.commands.judge",
        "show how a judged number came about, calibrate a judge, prefer one run",
    ),
    "kd": ("telbench.kd.commands.main", "make candidates: fine-tune, distil, whole studies"),
    "demo": ("telbench.kd.commands.demo", "distil a few tiny candidates, evaluate and compare them, build a board"),
    "plugins": (
        "telbench.harness.commands.plugins",
        "list all metrics, engines, data sets, judges and algorithms with where they come from",
    ),
    "doctor": ("telbench.harness.commands.doctor", "what is installed and usable here, and how to get what is missing"),
}
DESCRIPTION = "telbench: which telecom checkpoint is really better."


def overview() -> str:
    """The text of ``telbench --help``."""
    width = max(map(len, COMMANDS))
    lines = [DESCRIPTION, "", "usage: telbench COMMAND [OPTIONS]", "", "commands:"]
    lines += [f"  {name.ljust(width)}  {text}" for name, (_, text) in COMMANDS.items()]
    lines += ["", "telbench COMMAND --help tells more of one; telbench --version prints the version."]
    return "\n".join(lines)


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


HELP, VERSION = ("-h", "--help", "help"), ("-V", "--version")
_LONGEST_LINE = 2000


class Options(argparse.ArgumentParser):
    """A parser whose complaints are one line, as those of the commands are; subparsers are made alike."""

    # What is to be parsed: `error` tells by it whom the user meant.
    words: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Raise `InputError` instead of printing the usage of every option."""
        speaker = self._called()
        raise InputError(f"{self._with_hint(message, speaker)}: see {speaker.prog} --help")

    def _called(self) -> Options:
        """The parser of the sub-command that the words call, or this one."""
        choices = self._sub_commands()
        called = next((word for word in self.words if word in choices), None)
        if called is None:
            return self
        choices[called].words = self.words[self.words.index(called) + 1 :]
        return choices[called]._called()

    def _with_hint(self, message: str, speaker: Options) -> str:
        unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0].partition("=")[0]
        if not unknown.startswith("-"):
            return message
        near = difflib.get_close_matches(unknown, speaker._flags(), n=1)
        if near:
            return f"unknown option {unknown}: did you mean {near[0]}"
        others = [parser.prog for parser in self._sub_commands().values() if unknown in parser._flags()]
        return f"unknown option {unknown}" + (f" ({' and '.join(others)} would take it)" if others else "")

    def _sub_commands(self) -> dict[str, Options]:
        choices = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return {name: parser for each in choices for name, parser in (each or {}).items()}

    def _flags(self) -> list[str]:
        return [flag for action in self._actions for flag in action.option_strings]


def say(line: str) -> None:
    """One line to stderr; hostile characters in it are shown, not done."""
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(visible(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of one command: its own, or 2, 4 or 5 by the kind of error, or 130 when interrupted.

    An error of the user's making becomes one line on stderr; ``TELBENCH_DEBUG=1`` shows the traceback above it.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        sys.stderr.write(overview() + "\n")
        return 2
    name, arguments = words[0], words[1:]
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
    module: Any = importlib.import_module(module_name)
    parser = Options(prog=f"telbench {name}", description=summary, allow_abbrev=False)
    module.configure(parser)
    parser.words = arguments
    args = parser.parse_args(arguments)
    args.command_line = ["telbench", name, *arguments]
    try:
        return module.run(args)
    except SystemExit as stop:
        # No command ends so: some plugin or library does, and its code would pass for that of the command.
        if isinstance(stop.__context__, BrokenPipeError):
            raise
        raise TelbenchError(f"something that {name} called wanted to end the program (SystemExit: {stop})") from stop


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
