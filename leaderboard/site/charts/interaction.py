"""What a factor does at each level of another one: lines that are not parallel are an interaction."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import axis_of, dot, fluid, group, line, number, percent, plain, text, tick_text

_PLOT, _TOP, _FOOT = 180, 26, 26
_EDGE = 0.2


@dataclass(frozen=True)
class Series:
    """The means at the levels of the factor across, for one level of the other factor."""

    label: str
    values: tuple[float | None, ...]


def interaction_plot(title: str, levels: Sequence[str], series: Sequence[Series], *, unit: str) -> str:
    """Levels of one factor from left to right, a line for each level of the other; lines are told apart by dashes too.

    Every line has its level's name at its right end.
    """
    axis = axis_of((value for each in series for value in each.values), most=4)
    places = [_EDGE / 2 + (1 - 2 * _EDGE) * place / max(1, len(levels) - 1) + 0.04 for place in range(len(levels))]
    bottom = _TOP + _PLOT
    parts = [text("0", 12, f"↑ {unit}", "tick")]
    for tick in axis.ticks:
        y = _up(axis.share(tick))
        parts += [line("0", y, "100%", y, "grid"), text("0", y - 3, tick_text(axis, tick), "tick")]
    for place, level in zip(places, levels, strict=True):
        parts.append(text(percent(place), bottom + 18, plain(level, 24), "tick", anchor="middle"))
    ends: list[float] = []
    for index, each in enumerate(series):
        known = [
            (place, _up(axis.share(value)))
            for place, value in zip(places, each.values, strict=True)
            if value is not None
        ]
        name = f"series-{index % 4}"
        drawn = [
            line(percent(x1), y1, percent(x2), y2, f"series {name}") for (x1, y1), (x2, y2) in itertools.pairwise(known)
        ]
        drawn += [dot(percent(x), y, name) for x, y in known]
        if known:
            ends.append(_free(known[-1][1], ends))
            drawn.append(text(percent(known[-1][0]), ends[-1] + 4, plain(each.label, 14), "halo", shift=10))
        parts.append(group(_described(each, levels), drawn, name=each.label))
    return fluid(title, "; ".join(_described(each, levels) for each in series), bottom + _FOOT, parts)


def _up(share: float) -> float:
    return round(_TOP + _PLOT * (1 - share), 2)


def _free(y: float, taken: Sequence[float]) -> float:
    """The nearest height downwards where a label touches no earlier one."""
    while any(abs(y - other) < 14 for other in taken):
        y += 2
    return y


def _described(series: Series, levels: Sequence[str]) -> str:
    each = ", ".join(f"{plain(level)} {number(value)}" for level, value in zip(levels, series.values, strict=True))
    return f"{plain(series.label)}: {each}"
