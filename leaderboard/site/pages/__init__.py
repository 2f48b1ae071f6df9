"""The pages of a board: each module has a function from the board to its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..board import Board
from ..page import Page
from .compare import compare_pages
from .factors import factor_pages
from .index import index_pages
from .method import method_pages
from .ranks import rank_pages
from .run import run_pages
from .significance import significance_pages
from .tradeoff import tradeoff_pages

PAGES: tuple[Callable[[Board], Iterator[Page]], ...] = (
    index_pages,
    run_pages,
    compare_pages,
    significance_pages,
    rank_pages,
    tradeoff_pages,
    factor_pages,
    method_pages,
)
