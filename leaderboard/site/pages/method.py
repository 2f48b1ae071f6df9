"""How the board's numbers came about: formulas, families of tests, signatures, versions, hashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ....metrics.near_misses import KINDS
from ...compare.pairwise import ALPHA
from ...compare.ranking import CAPTIONS
from ...statistics.corpus import RESAMPLES
from ..model.board import Board
from ..model.data_files import table_path
from ..model.eligibility import MAX_MISSING
from ..model.standings import MetricTable
from ..page import Page


@dataclass(frozen=True)
class FamilyRow:
    """The tests that were corrected together in one metric, and how the metric was computed."""

    table: MetricTable
    path: str
    pairs: int
    controls: int
    interval: str


def method_pages(board: Board) -> Iterator[Page]:
    """``method.html``."""
    rows = [
        FamilyRow(
            table,
            table_path(board, table),
            len(table.rows) * (len(table.rows) - 1) // 2,
            sum(row.comparison is not None for row in table.rows),
            str(table.rows[0].entry["ci_method"] or "none"),
        )
        for table in board.tables
    ]
    context = {
        "rows": rows,
        "pairs": CAPTIONS[board.options.pairs],
        "alpha": ALPHA,
        "resamples": RESAMPLES,
        "max_missing": MAX_MISSING,
        "worth": board.worth,
        "kinds": KINDS,
    }
    yield Page("method.html", "method.html", "Method", context, menu="method.html")
