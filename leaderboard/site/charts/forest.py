"""Values with their intervals, one under another on a common axis.

A forest plot has the differences of all metrics, with the line of no difference. An interval cell is one row of a
table's column, whose cells share the axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import (
    LINE,
    ROW,
    Axis,
    axis_lines,
    axis_of,
    dot,
    fluid,
    group,
    interval_text,
    line,
    number,
    plain,
    signed,
    text,
)

# Height of a cell.
CELL = 20
_HEAD, _FOOT = 26, 30
# Longer labels have a line of text to themselves: on a phone there is no room for the numbers beside them.
_BESIDE, _LONGEST = 26, 72


@dataclass(frozen=True)
class IntervalRow:
    """A value with its interval, or None where there is none."""

    label: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """A difference, positive where the run is better.

    ``significant``: after correction. ``conflict``: mean and ranks point in opposite directions. ``note`` is added to
    the row's tooltip and text alternative.
    """

    label: str
    delta: float
    low: float | None
    high: float | None
    significant: bool
    conflict: bool = False
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """Differences in one unit, on an axis of their own; ``unit`` says which."""

    unit: str
    rows: tuple[Difference, ...]


def forest(title: str, panels: Sequence[Panel]) -> str:
    """Panels under one another; a filled mark is a significant difference, a hollow one is none, ⚠ a sign conflict."""
    parts, top, told = [], 0.0, []
    for panel in panels:
        if not panel.rows:
            continue
        parts += _panel(panel, top)
        top += _HEAD + sum(map(_height, panel.rows)) + _FOOT
        told += [f"{panel.unit}: " + "; ".join(_described(row) for row in panel.rows)]
    return fluid(title, ". ".join(told), top, parts)


def interval_cell(axis: Axis, row: IntervalRow, *, baseline: float | None = None, marks: Sequence[float] = ()) -> str:
    """A row for a table's cell: all cells of a column share the axis; a dashed line marks the ``baseline``.

    ``marks`` are single values behind the row's, its seeds for one: small strokes under it.
    """
    reference = [] if baseline is None else [line(axis.at(baseline), 0, axis.at(baseline), CELL, "dashed")]
    middle = CELL / 2
    single = [line(axis.at(value), CELL - 5, axis.at(value), CELL, "whisker") for value in marks]
    drawn = [line("0", middle, "100%", middle, "grid"), *reference, *_mark(axis, row, middle), *single]
    return fluid(_told_interval(row), "", CELL, drawn, "cell")


def interval_axis(rows: Sequence[IntervalRow]) -> Axis:
    """The axis that holds all values and intervals."""
    return axis_of(bound for row in rows for bound in (row.value, row.low, row.high))


def _panel(panel: Panel, top: float) -> list[str]:
    axis = axis_of((bound for row in panel.rows for bound in (row.delta, row.low, row.high)), zero=True)
    start, end = top + _HEAD, top + _HEAD + sum(map(_height, panel.rows))
    parts = [text("0", top + LINE - 2, panel.unit, "tick"), *axis_lines(axis, start, end)]
    if axis.low == 0 or axis.high == 0:
        parts.append(line(axis.at(0), start, axis.at(0), end, "zero"))
    y = start
    for row in panel.rows:
        foot = y + _height(row) - ROW
        strong = row.significant and foot == y
        kept = IntervalRow(row.label, row.delta, row.low, row.high)
        marks = _mark(axis, kept, foot + LINE + 6, _style(row), hollow=not row.significant)
        warned = "⚠ " if row.conflict else ""
        shown = f"{_arrow(row)} {signed(row.delta)} {interval_text(row.low, row.high)}"
        label = text("0", y + LINE - 4, f"{warned}{plain(row.label, _LONGEST)}", "halo strong" if strong else "halo")
        value = text("100%", foot + LINE - 4, shown, "halo value", anchor="end")
        parts.append(group(_described(row), [label, value, *marks]))
        y += _height(row)
    return parts


def _height(row: Difference) -> int:
    return ROW if len(row.label) <= _BESIDE else ROW + LINE


def _style(row: Difference) -> str:
    return "" if not row.significant else "better" if row.delta > 0 else "worse"


def _arrow(row: Difference) -> str:
    return "·" if not row.significant else "▲" if row.delta > 0 else "▼"


def _described(row: Difference) -> str:
    found = "no difference shown" if not row.significant else "better" if row.delta > 0 else "worse"
    conflict = ", but most items say the opposite" if row.conflict else ""
    note = f", {row.note}" if row.note else ""
    interval = interval_text(row.low, row.high)
    return f"{plain(row.label, 80)}: {signed(row.delta)} {interval}, {found}{conflict}{note}"


def _mark(axis: Axis, row: IntervalRow, y: float, style: str = "", *, hollow: bool = False) -> list[str]:
    """The dot and its interval with end strokes, at height ``y``."""
    if row.value is None:
        return []
    parts = []
    if row.low is not None and row.high is not None:
        low, high = axis.at(row.low), axis.at(row.high)
        name = f"whisker {style}".strip()
        parts = [line(low, y, high, y, name), line(low, y - 3, low, y + 3, name), line(high, y - 3, high, y + 3, name)]
    return [*parts, dot(axis.at(row.value), y, style, hollow=hollow)]


def _told_interval(row: IntervalRow) -> str:
    label = f"{plain(row.label, 80)}: " if row.label else ""
    return f"{label}{number(row.value)} {interval_text(row.low, row.high)}"
