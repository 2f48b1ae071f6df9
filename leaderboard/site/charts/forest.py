"""Values with their intervals, one under another on a common axis.

A forest plot has the differences of all metrics, with the line of no difference. An interval cell is one row of a
table's column, whose cells share the axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    shortened,
    shown_at,
    signed,
    text,
    tick_text,
)

# Height of a cell.
CELL = 20
_HEAD, _FOOT = 26, 30
# Longer labels have a line of text to themselves: on a phone there is no room for the numbers beside them.
_BESIDE, _LONGEST = 26, 72
# Where the marks are between labels and values on wide screens, and the characters that a label has room for there.
_MIDDLE = (0.3, 0.76)
_WIDE_LABELS = {"middle": 22, "broad": 48}


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
    """Wide screens have label, mark and value side by side, narrow ones the mark below the two.

    Upright lines cross no text: on narrow screens the line of no difference is drawn beside the marks alone.
    """
    axis = axis_of((bound for row in panel.rows for bound in (row.delta, row.low, row.high)), zero=True)
    middle = replace(axis, left=_MIDDLE[0], right=_MIDDLE[1])
    start, end = top + _HEAD, top + _HEAD + sum(map(_height, panel.rows))
    parts = [text("0", top + LINE - 2, panel.unit, "tick")]
    uprights = axis_lines(middle, start, end)
    if axis.low == 0 or axis.high == 0:
        uprights.append(line(middle.at(0), start, middle.at(0), end, "zero"))
    ticks = [text(axis.at(tick), end + LINE - 4, tick_text(axis, tick), "tick", anchor="middle") for tick in axis.ticks]
    parts += [shown_at("wide", uprights), shown_at("narrow", ticks)]
    y = start
    for row in panel.rows:
        parts.append(group(_described(row), [_stacked(row, axis, y), _beside(row, middle, y)], "row", name=row.label))
        y += _height(row)
    return parts


def _stacked(row: Difference, axis: Axis, y: float) -> str:
    """A row of a narrow screen."""
    foot = y + _height(row) - ROW
    mark = foot + LINE + 6
    strong = row.significant and foot == y
    parts = [line(axis.at(0), mark - 7, axis.at(0), mark + 9, "zero")]
    parts += _mark(axis, _kept(row), mark, _style(row), hollow=not row.significant)
    label = f"{_warned(row)}{plain(row.label, _LONGEST)}"
    parts.append(text("0", y + LINE - 4, label, "strong" if strong else ""))
    parts.append(text("100%", foot + LINE - 4, _shown(row), "value", anchor="end"))
    return shown_at("narrow", parts)


def _beside(row: Difference, axis: Axis, y: float) -> str:
    """A row of a wide screen, in the middle of its height."""
    centre = y + _height(row) / 2
    parts = _mark(axis, _kept(row), centre, _style(row), hollow=not row.significant)
    for width, longest in _WIDE_LABELS.items():
        label = f"{_warned(row)}{shortened(row.label, longest)}"
        parts.append(text("0", centre + 4, label, f"{width} strong" if row.significant else width))
    parts.append(text("100%", centre + 4, _shown(row), "value", anchor="end"))
    return shown_at("wide", parts)


def _kept(row: Difference) -> IntervalRow:
    return IntervalRow(row.label, row.delta, row.low, row.high)


def _warned(row: Difference) -> str:
    return "⚠ " if row.conflict else ""


def _shown(row: Difference) -> str:
    return f"{_arrow(row)} {signed(row.delta)} {interval_text(row.low, row.high)}"


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
