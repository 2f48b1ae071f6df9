"""The list of items, and a page for each with all systems' answers; on a large board a page for fifty items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..answers.by_run import run_key, run_parts
from ..answers.index import answer_files, asked_part, list_file, run_files, word_files
from ..environment import fragment
from ..formats import scores
from ..model.board import Board
from ..model.columns import ANSWERS, RIGHT
from ..model.items import (
    BoardItem,
    Judgements,
    answers_path,
    group_name,
    grouped,
    item_groups,
    item_path,
    items_at,
    with_verdicts,
)
from ..page import File, Page
from ..store import Part
from ..views.pair_pages import has_pairs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


@dataclass(frozen=True)
class _Group:
    """A page of items, without its frame."""

    title: str
    body: str


def item_count(board: Board) -> int:
    """How many pages `item_pages` gives, beside files."""
    return len(_lists(board)) + len(item_groups(board))


def prepare_items(board: Board) -> None:
    """What of a large board's items takes many processes, kept in the store: each run's part, and the pages."""
    if grouped(board):
        run_parts(board)
        _kept_groups(board, item_groups(board))


def item_pages(board: Board) -> Iterator[Page | File]:
    """``items.html`` and its further pages, ``items/…``, ``data/items/…``, on a large board ``data/answers/…``."""
    asked, parts = asked_part(board), run_parts(board)
    groups = item_groups(board)
    for group, made in zip(groups, _kept_groups(board, groups) if grouped(board) else _groups(board), strict=True):
        name, shard = group_name(board, group[0]), answers_path(group[0]) if grouped(board) else None
        yield Page(
            f"items/{name}.html", "items_page.html", made.title, {"body": made.body, "shard": shard}, menu="items.html"
        )
    rows = _listed(board, asked.told["questions"])
    for places in _lists(board):
        yield _list_page(board, places, rows)
    # Pages of pairs read the answers from there.
    if grouped(board) or has_pairs(board):
        yield from answer_files(board, asked, parts)
    yield list_file(board, [vars(row) for row in rows])
    yield from run_files(board, parts)
    yield from word_files(board, asked, parts)


def _groups(board: Board) -> Iterator[_Group]:
    """The pages of a small board, with all answers."""
    return board.each_of(_Pages(board, with_verdicts(board), None), list(range(len(item_groups(board)))))


def _kept_groups(board: Board, groups: Sequence[range]) -> Iterator[_Group]:
    """The pages of a large board, with two runs' answers; all from the store where these runs are the same."""
    best = sorted({0, board.tables[0].rows[0].run})[:WITHOUT_SCRIPT]
    key = [[run_key(board, place) for place in best], board.contexts.digest, _frame(board, best), len(groups)]
    found = board.store.get("pages", *key)
    if found is None or found.pieces is None:
        made = list(board.each_of(_Pages(board, with_verdicts(board, best), best), list(range(len(groups)))))
        part = Part([each.title for each in made], {}, [each.body.encode("utf-8") for each in made])
        board.store.put(part, "pages", *key)
        return iter(made)
    pieces = found.pieces
    return (_Group(title, pieces[place].decode("utf-8")) for place, title in enumerate(found.told))


def _frame(board: Board, runs: Sequence[int] | None) -> dict[str, Any]:
    """What all pages of items say alike: names of systems and metrics, how many items there are."""
    chosen = range(len(board.runs)) if runs is None else runs
    systems = [(place, board.runs[place]) for place in chosen]
    return {
        "metrics": [[table.name, table.metric.higher_is_better] for table in board.tables],
        "systems": {place: {"name": run.name, "short": run.short, "slug": run.slug} for place, run in systems},
        "several": len(board.runs) > 1,
        "texts": board.shown == "all",
        "count": len(board.items),
        "shown": SHOWN,
        "root": "../",
    }


@dataclass(frozen=True)
class _Pages:
    """Makes a page by its number; ``runs`` are those whose answers are in its HTML."""

    board: Board
    judgements: Mapping[int, Judgements]
    runs: Sequence[int] | None

    def __call__(self, number: int) -> _Group:
        board, groups = self.board, item_groups(self.board)
        places = groups[number]
        items = items_at(board, places, self.judgements, self.runs)
        first, last = items[0], items[-1]
        title = f"Items {first.place + 1} to {last.place + 1}" if grouped(board) else _titled(first)
        context = {
            **_frame(board, self.runs),
            "title": title,
            "items": items,
            "shard": grouped(board),
            "earlier": item_path(board, groups[number - 1][0]) if number else None,
            "later": item_path(board, groups[number + 1][0]) if number + 1 < len(groups) else None,
        }
        return _Group(title, fragment("_items.html", context))


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


def _listed(board: Board, questions: Sequence[str]) -> list[Listed]:
    """The rows of the list, by the first table's scores; the baseline's where it is ranked."""
    import numpy as np

    table, categories = board.tables[0], board.baseline.columns.categories
    entry, ranked = table.rows[0].entry, sorted(row.run for row in table.rows)
    columns = np.array([board.runs[run].columns.values[table.name] for run in ranked])
    there = np.isfinite(columns)
    counts = there.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(there, columns, 0.0).sum(axis=0) / counts
        spreads = np.where(there, columns, -np.inf).max(axis=0) - np.where(there, columns, np.inf).min(axis=0)
    told = [
        _shown(column, entry)
        for column in (
            np.where(counts > 0, means, np.nan),
            np.where(counts > 0, spreads, np.nan),
            columns[0] if ranked[0] == 0 else np.full(len(counts), np.nan),
        )
    ]
    right = np.array([np.frombuffer(run.columns.kinds, np.uint8) == ANSWERS.index(RIGHT) for run in board.runs])
    return [
        Listed(item_path(board, place), question, category, count, *shown)
        for place, (question, category, count, *shown) in enumerate(
            zip(questions, categories, right.sum(axis=0).tolist(), *told, strict=True)
        )
    ]


def _shown(values: NDArray[np.float64], entry: Mapping[str, Any]) -> list[str]:
    return scores(values.tolist(), entry)


def _titled(item: BoardItem) -> str:
    """The beginning of the question, and the item's number, which tells it from others that begin alike."""
    words = " ".join(item.question.split())
    short = words if len(words) <= TITLE else words[:TITLE].rpartition(" ")[0] + " …"
    return f"{item.place + 1}. {short}"
