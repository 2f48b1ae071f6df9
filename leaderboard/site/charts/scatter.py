"""Quality against a cost: points with intervals, and the frontier of those that nothing cheaper is shown to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .axis import Axis, axis_of, log_axis, tick_text
from .drawing import coordinate, dot, fluid, group, interval_text, line, number, plain, text

_PLOT, _TOP, _FOOT = 320, 30, 44
# A label needs about this share of the width a character; two of them may not touch.
_CHARACTER, _LABEL_HEIGHT = 0.0115, 15
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


def scatter(title: str, points: Sequence[Point], *, cost: str, quality: str) -> str:
    """Cost from left to right, quality upwards (a metric where lower is better has its axis turned by the caller).

    Filled marks are on the frontier, hollow ones are beaten. A label that finds no room is left to the tooltip and the
    table beside the chart.
    """
    across = log_axis([point.cost for point in points])
    up = axis_of(bound for point in points for bound in (point.value, point.low, point.high))
    height = _TOP + _PLOT
    parts = _grid(across, up, cost, quality)
    parts += _steps([point for point in points if point.beaten_by is None], across, up)
    boxes = [_mark_box(across.share(point.cost), _up(up, point.value)) for point in points]
    for point in sorted(points, key=lambda point: (point.beaten_by is not None, point.cost, point.label)):
        parts.append(group(_described(point, cost), _drawn(point, across, up, boxes)))
    return fluid(title, "; ".join(_described(point, cost) for point in points), height + _FOOT, parts)


def _grid(across: Axis, up: Axis, cost: str, quality: str) -> list[str]:
    bottom = _TOP + _PLOT
    parts = [text("0", 12, f"↑ {quality}", "tick"), text("100%", bottom + 38, f"{cost} →", "tick", anchor="end")]
    for tick in across.ticks:
        parts.append(line(across.at(tick), _TOP, across.at(tick), bottom, "grid"))
        parts.append(text(across.at(tick), bottom + 16, tick_text(across, tick), "tick", anchor="middle"))
    for tick in up.ticks:
        y = _up(up, tick)
        parts.append(line("0", y, "100%", y, "grid"))
        parts.append(text("0", y - 3, tick_text(up, tick), "tick"))
    return parts


def _drawn(point: Point, across: Axis, up: Axis, boxes: list[tuple[float, float, float, float]]) -> list[str]:
    x, y, beaten = across.share(point.cost), _up(up, point.value), point.beaten_by is not None
    style = "beaten" if beaten else ""
    place = across.at(point.cost)
    parts = []
    if point.low is not None and point.high is not None:
        parts.append(line(place, _up(up, point.low), place, _up(up, point.high), f"whisker {style}".strip()))
    parts.append(dot(place, y, style, 5, hollow=beaten))
    label = plain(point.label, _SHORT)
    width = _CHARACTER * len(label)
    for right, below in ((True, -8), (False, -8), (True, 17), (False, 17), (True, 4), (False, 4)):
        left = x + 0.02 if right else x - 0.02 - width
        box = (left, y + below - 11, left + width, y + below - 11 + _LABEL_HEIGHT)
        if box[0] < 0 or box[2] > 1 or any(_touch(box, other) for other in boxes):
            continue
        boxes.append(box)
        anchor, shift = ("start", 10) if right else ("end", -10)
        parts.append(text(place, y + below, label, f"halo {style}".strip(), anchor=anchor, shift=shift))
        break
    return parts


def _steps(front: Sequence[Point], across: Axis, up: Axis) -> list[str]:
    """The frontier as steps: the best quality that is to be had up to each cost."""
    parts: list[str] = []
    best: Point | None = None
    for point in sorted(front, key=lambda point: (point.cost, -point.value)):
        if best is not None and point.value <= best.value:
            continue
        place, y = across.at(point.cost), _up(up, point.value)
        if best is not None:
            before = _up(up, best.value)
            parts += [
                line(across.at(best.cost), before, place, before, "front"),
                line(place, before, place, y, "front"),
            ]
        best = point
    if best is not None:
        y = _up(up, best.value)
        parts.append(line(across.at(best.cost), y, "100%", y, "front"))
    return parts


def _up(axis: Axis, value: float) -> float:
    return round(_TOP + _PLOT * (1 - axis.share(value)), 2)


def _mark_box(x: float, y: float) -> tuple[float, float, float, float]:
    return (x - 0.008, y - 6, x + 0.008, y + 6)


def _touch(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _described(point: Point, cost: str) -> str:
    beaten = "" if point.beaten_by is None else f", beaten by {plain(point.beaten_by)}"
    interval = interval_text(point.low, point.high)
    return f"{plain(point.label, 80)}: {number(point.value)} {interval} at {coordinate(point.cost)} ({cost}){beaten}"
