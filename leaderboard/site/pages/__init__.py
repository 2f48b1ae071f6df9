"""The pages of a board, section by section."""

from __future__ import annotations

from ..page import Section
from .index import index_pages
from .item import item_count, item_pages
from .method import method_pages
from .run import run_pages

# In the order of the menu.
SECTIONS: tuple[Section, ...] = (
    Section("index.html", "Board", index_pages, count=lambda board: len(board.tables)),
    Section("runs.html", "Runs", run_pages, count=lambda board: 1 + len(board.runs)),
    Section("items.html", "Items", item_pages, count=item_count),
    Section("method.html", "Method", method_pages),
)
