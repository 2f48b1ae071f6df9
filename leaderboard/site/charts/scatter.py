"""Quality against a cost: points with intervals, and the frontier of those that nothing cheaper is shown to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import (
    Axis,
    axis_of,
    coordinate,
    dot,
    fluid,
    group,
    interval_text,
    line,
    log_axis,
    number,
    plain,
    shortened,
    text,
    tick_text,
)

_PLOT, _TOP, _FOOT = 320, 30, 44
# The share of the width that a character takes, by the class that a style sheet shows on screens of that width.
_WIDTHS = {"wide": 0.0105, "narrow": 0.0205}
_LABEL_HEIGHT = 15
_SHORT = 26


@dataclass(frozen=True)
class Point:
    """A system: its cost (size, time), its quality with interval.

    ``beaten_by`` names the system that costs no more and is better by a paired difference whose interval excludes 0;
    None where there is none: overlapping intervals alone dominate nobody.
    """

    label: str
    cost: float
    value: float
    low: float | None
    high: float | None
    beaten_by: str | None = None


@dataclass(frozen=True)
class _Up:
    """The vertical axis: the better end is up."""

    axis: Axis
    higher_is_better: bool

    def at(self, value: float) -> float:
        share = self.axis.share(value)
        return round(_TOP + _PLOT * (1 - share if self.higher_is_better else share), 2)

    def better(self, one: float, other: float) -> bool:
        return one > other if self.higher_is_better else one < other


def scatter(title: str, points: Sequence[Point], *, cost: str, quality: str, higher_is_better: bool = True) -> str:
    """Cost from left to right (lower is better), quality upwards: where lower values are better, those are up.

    Filled marks are beaten by none, hollow ones are. Labels are placed twice, for wide and for narrow screens; one
    that finds no room is left to the tooltip and the table beside the chart.
    """
    across = log_axis([point.cost for point in points])
    up = _Up(axis_of(bound for point in points for bound in (point.value, point.low, point.high)), higher_is_better)
    height = _TOP + _PLOT
    parts = _grid(across, up, cost, quality)
    parts += _steps([point for point in points if point.beaten_by is None], across, up)
    ordered = sorted(points, key=lambda point: (point.beaten_by is not None, point.cost, point.label))
    parts += [group(_described(point, cost), _mark(point, across, up)) for point in ordered]
    for style, character in _WIDTHS.items():
        boxes = [_mark_box(across.share(point.cost), up.at(point.value)) for point in points]
        parts += [_label(point, across, up, boxes, style, character) for point in ordered]
    return fluid(title, "; ".join(_described(point, cost) for point in points), height + _FOOT, parts)


def _grid(across: Axis, up: _Up, cost: str, quality: str) -> list[str]:
    bottom = _TOP + _PLOT
    parts = [text("0", 12, f"↑ {quality}", "tick"), text("100%", bottom + 38, f"{cost} →", "tick", anchor="end")]
    for tick in across.ticks:
        parts.append(line(across.at(tick), _TOP, across.at(tick), bottom, "grid"))
        parts.append(text(across.at(tick), bottom + 16, tick_text(across, tick), "tick", anchor="middle"))
    for tick in up.axis.ticks:
        y = up.at(tick)
        parts.append(line("0", y, "100%", y, "grid"))
        parts.append(text("0", y - 3, tick_text(up.axis, tick), "tick"))
    return parts


def _mark(point: Point, across: Axis, up: _Up) -> list[str]:
    beaten, place = point.beaten_by is not None, across.at(point.cost)
    style = "beaten" if beaten else ""
    parts = []
    if point.low is not None and point.high is not None:
        parts.append(line(place, up.at(point.low), place, up.at(point.high), f"whisker {style}".strip()))
    return [*parts, dot(place, up.at(point.value), style, 5, hollow=beaten)]


def _label(
    point: Point,
    across: Axis,
    up: _Up,
    boxes: list[tuple[float, float, float, float]],
    style: str,
    character: float,
) -> str:
    """The label where it touches nothing of ``boxes``, to which it is added; empty where there is no such place."""
    x, y, shown = across.share(point.cost), up.at(point.value), shortened(point.label, _SHORT)
    gap, width = 1.5 * character, character * len(shown)
    for right, below in ((True, -8), (False, -8), (True, 17), (False, 17), (True, 4), (False, 4)):
        left = x + gap if right else x - gap - width
        box = (left, y + below - 11, left + width, y + below - 11 + _LABEL_HEIGHT)
        if box[0] < 0 or box[2] > 1 or any(_touch(box, other) for other in boxes):
            continue
        boxes.append(box)
        anchor, shift = ("start", 10) if right else ("end", -10)
        name = f"halo {style} {'beaten' if point.beaten_by is not None else ''}".strip()
        return text(across.at(point.cost), y + below, shown, name, anchor=anchor, shift=shift)
    return ""


def _steps(front: Sequence[Point], across: Axis, up: _Up) -> list[str]:
    """The frontier as steps: the best quality that is to be had up to each cost."""
    parts: list[str] = []
    best: Point | None = None
    for point in sorted(front, key=lambda point: (point.cost, up.at(point.value))):
        if best is not None and not up.better(point.value, best.value):
            continue
        place, y = across.at(point.cost), up.at(point.value)
        if best is not None:
            before = up.at(best.value)
            parts += [
                line(across.at(best.cost), before, place, before, "front"),
                line(place, before, place, y, "front"),
            ]
        best = point
    if best is not None:
        y = up.at(best.value)
        parts.append(line(across.at(best.cost), y, "100%", y, "front"))
    return parts


def _mark_box(x: float, y: float) -> tuple[float, float, float, float]:
    return (x - 0.008, y - 6, x + 0.008, y + 6)


def _touch(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _described(point: Point, cost: str) -> str:
    beaten = "" if point.beaten_by is None else f", beaten by {plain(point.beaten_by)}"
    interval = interval_text(point.low, point.high)
    return f"{plain(point.label, 80)}: {number(point.value)} {interval} at {coordinate(point.cost)} ({cost}){beaten}"
