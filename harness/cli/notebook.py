"""What is different in a notebook: its streams are objects of the kernel, and its output is kept with the file.

A line every few seconds would fill the page, so that progress is one output which changes in place.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, TextIO

_EVERY_SECONDS = 0.5


def kernel() -> Any | None:
    """IPython's display function where this process is the kernel of a notebook; None anywhere else.

    Ask where ``ipykernel`` is loaded: it is not in any other process.
    """
    if "IPython" not in sys.modules:
        return None
    shell = sys.modules["IPython"].get_ipython()
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    return display


def process_stream(descriptor: int) -> TextIO:
    """A text stream over a descriptor of the process, which stays open when the stream goes.

    In a kernel ``sys.stdout`` is no descriptor: what is redirected to this one goes where descriptors are sent to.
    """
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


class LiveLine:
    """One line of a notebook's output that is written anew, at most twice a second."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any | None = None
        self._shown = 0.0

    def show(self, text: str, *, last: bool = False) -> None:
        """Write the line; what comes too soon after the one before is left out, unless it is the last."""
        now = time.monotonic()
        if self._handle is not None and not last and now - self._shown < _EVERY_SECONDS:
            return
        self._shown, line = now, {"text/plain": text}
        if self._handle is None:
            self._handle = self._display(line, raw=True, display_id=True)
        else:
            self._handle.update(line, raw=True)
