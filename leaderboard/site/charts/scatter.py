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
    percent,
    plain,
    shortened,
    text,
    tick_text,
)

_TOP, _FOOT = 30, 44
# Height of the plot for few points, what each further one adds, and the most: more points need more room for labels.
_PLOT, _MORE, _MOST = 320, 4, 560
# The share of the width that a character takes, by the class that a style sheet shows on screens of that width.
_WIDTHS = {"narrow": 0.0205, "middle": 0.0118, "broad": 0.0068}
_LABEL_HEIGHT = 15
_SHORT = 26
# Beside a point, above and below it; then further and further away, in shares of the width and in pixels.
_NEAR = ((True, -8), (False, -8), (True, 17), (False, 17), (True, 4), (False, 4))
_FAR_X = (0.02, 0.05, 0.09, 0.14, 0.2, 0.28, 0.38)
_FAR_Y = tuple(sign * step for step in range(0, 400, 20) for sign in (1, -1))


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
    plot: float = _PLOT

    def at(self, value: float) -> float:
        share = self.axis.share(value)
        return round(_TOP + self.plot * (1 - share if self.higher_is_better else share), 2)

    def better(self, one: float, other: float) -> bool:
        return one > other if self.higher_is_better else one < other


def scatter(title: str, points: Sequence[Point], *, cost: str, quality: str, higher_is_better: bool = True) -> str:
    """Cost from left to right (lower is better), quality upwards: where lower values are better, those are up.

    Filled marks are beaten by none, hollow ones are. Labels are placed anew for each width of screen. One that finds no
    room beside its point is of the class ``ondemand``: it stands further away, with a line to the point, and is shown
    when it is asked for. Where there is no room at all it is of the class ``onlit``, for its point alone.
    """
    across = log_axis([point.cost for point in points])
    axis = axis_of(bound for point in points for bound in (point.value, point.low, point.high))
    up = _Up(axis, higher_is_better, min(_PLOT + _MORE * max(0, len(points) - 12), _MOST))
    height = _TOP + up.plot
    parts = _grid(across, up, cost, quality)
    parts += _steps([point for point in points if point.beaten_by is None], across, up)
    order = sorted(
        range(len(points)), key=lambda at: (points[at].beaten_by is not None, points[at].cost, points[at].label)
    )
    drawn = [_mark(point, across, up) for point in points]
    for style, character in _WIDTHS.items():
        marks = [_mark_box(across.share(point.cost), up.at(point.value)) for point in points]
        room = _Room(height, marks)
        rest = [
            place for place in order if not _near_label(points[place], across, up, room, style, character, drawn[place])
        ]
        for place in rest:
            drawn[place] += _far_label(points[place], across, up, room, style, character)
    parts += [group(_described(points[at], cost), drawn[at], "point", name=points[at].label) for at in order]
    return fluid(title, "; ".join(_described(point, cost) for point in points), height + _FOOT, parts)


def _grid(across: Axis, up: _Up, cost: str, quality: str) -> list[str]:
    bottom = _TOP + up.plot
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


Box = tuple[float, float, float, float]


class _Room:
    """What is taken of the plot, by bands of a line's height, so that few boxes are asked whether they are touched."""

    def __init__(self, height: float, taken: Sequence[Box]) -> None:
        self._height = height
        self._bands: dict[int, list[Box]] = {}
        for box in taken:
            self.take(box)

    def take(self, box: Box) -> None:
        for band in _bands(box):
            self._bands.setdefault(band, []).append(box)

    def free(self, box: Box) -> bool:
        """Is the box inside the plot, and touches no other?"""
        if box[0] < 0 or box[2] > 1 or box[1] < 0 or box[3] > self._height:
            return False
        return not any(_touch(box, other) for band in _bands(box) for other in self._bands.get(band, ()))


def _bands(box: Box) -> range:
    return range(int(box[1] // _LABEL_HEIGHT), int(box[3] // _LABEL_HEIGHT) + 1)


def _near_label(
    point: Point, across: Axis, up: _Up, room: _Room, style: str, character: float, drawn: list[str]
) -> bool:
    """Add the label to ``drawn`` beside the point, where there is room; False where there is none."""
    x, y, shown = across.share(point.cost), up.at(point.value), shortened(point.label, _SHORT)
    gap, width = 1.5 * character, character * len(shown)
    for right, below in _NEAR:
        left = x + gap if right else x - gap - width
        box = (left, y + below - 11, left + width, y + below - 11 + _LABEL_HEIGHT)
        if not room.free(box):
            continue
        room.take(box)
        anchor, shift = ("start", 10) if right else ("end", -10)
        name = f"halo {style} {_shade(point)}".strip()
        drawn.append(text(across.at(point.cost), y + below, shown, name, anchor=anchor, shift=shift))
        return True
    return False


def _far_label(point: Point, across: Axis, up: _Up, room: _Room, style: str, character: float) -> list[str]:
    """The label away from the point with a line to it; beside the point, over whatever is there, where all is full."""
    x, y, shown = across.share(point.cost), up.at(point.value), shortened(point.label, _SHORT)
    width = character * len(shown)
    for away in _FAR_X:
        for below in _FAR_Y:
            for right in (True, False):
                left = x + away if right else x - away - width
                box = (left, y + below - 11, left + width, y + below + 4)
                if not room.free(box):
                    continue
                room.take(box)
                edge = left if right else left + width
                leader = line(percent(x), y, percent(edge), y + below - 4, f"leader ondemand {style}")
                anchor = "start" if right else "end"
                name = f"halo ondemand {style} {_shade(point)}".strip()
                return [leader, text(percent(edge), y + below, shown, name, anchor=anchor)]
    anchor, shift = ("start", 10) if x < 0.5 else ("end", -10)
    return [text(percent(x), y - 8, shown, f"halo onlit {style} {_shade(point)}".strip(), anchor=anchor, shift=shift)]


def _shade(point: Point) -> str:
    return "" if point.beaten_by is None else "beaten"


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


def _mark_box(x: float, y: float) -> Box:
    return (x - 0.008, y - 6, x + 0.008, y + 6)


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _described(point: Point, cost: str) -> str:
    beaten = "" if point.beaten_by is None else f", beaten by {plain(point.beaten_by)}"
    interval = interval_text(point.low, point.high)
    return f"{plain(point.label, 80)}: {number(point.value)} {interval} at {coordinate(point.cost)} ({cost}){beaten}"
