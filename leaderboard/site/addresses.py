"""Where the page of an item is: one page an item, or on a large board a page for a group of them."""

from __future__ import annotations

import hashlib

from .board import Board

# Up to so many answers every one is in the HTML of its item's own page.
WHOLE_UP_TO = 50_000
# Items on one page of a larger board, their answers in one compressed file beside it.
GROUP = 50


def grouped(board: Board) -> bool:
    """Are there too many answers for a page an item?"""
    return len(board.runs) * len(board.items) > WHOLE_UP_TO


def item_key(item: str) -> str:
    """What names an item in addresses; ids are text of unknown origin and may be long.

    >>> item_key("../../etc/passwd")
    'i-3b6a6a9fd3a2'
    """
    return "i-" + hashlib.sha256(item.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def item_groups(board: Board) -> list[range]:
    """The places of the items on each page."""
    step = GROUP if grouped(board) else 1
    return [range(start, min(start + step, len(board.items))) for start in range(0, len(board.items), step)]


def group_name(board: Board, place: int) -> str:
    """The file name, without ending, of the page that the item is on."""
    return f"g{place // GROUP + 1:04d}" if grouped(board) else item_key(board.items[place])


def item_path(board: Board, place: int) -> str:
    """The page of the item at this place among the board's items, with an anchor where it shares the page."""
    anchor = f"#{item_key(board.items[place])}" if grouped(board) else ""
    return f"items/{group_name(board, place)}.html{anchor}"
