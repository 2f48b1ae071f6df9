"""Means with their intervals, one row a system, on a common axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .axis import Axis, axis_lines, axis_of
from .drawing import LINE, dot, fluid, group, interval_text, line, number, plain, text

# A row has a line of text and the mark under it.
ROW = 34
_FOOT = 22


@dataclass(frozen=True)
class IntervalRow:
    """A value with its interval; ``note`` is said beside it (a letter group, why there is none)."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    note: str = ""


def interval_rows(title: str, rows: Sequence[IntervalRow], *, baseline: float | None = None) -> str:
    """Rows from the first to the last; a dashed line marks the ``baseline``."""
    axis = interval_axis(rows)
    bottom = ROW * len(rows)
    parts = axis_lines(axis, 0, bottom)
    if baseline is not None:
        parts.append(line(axis.at(baseline), 0, axis.at(baseline), bottom, "dashed"))
    for place, row in enumerate(rows):
        top = ROW * place
        parts.append(group(_described(row), [*_label(row, top), *mark(axis, row, top + LINE + 6)]))
    return fluid(title, "; ".join(map(_described, rows)), bottom + _FOOT, parts)


def interval_cell(axis: Axis, row: IntervalRow, *, baseline: float | None = None) -> str:
    """One row without text, for a table's cell: all cells of a column share the axis."""
    reference = [] if baseline is None else [line(axis.at(baseline), 0, axis.at(baseline), 20, "dashed")]
    return fluid(_described(row), "", 20, [line("0", 10, "100%", 10, "grid"), *reference, *mark(axis, row, 10)], "cell")


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


def _label(row: IntervalRow, top: float) -> list[str]:
    note = f" {row.note}" if row.note else ""
    shown = f"{number(row.value)}{note}"
    return [
        text("0", top + LINE - 4, plain(row.label), "halo"),
        text("100%", top + LINE - 4, shown, "halo value", anchor="end"),
    ]


def _described(row: IntervalRow) -> str:
    note = f", {row.note}" if row.note else ""
    return f"{plain(row.label, 80)}: {number(row.value)} {interval_text(row.low, row.high)}{note}"
