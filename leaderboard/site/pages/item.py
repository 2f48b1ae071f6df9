"""The list of items, and a page for each with all systems' answers; on a large board a page for fifty items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..answers.index import QUESTION, ItemWords, WordIndex, bucket_length, item_words, list_file, run_files
from ..formats import score, text
from ..model.board import Board
from ..model.columns import RIGHT
from ..model.items import (
    GROUP,
    BoardItem,
    Judgements,
    answers_path,
    group_name,
    grouped,
    item_groups,
    item_path,
    items_at,
    shard,
    with_verdicts,
)
from ..page import File, Page
from ..views.pair_pages import has_pairs

# Characters of an answer that are shown at once; the rest unfolds.
SHOWN = 700
# Characters of a question in the title of its page.
TITLE = 70
# Rows of one page of the list.
LISTED = 500
# Answers that a page of a large board has in its HTML, for readers without scripts: the baseline's and the best.
WITHOUT_SCRIPT = 2


@dataclass(frozen=True)
class Listed:
    """A row of the list: how hard the item is, and how far it sets the systems apart; numbers as they are shown."""

    path: str
    question: str
    category: str | None
    right: int
    mean: str
    spread: str
    baseline: str


def item_count(board: Board) -> int:
    """How many pages `item_pages` gives, beside files."""
    return len(_lists(board)) + len(item_groups(board))


def item_pages(board: Board) -> Iterator[Page | File]:
    """``items.html`` and its further pages, ``items/…``, ``data/items/…``, on a large board ``data/answers/…``."""
    values = _values(board)
    judgements = with_verdicts(board)
    lists = _lists(board)
    rows: list[Listed] = []
    kept: list[BoardItem] = []
    found_by = WordIndex()
    groups = item_groups(board)
    for index, items in enumerate(board.each_of(partial(_items_of, board, judgements), groups)):
        around = {
            "earlier": item_path(board, groups[index - 1][0]) if index else None,
            "later": item_path(board, groups[index + 1][0]) if index + 1 < len(groups) else None,
        }
        name = group_name(board, items.items[0].place)
        first, last = items.items[0], items.items[-1]
        title = f"Items {first.place + 1} to {last.place + 1}" if grouped(board) else _titled(first)
        context = {
            "items": items.items,
            "shown": SHOWN,
            "shard": answers_path(first.place) if items.shard else None,
            **around,
        }
        yield Page(f"items/{name}.html", "items_page.html", title, context, menu="items.html")
        if items.shard:
            yield File(answers_path(first.place), items.shard)
        elif has_pairs(board):
            # Pages of pairs read the answers from here.
            kept += items.items
            if len(kept) == GROUP or index + 1 == len(groups):
                yield File(answers_path(kept[0].place), shard(board, kept))
                kept.clear()
        rows += [_listed(board, item, values) for item in items.items]
        for item, words in zip(items.items, items.words, strict=True):
            found_by.add(item.place, words)
        while lists and len(rows) >= lists[0].stop:
            yield _list_page(board, lists.pop(0), rows)
    yield list_file(board, [vars(row) for row in rows])
    yield from run_files(board)
    yield from found_by.files(bucket_length(board))


@dataclass(frozen=True)
class _Group:
    items: list[BoardItem]
    words: list[ItemWords]
    shard: bytes


def _items_of(board: Board, judgements: dict[int, Judgements], places: Sequence[int]) -> _Group:
    items = items_at(board, places, judgements)
    words = [item_words(item, texts=board.shown == "all") for item in items]
    if not grouped(board):
        return _Group(items, words, b"")
    best = {0, board.tables[0].rows[0].run}
    return _Group([_shortened(item, best) for item in items], words, shard(board, items))


def _shortened(item: BoardItem, runs: set[int]) -> BoardItem:
    return replace(item, answers=tuple(each for each in item.answers if each.run in runs)[:WITHOUT_SCRIPT])


def _lists(board: Board) -> list[range]:
    count = len(board.items)
    return [range(start, min(start + LISTED, count)) for start in range(0, count, LISTED)]


def _list_path(start: int) -> str:
    return f"items/list-{start // LISTED + 1}.html" if start else "items.html"


def _list_page(board: Board, places: range, rows: Sequence[Listed]) -> Page:
    lists = _lists(board)
    pages = [(_list_path(each.start), f"{each.start + 1}–{each.stop}") for each in lists]
    context = {
        "rows": rows[places.start : places.stop],
        "first": places.start,
        "pages": pages if len(pages) > 1 else [],
    }
    title = "Items" if places.start == 0 else f"Items {places.start + 1} to {places.stop} in the list"
    return Page(_list_path(places.start), "items.html", title, context, menu="items.html")


def _values(board: Board) -> list[list[float | None]]:
    """The first table's values by item, over its runs; the baseline's come first where it is ranked."""
    import numpy as np

    table = board.tables[0]
    runs = sorted(row.run for row in table.rows)
    columns = np.array([board.runs[run].columns.values[table.name] for run in runs]).T
    return [[None if np.isnan(value) else float(value) for value in row] for row in columns]


def _listed(board: Board, item: BoardItem, values: Sequence[Sequence[float | None]]) -> Listed:
    known = [value for value in values[item.place] if value is not None]
    ranked = any(row.run == 0 for row in board.tables[0].rows)
    entry = board.tables[0].rows[0].entry
    return Listed(
        path=item_path(board, item.place),
        question=text(item.question, QUESTION),
        category=item.category,
        right=sum(run.columns.kind(item.place) == RIGHT for run in board.runs),
        mean=score(sum(known) / len(known) if known else None, entry),
        spread=score(max(known) - min(known) if known else None, entry),
        baseline=score(values[item.place][0] if ranked else None, entry),
    )


def _titled(item: BoardItem) -> str:
    """The beginning of the question, and the item's number, which tells it from others that begin alike."""
    words = " ".join(item.question.split())
    short = words if len(words) <= TITLE else words[:TITLE].rpartition(" ")[0] + " …"
    return f"{item.place + 1}. {short}"
