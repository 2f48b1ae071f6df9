"""What a person sees while it works: progress on stderr, everything that libraries print in the run's log."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..storage import writing

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Cc: control, Cf: format (bidirectional overrides, zero width), Cs: lone surrogates, Zl/Zp: line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with hidden characters as escapes, and with what stdout cannot encode as escapes.

    Args:
        text: anything, hostile text included.
        lines: keep line feeds and tabs.

    >>> visible("red \x1b[31m")
    'red \\x1b[31m'
    """
    encoding = sys.stdout.encoding or "utf-8"
    return escaped(text, lines=lines).encode(encoding, "backslashreplace").decode(encoding)


def escaped(text: str, *, lines: bool = False) -> str:
    r"""The text with hidden characters as escapes, whatever stdout is: for files and pages.

    >>> escaped("a\u202eb\0")
    'a\\u202eb\\x00'
    """
    kept = "\n\t" if lines else ""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in kept or unicodedata.category(character) not in _HIDDEN else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_EVERY_SECONDS = 10.0


class Reporter:
    """Notes and progress on a stream that stays the user's own while libraries are kept quiet."""

    def __init__(self) -> None:
        from rich.console import Console

        class TolerantConsole(Console):
            """Falls silent when its reader has gone, where rich would end the program and close its stdout."""

            def on_broken_pipe(self) -> None:
                self.quiet = True

        # A copy of the terminal's descriptor: the original is sent to the log while libraries are kept quiet.
        try:
            copy = os.dup(sys.stderr.fileno())
            stream = os.fdopen(copy, "w", encoding=sys.stderr.encoding or "utf-8", errors="backslashreplace")
        except (OSError, ValueError, AttributeError):
            stream = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - lives as long as the process
        self._console = TolerantConsole(file=stream, highlight=False)

    def note(self, text: str) -> None:
        """One line about what happens now; a reader that has gone (a closed pipe, a full disk) never stops the work."""
        with contextlib.suppress(OSError):
            self._console.print(visible(text), markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def progress(self, label: str, total: int) -> Iterator[Meter]:
        """A bar on a terminal; elsewhere a line every ten seconds."""
        if not self._console.is_terminal:
            yield _LineMeter(self, label, total)
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[detail]}"), console=self._console, transient=True) as bar:
            yield _BarMeter(bar, bar.add_task(label, total=total, detail=""))

    @contextlib.contextmanager
    def quiet(self, log: Path) -> Iterator[None]:
        """Send file descriptors 1 and 2, C libraries included, to ``log`` meanwhile.

        Raises:
            InputError: when the log cannot be written.
        """
        with writing(log):
            stream = log.open("ab", buffering=0)
        _flush_standard()
        with stream:
            saved = os.dup(1), os.dup(2)
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        try:
            yield
        finally:
            _flush_standard()
            for copy, original in zip(saved, (1, 2), strict=True):
                os.dup2(copy, original)
                os.close(copy)


def _flush_standard() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A full disk under the log, or a pipe without a reader, must not hide the error that is on its way.
        with contextlib.suppress(OSError, AttributeError, ValueError):
            stream.flush()


class Meter:
    """Counts done work, with a detail such as tokens a second."""

    def advance(self, count: int = 1, detail: str = "") -> None:
        """Count ``count`` more."""


class _BarMeter(Meter):
    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def advance(self, count: int = 1, detail: str = "") -> None:
        self._bar.update(self._task, advance=count, detail=detail)


@dataclass
class _LineMeter(Meter):
    reporter: Reporter
    label: str
    total: int
    done: int = 0
    last: float = field(default_factory=time.monotonic)

    def advance(self, count: int = 1, detail: str = "") -> None:
        self.done += count
        if time.monotonic() - self.last >= _EVERY_SECONDS:
            self.last = time.monotonic()
            self.reporter.note(f"{self.label} {self.done}/{self.total} {detail}".rstrip())
