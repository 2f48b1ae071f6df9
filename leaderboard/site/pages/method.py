"""How the board's numbers came about: formulas, families of tests, signatures, versions, hashes."""

from __future__ import annotations

from collections.abc import Iterator

from ..board import Board
from ..page import Page


def method_pages(board: Board) -> Iterator[Page]:
    """``method.html``."""
    yield Page("method.html", "method.html", "Method", menu="method.html")
