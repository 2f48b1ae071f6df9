"""A gate's checks one after another: each difference with its bounds, and the drop that was allowed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import Axis, axis_of, dot, fluid, group, interval_text, line, percent, plain, signed, text, tick_text

_PLOT, _TOP, _FOOT = 160, 12, 28
# Ticks stand at the left edge, and half a mark at the right one.
_LEFT, _RIGHT = 0.1, 0.97


@dataclass(frozen=True)
class Moment:
    """One check: a difference, positive is better; what was ``allowed`` is a positive number.

    ``verdict`` is pass, fail or inconclusive. Another ``anchor`` than before is another baseline: differences before
    and after it are not of the same thing.
    """

    label: str
    date: str
    anchor: str
    verdict: str
    delta: float
    low: float | None
    high: float | None
    allowed: float | None


def timeline(title: str, moments: Sequence[Moment]) -> str:
    """Checks from left to right, in their order and not by date; a new baseline is a dashed upright.

    A hollow mark is a check that could not tell, ▼ one that failed. The strokes below are what was allowed.
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
            continue
        ends = [_up(axis, each.delta) for each in (before, after)]
        parts.append(line(percent(left - step / 2), ends[0], percent(left + step / 2), ends[1], "stem"))
    for place, (each, bound) in enumerate(zip(moments, bounds, strict=True)):
        x = _LEFT + (place + 0.5) * step
        stroke = []
        if bound is not None:
            stroke = [line(percent(x - step / 2), _up(axis, bound), percent(x + step / 2), _up(axis, bound), "front")]
        parts.append(group(_described(each), [*stroke, *_mark(axis, each, percent(x))]))
    for each, x, anchor in _ends(moments):
        parts.append(text(percent(x), bottom + 18, plain(each.date, 10), "tick", anchor=anchor))
    return fluid(title, "; ".join(map(_described, moments)), bottom + _FOOT, parts)


def _mark(axis: Axis, each: Moment, x: str) -> list[str]:
    """The difference and its bounds."""
    y = _up(axis, each.delta)
    drawn = []
    if each.low is not None and each.high is not None:
        drawn.append(line(x, _up(axis, each.low), x, _up(axis, each.high), "whisker"))
    drawn.append(dot(x, y, "worse" if each.verdict == "fail" else "", hollow=each.verdict == "inconclusive"))
    if each.verdict == "fail":
        drawn.append(text(x, y - 8, "▼", "halo worse", anchor="middle"))
    return drawn


def _ends(moments: Sequence[Moment]) -> list[tuple[Moment, float, str]]:
    """The first and the last check, whose dates are written under them."""
    if not moments:
        return []
    first = (moments[0], _LEFT, "start")
    return [first, (moments[-1], _RIGHT, "end")] if len(moments) > 1 else [first]


def _up(axis: Axis, value: float) -> float:
    return round(_TOP + _PLOT * (1 - axis.share(value)), 2)


def _described(each: Moment) -> str:
    told = f"{plain(each.date, 10)} {plain(each.label)}: {signed(each.delta)} {interval_text(each.low, each.high)}"
    bound = "" if each.allowed is None else f", {each.allowed:g} allowed"
    return f"{told}{bound}, {plain(each.verdict, 12)}, against {plain(each.anchor, 40)}"
