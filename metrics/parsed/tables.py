"""Answers that are a table: its cells, by the names of their row and column."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

from ..contract import ItemScore, Metric, Sample, Trial, missing
from .conclusion import answer_part, blocks
from .forms import value_metric
from .numbers import only_number

MOST_CELLS = 20_000
NO_TABLE = "no table recognised in the answer"
NO_TABLE_IN_REFERENCE = "the reference is no table"
_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*")
_BETWEEN = re.compile(r"(?<!\\)\|")
_MARKS = re.compile(r"[*_`]+|<br\s*/?>", re.IGNORECASE)

Rows = list[list[str]]
# (row, column, value) of each cell; a table of one column has no names of rows.
Cells = Counter[tuple[str, str, str]]


def table_in(text: str) -> Rows | None:
    r"""The largest table of a text: Markdown's, or lines of a fenced block (or all) parted alike by tabs or commas.

    None where there is none: a table has a head and at least one row under it.

    >>> table_in("Here:\n| Band | MHz |\n|---|---|\n| n78 | 3,500 |\n")
    [['Band', 'MHz'], ['n78', '3,500']]
    >>> table_in("a,b\n1,2"), table_in("no table")
    ([['a', 'b'], ['1', '2']], None)
    """
    text = answer_part(text)
    found = list(_markdown(text))
    if not found:
        fenced = [block.text for block in blocks(text)]
        found = [rows for part in fenced or [text] if (rows := _parted(part, prose=not fenced)) is not None]
    return max(found, key=lambda rows: sum(map(len, rows)), default=None)


def _markdown(text: str) -> list[Rows]:
    """Runs of lines with bars that have a rule under their first line, or begin and end with a bar."""
    tables: list[Rows] = []
    run: list[str] = []
    for line in [*text.splitlines(), ""]:
        if "|" in line or (run and _RULE.fullmatch(line)):
            run.append(line)
            continue
        rows = [_cells(each) for each in run if not _RULE.fullmatch(each)]
        ruled = len(run) > 1 and _RULE.fullmatch(run[1]) is not None
        framed = all(each.strip()[:1] == "|" == each.strip()[-1:] for each in run)
        if len(rows) > 1 and (ruled or framed) and sum(map(len, rows)) <= MOST_CELLS:
            tables.append(rows)
        run = []
    return tables


def _cells(line: str) -> list[str]:
    line = line.strip()
    line = line[1:] if line.startswith("|") else line
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    return [cell.replace("\\|", "|").strip() for cell in _BETWEEN.split(line)]


def _parted(text: str, *, prose: bool) -> Rows | None:
    """The cells of lines that one sign parts alike; in what may be ``prose`` no blank may follow the sign."""
    lines = [line for line in text.splitlines() if line.strip()]
    for sign in ("\t", ",", ";"):
        if len(lines) > 1 and all(sign in line and not (prose and f"{sign} " in f"{line} ") for line in lines):
            try:
                rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=sign)]
            except csv.Error:
                continue
            if len({len(row) for row in rows}) == 1 and sum(map(len, rows)) <= MOST_CELLS:
                return rows
    return None


def cells_of(rows: Sequence[Sequence[str]]) -> Cells:
    """The cells by the names of row and column: the first row names columns, the first column names rows.

    Case, emphasis and the spelling of numbers do not count, nor does the order of rows and columns. Rows of one name
    are told apart by nothing but their values.
    """
    head = [_plain(cell) for cell in rows[0]]
    cells: Cells = Counter()
    for row in rows[1:]:
        values = [_plain(cell) for cell in row]
        name = values[0] if len(head) > 1 and values else ""
        for place, value in enumerate(values):
            column = head[place] if place < len(head) else ""
            cells[name, column, value] += 1
    return cells


def _plain(cell: str) -> str:
    text = " ".join(_MARKS.sub(" ", cell).split()).casefold()
    number = only_number(text) if any(sign.isdigit() for sign in text) else None
    if number is None or number.unit is not None:
        return text
    return f"{number.value:.12g}"


def _metric(name: str, description: str, value: Callable[[Cells, Cells], float], says: bool = False) -> Metric:
    def score(sample: Sample) -> ItemScore:
        wanted = [cells_of(rows) for text in sample.references if (rows := table_in(text)) is not None]
        if not wanted:
            return missing(NO_TABLE_IN_REFERENCE)
        rows = table_in(sample.prediction)
        if rows is None:
            return ItemScore(0.0, NO_TABLE)
        found = cells_of(rows)
        return ItemScore(max(value(found, each) for each in wanted))

    return value_metric(
        name,
        description,
        score,
        {"cells": "row-column-value", "unparsed": "zero"},
        says=_says if says else None,
        trial=Trial("|Band|MHz|\n|---|---|\n|n1|2100|", "Band,MHz\nn1,2100", "|Fruit|\n|---|\n|banana|"),
    )


def _says(sample: Sample) -> Hashable | None:
    rows = table_in(sample.prediction)
    return None if rows is None else frozenset(cells_of(rows).items())


def _f1(one: Cells, other: Cells) -> float:
    return 2 * (one & other).total() / (one.total() + other.total())


table_f1 = _metric(
    "table_f1",
    "F1 of the answer's cells, each a value with the names of its row and column, against a reference table's; 0 where "
    "no table can be read.",
    _f1,
)
table_match = _metric(
    "table_match",
    "1 when the answer's table has the cells of a reference table and no other, else 0.",
    lambda one, other: float(one == other),
    says=True,
)
