"""The pages of a board: each module has a function from the board to its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..board import Board
from ..page import Page
from .index import index_pages
from .method import method_pages
from .run import run_pages

PAGES: tuple[Callable[[Board], Iterator[Page]], ...] = (index_pages, run_pages, method_pages)
