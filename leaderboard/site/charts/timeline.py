"""Checks or runs one after another: each difference with its bounds, and the drop that was allowed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import Axis, axis_of, dot, fluid, group, interval_text, line, percent, plain, signed, text, tick_text

_PLOT, _TOP, _FOOT = 200, 14, 28
# Ticks stand at the left edge, and half a mark at the right one.
_LEFT, _RIGHT = 0.1, 0.97
# Dates nearer than this share of the width would run into one another; phones show the first and the last alone.
_APART = 0.12
_DOWN, _UP = ("fail", "worse"), ("better",)
_OPEN = ("inconclusive", "no difference shown")


@dataclass(frozen=True)
class Moment:
    """One check or run: a difference, positive is better; what was ``allowed`` is a positive number.

    ``verdict`` begins with pass, fail or inconclusive, or with better, worse or no difference shown; anchor is the run
    that all are held against. Another ``anchor`` than before is another baseline: differences before and after it are
    not of the same thing.
    """

    label: str
    date: str
    anchor: str
    verdict: str
    delta: float
    low: float | None
    high: float | None
    allowed: float | None


def timeline(title: str, moments: Sequence[Moment], *, joined: bool = True) -> str:
    """Moments from left to right, in their order and not by date; a new baseline is a dashed upright.

    A hollow mark could not tell or shows no difference, ▼ failed or is worse, ▲ is better, a thick stroke is the
    anchor itself. The strokes below are what was allowed. ``joined`` draws a line from one to the next.
    """
    bounds = [None if each.allowed is None else -each.allowed for each in moments]
    values = [end for each in moments for end in (each.delta, each.low, each.high)]
    axis = axis_of([*values, *bounds], zero=True, most=4)
    step = (_RIGHT - _LEFT) / max(1, len(moments))
    bottom = _TOP + _PLOT
    parts = []
    for tick in axis.ticks:
        y = _up(axis, tick)
        parts.append(line("0", y, "100%", y, "zero" if tick == 0 else "grid"))
        parts.append(text("0", y - 3, tick_text(axis, tick), "tick"))
    for place, (before, after) in enumerate(itertools.pairwise(moments), 1):
        left = _LEFT + place * step
        if before.anchor != after.anchor:
            parts.append(line(percent(left), _TOP, percent(left), bottom, "dashed"))
        elif joined:
            ends = [_up(axis, each.delta) for each in (before, after)]
            parts.append(line(percent(left - step / 2), ends[0], percent(left + step / 2), ends[1], "stem"))
        elif before.date != after.date:
            parts.append(line(percent(left), _TOP, percent(left), bottom, "grid"))
    for place, (each, bound) in enumerate(zip(moments, bounds, strict=True)):
        x = _LEFT + (place + 0.5) * step
        stroke = []
        if bound is not None:
            stroke = [line(percent(x - step / 2), _up(axis, bound), percent(x + step / 2), _up(axis, bound), "front")]
        parts.append(group(_described(each), [*stroke, *_mark(axis, each, x)], name=each.label))
    parts += _dates(moments, step, bottom)
    return fluid(title, "; ".join(map(_described, moments)), bottom + _FOOT, parts)


def _mark(axis: Axis, each: Moment, place: float) -> list[str]:
    """The difference and its bounds."""
    x, y = percent(place), _up(axis, each.delta)
    drawn = []
    if each.low is not None and each.high is not None:
        drawn.append(line(x, _up(axis, each.low), x, _up(axis, each.high), "whisker"))
    if each.verdict.startswith("anchor"):
        return [line(percent(place - 0.008), y, percent(place + 0.008), y, "anchor")]
    style = "worse" if each.verdict.startswith(_DOWN) else "better" if each.verdict.startswith(_UP) else ""
    drawn.append(dot(x, y, style, hollow=each.verdict.startswith(_OPEN)))
    if style:
        arrow, end = ("▼", each.low) if style == "worse" else ("▲", each.high)
        beyond = y if end is None else _up(axis, end)
        drawn.append(text(x, beyond + (16 if style == "worse" else -5), arrow, f"halo {style}", anchor="middle"))
    return drawn


def _dates(moments: Sequence[Moment], step: float, bottom: float) -> list[str]:
    """The first of each date, where there is room; always the first and the last, by which the course is read."""
    if not moments:
        return []
    parts = [text(percent(_LEFT), bottom + 18, plain(moments[0].date, 10), "tick")]
    if len(moments) < 2:
        return parts
    parts.append(text(percent(_RIGHT), bottom + 18, plain(moments[-1].date, 10), "tick", anchor="end"))
    taken = _LEFT + _APART / 2
    for place, (before, after) in enumerate(itertools.pairwise(moments), 1):
        x = _LEFT + (place + 0.5) * step
        if before.date != after.date and x - taken >= _APART and _RIGHT - x >= 1.5 * _APART:
            taken = x
            parts.append(text(percent(x), bottom + 18, plain(after.date, 10), "tick wide", anchor="middle"))
    return parts


def _up(axis: Axis, value: float) -> float:
    return round(_TOP + _PLOT * (1 - axis.share(value)), 2)


def _described(each: Moment) -> str:
    told = f"{plain(each.date, 10)} {plain(each.label)}: {signed(each.delta)} {interval_text(each.low, each.high)}"
    bound = "" if each.allowed is None else f", {each.allowed:g} allowed"
    return f"{told}{bound}, {plain(each.verdict, 40)}, against {plain(each.anchor, 40)}"
