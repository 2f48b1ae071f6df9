"""Any two runs, on a page that its script fills: from a file with all names and questions, and one for each run.

A page for each of a thousand pairs would be mostly the same. So ``pair.html`` has the frame, and ``data/pairs/`` what
fills it, as scripts, as a page from a file:// address may load these and nothing else.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from ..answers.by_run import VALUES, run_parts
from ..answers.index import asked_part
from ..answers.packed import packed
from ..formats import ends_text, p_text, score, signed, text
from ..model.board import Board
from ..model.data_files import csv_cell, table_path
from ..model.items import answers_path, item_path
from ..model.standings import MetricTable
from ..page import File, Page
from .pairs import RunPair, run_pairs

_HEADS = ("metric", "run", "other", "difference", "ci_low", "ci_high", "p", "verdict", "approximate")


def has_pairs(board: Board) -> bool:
    """Are there pairs without the baseline?"""
    return len(board.runs) > 2


def pair_pages(board: Board) -> Iterator[Page | File]:
    """``pair.html``, ``data/pairs.csv`` and ``data/pairs/…``."""
    found = run_pairs(board)
    near = any(pair.near for pairs in found for pair in pairs)
    yield Page("pair.html", "pair.html", "Any two runs", {"near": near}, menu="pair.html")
    yield File("data/pairs.csv", _csv(board, found))
    yield File("data/pairs/board.js", _script("board", packed(_names(board))))
    parts = run_parts(board) if board.shown != "none" else [None] * len(board.runs)
    pairs = board.each_of(partial(_packed_pairs, board, found), range(len(board.runs)))
    for run, part, told in zip(board.runs, parts, pairs, strict=True):
        values = packed([None] * len(board.tables)) if part is None or part.pieces is None else part.pieces[VALUES]
        yield File(f"data/pairs/{run.slug}.js", _script(run.slug, told, values))


def _names(board: Board) -> dict[str, Any]:
    """Runs, metrics and items, in the order in which the other files number them."""
    first = next(iter(board.runs)).columns
    questions = asked_part(board).told["questions"] if board.shown != "none" else []
    return {
        "runs": [
            {
                "name": text(run.name, 120),
                "short": text(run.short, 80),
                "slug": run.slug,
            }
            for run in board.runs
        ],
        "tables": [_told(board, table) for table in board.tables],
        "items": [
            [question, item_path(board, place), answers_path(place), "" if category is None else text(category, 60)]
            for place, (question, category) in enumerate(zip(questions, first.categories, strict=False))
        ],
        "texts": board.shown == "all",
    }


def _told(board: Board, table: MetricTable) -> dict[str, Any]:
    entry, (low, high) = table.rows[0].entry, table.metric.range
    by_run = {row.run: row for row in table.rows}
    return {
        "name": table.name,
        "page": table_path(board, table),
        "higher": table.metric.higher_is_better,
        "width": None if low is None or high is None else high - low,
        "digits": len(score(0.0, entry).partition(".")[2]),
        "values": [
            score(by_run[place].entry["value"], by_run[place].entry) if place in by_run else None
            for place in range(len(board.runs))
        ],
    }


def _packed_pairs(board: Board, found: Sequence[Sequence[RunPair]], place: int) -> bytes:
    return packed(_pairs(board, found, place))


def _pairs(board: Board, found: Sequence[Sequence[RunPair]], place: int) -> dict[str, list[Any]]:
    """By place of each later run, for every metric what is shown of the pair; None where there is none."""
    told: dict[str, list[Any]] = {}
    for column, (table, pairs) in enumerate(zip(board.tables, found, strict=True)):
        entry = table.rows[0].entry
        for pair in pairs:
            if pair.first == place:
                row = told.setdefault(str(pair.second), [None] * len(board.tables))
                row[column] = _shown(pair, entry)
    return told


def _shown(pair: RunPair, entry: Any) -> list[Any]:
    """The difference and its interval as numbers and as texts, the p-value, the verdict, whether it is nearly so."""
    low, high = pair.interval or (None, None)
    return [
        _digits(pair.delta),
        _digits(low),
        _digits(high),
        signed(pair.delta, entry),
        ends_text(pair.delta, pair.interval, entry) if pair.interval else "",
        p_text(pair.p) if pair.interval or pair.p < 1 else "",
        pair.verdict,
        int(pair.near),
    ]


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _script(key: str, *documents: bytes) -> bytes:
    told = b",".join(b'"' + each + b'"' for each in documents)
    return f'telbenchPair("{key}",'.encode("ascii") + told + b");\n"


def _csv(board: Board, found: Sequence[Sequence[RunPair]]) -> bytes:
    """All pairs in all metrics, a row each: run minus other, positive is better."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_HEADS)
    names = [csv_cell(run.name) for run in board.runs]
    for table, pairs in zip(board.tables, found, strict=True):
        for pair in pairs:
            low, high = pair.interval or (None, None)
            numbers = pair.delta, low, high, pair.p, pair.verdict, "yes" if pair.near else ""
            writer.writerow([table.name, names[pair.second], names[pair.first], *numbers])
    return stream.getvalue().encode("utf-8-sig")
