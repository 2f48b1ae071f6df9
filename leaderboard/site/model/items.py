"""The items of a board: where the page of each is, and all systems' answers with the judges' words on them.

A small board has a page an item. On a large one (`grouped`) fifty items share a page, and a file beside it holds their
answers.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....harness.runs.folder import JUDGEMENTS
from ....harness.runs.judgements import judgement_lines
from ..formats import scores, text
from .board import Board
from .columns import RunColumns
from .standings import MetricTable

# Up to so many answers every one is in the HTML of its item's own page.
WHOLE_UP_TO = 50_000
# Items on one page of a larger board, their answers in one compressed file beside it.
GROUP = 50
# Bytes of judges' records whose places are kept while pages are made: some 100 MB of memory.
MOST_VERDICTS = 1 << 29
# Characters of an answer on a page; the run folder has it whole.
LONGEST_ANSWER = 4_000


@dataclass(frozen=True)
class Verdict:
    """One judge's words on an answer, claim by claim, and the metrics that rest on them."""

    judge: str
    metrics: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class BoardAnswer:
    """One run's answer to an item: its words made safe to show, what it is, its scores in the order of the tables.

    ``trace`` is what the model thought before it answered, if that was kept.
    """

    run: int
    words: str
    kind: str
    scores: tuple[str, ...]
    first: float | None
    verdicts: tuple[Verdict, ...] = ()
    trace: str | None = None


@dataclass(frozen=True)
class BoardItem:
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
    answers: tuple[BoardAnswer, ...]


class Judgements:
    """The judges' records of a run, found by key; their file is read once for the keys, then record by record."""

    def __init__(self, run: Path) -> None:
        self._path = run / JUDGEMENTS
        self._offsets: dict[str, int] = {}
        if not self._path.is_file():
            return
        with self._path.open("rb") as stream:
            offset = 0
            for line in stream:
                if (record := _record(line)) is not None:
                    self._offsets[record["key"]] = offset
                offset += len(line)

    def verdicts(self, sample: Mapping[str, Any]) -> tuple[Verdict, ...]:
        """The verdicts that the sample's scores rest on, each once."""
        metrics: dict[str, list[str]] = {}
        for name, keys in sample.get("judgements", {}).items():
            for key in keys:
                metrics.setdefault(key, []).append(name)
        found = []
        if any(key in self._offsets for key in metrics):
            with self._path.open("rb") as stream:
                for key, names in metrics.items():
                    if key in self._offsets:
                        stream.seek(self._offsets[key])
                        record = json.loads(stream.readline())
                        judge = f"{record.get('judge')}, {record.get('rubric')}"
                        found.append(Verdict(judge, tuple(names), tuple(judgement_lines(record))))
        return tuple(found)


def grouped(board: Board) -> bool:
    """Are there too many answers for a page an item?"""
    return len(board.runs) * len(board.items) > WHOLE_UP_TO


def item_key(item: str) -> str:
    """What names an item in addresses; ids are text of unknown origin and may be long.

    >>> item_key("../../etc/passwd")
    'i-3754d6cb3a38'
    """
    return "i-" + hashlib.sha256(item.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def item_groups(board: Board) -> list[range]:
    """The places of the items on each page."""
    step = GROUP if grouped(board) else 1
    return [range(start, min(start + step, len(board.items))) for start in range(0, len(board.items), step)]


def groups_of(count: int) -> list[range]:
    """The places of the items in each file of answers."""
    return [range(start, min(start + GROUP, count)) for start in range(0, count, GROUP)]


def group_name(board: Board, place: int) -> str:
    """The file name, without ending, of the page that the item is on."""
    return f"g{place // GROUP + 1:04d}" if grouped(board) else item_key(board.items[place])


def item_path(board: Board, place: int) -> str:
    """The page of the item at this place among the board's items, with an anchor where it shares the page."""
    anchor = f"#{item_key(board.items[place])}" if grouped(board) else ""
    return f"items/{group_name(board, place)}.html{anchor}"


def answers_path(place: int) -> str:
    """The script with all answers to the item at this place."""
    return f"data/answers/g{place // GROUP + 1:04d}.js"


def items_at(
    board: Board, places: Sequence[int], judgements: Mapping[int, Judgements], runs: Collection[int] | None = None
) -> list[BoardItem]:
    """The items at these places with the answers of these ``runs`` (default: all).

    ``judgements`` are by place of the run, for runs whose verdicts count.
    """
    chosen = range(len(board.runs)) if runs is None else sorted(runs)
    streams = [_answers(board, run, places, judgements.get(run)) for run in chosen]
    items = []
    for place, told in zip(places, zip(*streams, strict=True), strict=True):
        first, answers = told[0][0], [answer for _, answer in told]
        answers.sort(key=lambda each: (each.first is None, -(each.first or 0.0), each.run))
        items.append(
            BoardItem(
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


def told_verdict(verdict: Verdict) -> tuple[str, str, list[str]]:
    """A verdict as the page of a smaller board has it."""
    lines = [text(line.removeprefix("- "), 2000) for line in verdict.lines]
    return text(verdict.judge, 120), text(", ".join(verdict.metrics), 200), lines


def judged_places(board: Board) -> frozenset[int]:
    """The places of runs with judges' records; none where these are too many to keep their places in memory."""
    if board.shown != "all":
        return frozenset()
    files = {place: run.columns.path / JUDGEMENTS for place, run in enumerate(board.runs)}
    sizes = {place: path.stat().st_size for place, path in files.items() if path.is_file()}
    return frozenset() if sum(sizes.values()) > MOST_VERDICTS else frozenset(sizes)


def with_verdicts(board: Board, runs: Collection[int] | None = None) -> dict[int, Judgements]:
    """The judges' records of these runs (default: all) by place, as far as they have some that count."""
    places = [place for place in sorted(judged_places(board)) if runs is None or place in runs]
    return {place: Judgements(board.runs[place].columns.path) for place in places}


def _answers(
    board: Board, run: int, places: Sequence[int], judgements: Judgements | None
) -> Iterator[tuple[Mapping[str, Any], BoardAnswer]]:
    """A run's samples at these places, each with the answer as it is shown."""
    columns, chosen = board.runs[run].columns, list(places)
    sign = 1.0 if board.tables[0].metric.higher_is_better else -1.0
    values = [_values_at(columns, table, chosen) for table in board.tables]
    shown = [scores(column, table.rows[0].entry) for column, table in zip(values, board.tables, strict=True)]
    told = zip(chosen, columns.samples(places), values[0], zip(*shown, strict=True), strict=True)
    for place, sample, first, row in told:
        words = f"no answer: {sample['error']}" if sample["status"] == "error" else sample["prediction"]
        yield (
            sample,
            BoardAnswer(
                run=run,
                words=text(words, LONGEST_ANSWER),
                kind=columns.kind(place),
                scores=row,
                first=None if math.isnan(first) else sign * first,
                verdicts=judgements.verdicts(sample) if judgements is not None else (),
                trace=text(sample["reasoning"], LONGEST_ANSWER) if sample.get("reasoning") else None,
            ),
        )


def _values_at(columns: RunColumns, table: MetricTable, places: Sequence[int]) -> list[float]:
    """A run's scores at these places, NaN where there is none."""
    column = columns.values.get(table.name)
    return [math.nan] * len(places) if column is None else column[list(places)].tolist()


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("key"), str) else None
