"""A page for each run: what it is, and how it did in every metric."""

from __future__ import annotations

from collections.abc import Iterator

from ..board import Board
from ..page import Page
from .index import metric_path


def run_pages(board: Board) -> Iterator[Page]:
    """``runs.html`` and ``runs/SLUG.html`` each."""
    yield Page("runs.html", "runs.html", "Runs", menu="runs.html")
    paths = {table.name: metric_path(table) for table in board.tables}
    for run in board.runs:
        standings = [(table, board.standing(table, run)) for table in board.tables]
        yield Page(
            f"runs/{run.slug}.html",
            "run.html",
            run.name,
            {"run": run, "standings": standings, "paths": paths},
            menu="runs.html",
        )
