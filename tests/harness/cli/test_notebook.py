"""What a notebook is shown: a line that changes, and nothing of what libraries print."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from telbench.harness.cli import terminal
from telbench.harness.cli.html import html
from telbench.harness.cli.tables import Grid, Words
from telbench.harness.cli.terminal import Reporter


class Shown:
    """Counts what a kernel's display function is given."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.updates: list[str] = []

    def __call__(self, data: dict[str, str], **_: Any) -> Shown:
        self.first.append(data["text/plain"])
        return self

    def update(self, data: dict[str, str], **_: Any) -> None:
        self.updates.append(data["text/plain"])


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    found = Shown()
    monkeypatch.setattr(terminal, "kernel", lambda: found)
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    return found


def test_progress_in_a_notebook_is_one_line_that_ends_at_what_was_done(shown: Shown) -> None:
    with Reporter().progress("generated", 5000) as meter:
        for _ in range(5000):
            meter.advance(detail="9 tok/s")
    assert shown.first == ["generated 1/5000 9 tok/s"]
    assert shown.updates[-1] == "generated 5000/5000 9 tok/s"
    assert len(shown.updates) <= 3
    with Reporter().progress("nothing to do", 0):
        pass
    assert len(shown.first) == 1


def test_what_libraries_print_in_a_notebook_goes_to_the_log(
    shown: Shown, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.txt"
    reporter = Reporter()
    with reporter.quiet(log):
        print("from a library")  # noqa: T201
        sys.stderr.write("a warning\n")
        os.write(2, b"from C\n")
        reporter.note("for the reader")
    assert sorted(log.read_text().splitlines()) == ["a warning", "from C", "from a library"]
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "for the reader\n")


def test_blocks_are_escaped_and_empty_rows_are_kept() -> None:
    told = html([Words("a < b", "answer"), Words("<i>x</i>\x1b", "warning"), Grid(("<h>",), (("",), ("&",)), "<")])
    assert "<i>" not in told
    assert told.startswith('<p class="answer"><strong>a &lt; b</strong></p>')
    assert "\\x1b" in told
    assert told.count("<td") == 2
