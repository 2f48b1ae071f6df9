"""All systems' answers to an item, and the files that hold those of a large board."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .addresses import grouped, item_key
from .board import Board
from .standings import MetricTable
from .verdicts import Judgements, Verdict
from .words import score, text

# Characters of an answer on a page; the run folder has it whole.
LONGEST_ANSWER = 4_000


@dataclass(frozen=True)
class Answer:
    """One run's answer to an item: its words made safe to show, what it is, its scores in the order of the tables."""

    run: int
    words: str
    kind: str
    scores: tuple[str, ...]
    first: float | None
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True)
class Item:
    """A question with everything that belongs to it, and the answers, best first."""

    place: int
    key: str
    item_id: str
    question: str
    references: tuple[str, ...]
    choices: tuple[str, ...]
    right: frozenset[int]
    category: str | None
    cluster: str
    context_sha256: str | None
    context: str | None
    answers: tuple[Answer, ...]


def items_at(board: Board, places: Sequence[int], judgements: Mapping[int, Judgements]) -> list[Item]:
    """The items at these places with all answers; ``judgements`` by place of the run, for runs whose verdicts count."""
    entries = {table.name: table.rows[0].entry for table in board.tables}
    streams = [run.columns.samples(places) for run in board.runs]
    items = []
    for place, samples in zip(places, zip(*streams, strict=True), strict=True):
        answers = [
            _answer(board, run, place, sample, entries, judgements.get(run)) for run, sample in enumerate(samples)
        ]
        answers.sort(key=lambda each: (each.first is None, -(each.first or 0.0), each.run))
        first = samples[0]
        items.append(
            Item(
                place=place,
                key=item_key(first["item_id"]),
                item_id=first["item_id"],
                question=first["question"],
                references=tuple(first["references"]),
                choices=tuple(first.get("choices", ())),
                right=frozenset(first.get("answer", ())),
                category=first["category"],
                cluster=first["cluster_id"],
                context_sha256=first["context_sha256"],
                context=None if grouped(board) else board.contexts.shown(board.baseline.header, first),
                answers=tuple(answers),
            )
        )
    return items


def _answer(
    board: Board,
    run: int,
    place: int,
    sample: Mapping[str, Any],
    entries: Mapping[str, Mapping[str, Any]],
    judgements: Judgements | None,
) -> Answer:
    columns = board.runs[run].columns
    values = [_value(board, run, table, place) for table in board.tables]
    sign = 1.0 if board.tables[0].metric.higher_is_better else -1.0
    words = f"no answer: {sample['error']}" if sample["status"] == "error" else sample["prediction"]
    return Answer(
        run=run,
        words=text(words, LONGEST_ANSWER),
        kind=columns.kind(place),
        scores=tuple(score(value, entries[table.name]) for value, table in zip(values, board.tables, strict=True)),
        first=None if values[0] is None else sign * values[0],
        verdicts=judgements.verdicts(sample) if judgements is not None else (),
    )


def _value(board: Board, run: int, table: MetricTable, place: int) -> float | None:
    column = board.runs[run].columns.values.get(table.name)
    value = math.nan if column is None else float(column[place])
    return None if math.isnan(value) else value


def shard(board: Board, items: Sequence[Item]) -> bytes:
    """The answers to these items as a script that hands them over: JSON, compressed, in characters that mean nothing.

    A page from a file:// address may load a script beside it, and nothing else.
    """
    document = {
        "runs": [{"name": text(run.name, 80), "page": f"../runs/{run.slug}.html"} for run in board.runs],
        "items": {
            item.key: [[each.run, each.words, each.kind, *each.scores] for each in item.answers] for item in items
        },
    }
    packed = gzip.compress(json.dumps(document, separators=(",", ":")).encode("ascii"), 6, mtime=0)
    return b'telbenchAnswers("' + base64.b64encode(packed) + b'");\n'
