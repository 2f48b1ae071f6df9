"""What a person sees while it works: progress on stderr, everything that libraries print in the run's log."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..storage import writing
from .notebook import LiveLine, kernel, process_stream

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Cc: control, Cf: format (bidirectional overrides, zero width), Cs: lone surrogates, Zl/Zp: line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, *, lines: bool = False, encoding: str = "") -> str:
    r"""The text with hidden characters, and what cannot be encoded, as escapes.

    Args:
        text: anything, hostile text included.
        lines: keep line feeds and tabs.
        encoding: of the file or page that the text is for; stdout's where none is given.

    >>> visible("red \x1b[31m"), visible("a\u202eb\0", encoding="utf-8")
    ('red \\x1b[31m', 'a\\u202eb\\x00')
    """
    if text.isascii() and text.isprintable():
        return text
    kept, encoding = "\n\t" if lines else "", encoding or sys.stdout.encoding or "utf-8"
    # A long text has few different characters.
    hidden = {
        ord(character): _escape(character)
        for character in set(text)
        if character not in kept and unicodedata.category(character) in _HIDDEN
    }
    shown = text.translate(hidden) if hidden else text
    return shown.encode(encoding, "backslashreplace").decode(encoding)


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

        self._notebook = kernel() if "ipykernel" in sys.modules else None
        # A copy of the terminal's descriptor: the original is sent to the log while libraries are kept quiet.
        try:
            if self._notebook is not None:
                # The kernel's stream: its descriptor leads to the terminal of the server.
                raise OSError
            copy = os.dup(sys.stderr.fileno())
            stream = os.fdopen(copy, "w", encoding=sys.stderr.encoding or "utf-8", errors="backslashreplace")
        except (OSError, ValueError, AttributeError):
            stream = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - lives as long as the process
        self._console = TolerantConsole(file=stream, highlight=False, force_jupyter=False)

    def note(self, text: str) -> None:
        """One line about what happens now; a reader that has gone (a closed pipe, a full disk) never stops the work."""
        with contextlib.suppress(OSError):
            self._console.print(visible(text), markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def progress(self, label: str, total: int) -> Iterator[Meter]:
        """A bar on a terminal, a line that changes in a notebook; elsewhere a line every ten seconds."""
        if self._notebook is not None:
            meter = _NotebookMeter(LiveLine(self._notebook), label, total)
            yield meter
            meter.finish()
            return
        if not self._console.is_terminal:
            yield _LineMeter(self, label, total)
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[detail]}"), console=self._console, transient=True) as bar:
            yield _BarMeter(bar, bar.add_task(label, total=total, detail=""))

    @contextlib.contextmanager
    def drawn(self, draw: Callable[[int], Any]) -> Iterator[bool]:
        """On a terminal, what ``draw`` makes of so many rows, drawn anew meanwhile; is there a terminal?"""
        if not self._console.is_terminal:
            yield False
            return
        from rich.live import Live

        def again() -> Any:
            return draw(max(1, self._console.height - 6))

        with Live(get_renderable=again, console=self._console, refresh_per_second=1, transient=True):
            yield True
        self._console.print(draw(0))

    @contextlib.contextmanager
    def quiet(self, log: Path | None = None) -> Iterator[None]:
        """Send what libraries print, C libraries included, to ``log`` meanwhile; without one, from stdout to stderr.

        Raises:
            InputError: when the log cannot be written.
        """
        with contextlib.ExitStack() as stack:
            targets = {1: 2}
            if log is not None:
                with writing(log):
                    stream = stack.enter_context(log.open("ab", buffering=0))
                targets = {1: stream.fileno(), 2: stream.fileno()}
            _flush_standard()
            saved = {original: os.dup(original) for original in targets}
            for original, target in targets.items():
                os.dup2(target, original)
        try:
            with contextlib.ExitStack() as streams:
                if log is not None and self._notebook is not None:
                    for redirect, descriptor in ((contextlib.redirect_stdout, 1), (contextlib.redirect_stderr, 2)):
                        stream = process_stream(descriptor)
                        streams.callback(stream.flush)
                        streams.enter_context(redirect(stream))
                else:
                    streams.enter_context(contextlib.redirect_stdout(sys.stderr if log is None else sys.stdout))
                yield
        finally:
            _flush_standard()
            for original, copy in saved.items():
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


@dataclass
class _NotebookMeter(Meter):
    line: LiveLine
    label: str
    total: int
    done: int = 0
    detail: str = ""

    def advance(self, count: int = 1, detail: str = "") -> None:
        self.done, self.detail = self.done + count, detail
        self.line.show(self._told())

    def finish(self) -> None:
        """Leave what was reached, where anything was shown or done."""
        if self.done:
            self.line.show(self._told(), last=True)

    def _told(self) -> str:
        return visible(f"{self.label} {self.done}/{self.total} {self.detail}".rstrip(), encoding="utf-8")
