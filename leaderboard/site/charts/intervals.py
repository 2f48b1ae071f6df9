"""Means with their intervals, one row a system, on a common axis: for the cells of a table's column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import Axis, axis_of, dot, fluid, interval_text, line, number, plain

# Height of a row of charts that have a line of text with the mark under it, and of a mark alone.
ROW, CELL = 34, 20


@dataclass(frozen=True)
class IntervalRow:
    """A value with its interval, or None where there is none."""

    label: str
    value: float | None
    low: float | None
    high: float | None


def interval_cell(axis: Axis, row: IntervalRow, *, baseline: float | None = None) -> str:
    """A row for a table's cell: all cells of a column share the axis; a dashed line marks the ``baseline``."""
    reference = [] if baseline is None else [line(axis.at(baseline), 0, axis.at(baseline), CELL, "dashed")]
    middle = CELL / 2
    drawn = [line("0", middle, "100%", middle, "grid"), *reference, *mark(axis, row, middle)]
    return fluid(_described(row), "", CELL, drawn, "cell")


def interval_axis(rows: Sequence[IntervalRow]) -> Axis:
    """The axis that holds all values and intervals."""
    return axis_of(bound for row in rows for bound in (row.value, row.low, row.high))


def mark(axis: Axis, row: IntervalRow, y: float, style: str = "", *, hollow: bool = False) -> list[str]:
    """The dot and its interval with end strokes, at height ``y``."""
    if row.value is None:
        return []
    parts = []
    if row.low is not None and row.high is not None:
        low, high = axis.at(row.low), axis.at(row.high)
        name = f"whisker {style}".strip()
        parts = [line(low, y, high, y, name), line(low, y - 3, low, y + 3, name), line(high, y - 3, high, y + 3, name)]
    return [*parts, dot(axis.at(row.value), y, style, hollow=hollow)]


def _described(row: IntervalRow) -> str:
    label = f"{plain(row.label, 80)}: " if row.label else ""
    return f"{label}{number(row.value)} {interval_text(row.low, row.high)}"
