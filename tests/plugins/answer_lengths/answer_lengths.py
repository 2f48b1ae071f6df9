"""A third party's page of the board: how long each system's answers are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from telbench.leaderboard.site.model.board import Board
from telbench.leaderboard.site.page import Page, Section


def pages(board: Board) -> Iterator[Page]:
    """``lengths.html``: the mean number of words by system, most first."""
    rows = sorted(board.runs, key=lambda run: -(run.columns.words or 0))
    yield Page("lengths.html", "lengths.html", "Answer lengths", {"rows": rows}, menu="lengths.html")


LENGTHS = Section("lengths.html", "Lengths", pages, templates=Path(__file__).parent / "templates")
