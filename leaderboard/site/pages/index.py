"""The first page (the composite, and all metrics side by side) and a page for each metric."""

from __future__ import annotations

from collections.abc import Iterator

from ..board import Board, slug
from ..composite import OVERALL
from ..page import Page
from ..standings import MetricTable

# How metric families are called, in the order in which they are shown.
FAMILIES = {
    "ngram": "n-gram",
    "choice": "multiple choice",
    "embedding": "embedding",
    "judged": "judged",
    "likelihood": "likelihood",
    "refusal": "refusal",
}


def metric_path(table: MetricTable) -> str:
    """Where the metric's page is."""
    return f"metrics/{slug(table.name, table.metric.signature)}.html"


def index_pages(board: Board) -> Iterator[Page]:
    """``index.html``, and ``metrics/NAME.html`` each."""
    singles = [table for table in board.tables if table.name != OVERALL]
    shared = {"paths": {table.name: metric_path(table) for table in singles}, "families": FAMILIES}
    first = board.tables[0]
    values = {table.name: {row.run: row for row in table.rows} for table in singles}
    order = [row.run for row in first.rows]
    order += [place for place in range(len(board.runs)) if place not in order]
    yield Page(
        "index.html",
        "index.html",
        board.options.title,
        {**shared, "table": first, "singles": singles, "values": values, "order": order},
        menu="index.html",
    )
    for table in singles:
        yield Page(metric_path(table), "metric.html", table.name, {**shared, "table": table}, menu="index.html")
