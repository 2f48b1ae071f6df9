"""A common axis: where a value lies between the left and the right edge, and which values are marked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .drawing import LINE, line, number, percent, text

# Kept free at both edges, so that dots and the first and last number are whole.
MARGIN = 0.06


@dataclass(frozen=True)
class Axis:
    """Values from ``low`` to ``high`` on a line, with marked ``ticks``; logarithmic where values span decades."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where the value lies, 0 to 1 from edge to edge; values outside stay at the edge."""
        low, high, value = (self._scaled(each) for each in (self.low, self.high, value))
        inside = (min(max(value, low), high) - low) / (high - low)
        return MARGIN + inside * (1 - 2 * MARGIN)

    def at(self, value: float) -> str:
        """`share` in per cent."""
        return percent(self.share(value))

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def axis_of(values: Iterable[float | None], *, zero: bool = False, most: int = 5) -> Axis:
    """A linear axis with round ends around the values (None and non-finite ones are passed over); ``zero``: 0 too.

    >>> axis_of([0.12, 0.48]).ticks
    (0.1, 0.2, 0.3, 0.4, 0.5)
    """
    known = [value for value in values if value is not None and math.isfinite(value)] + ([0.0] if zero else [])
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-3):
        half = abs(low) / 10 if abs(low) > 1e-6 else 0.5
        low, high = low - half, high + half
    step = _round_step((high - low) / (most - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(step * index, 12) + 0.0 for index in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def log_axis(values: Sequence[float], most: int = 5) -> Axis:
    """An axis in decades with ticks at 1, 2 and 5, for positive values; linear where they span less than a third."""
    known = [value for value in values if value > 0 and math.isfinite(value)]
    if not known or max(known) / min(known) < 2:
        return axis_of(known, most=most)
    decades = range(math.floor(math.log10(min(known))), math.ceil(math.log10(max(known))) + 1)
    for steps in ((1, 2, 5), (1,)):
        marks = [step * 10.0**decade for decade in decades for step in steps]
        low = max(mark for mark in marks if mark <= min(known) * (1 + 1e-9))
        high = min((mark for mark in marks if mark >= max(known) * (1 - 1e-9)), default=10.0 ** decades[-1])
        ticks = tuple(mark for mark in marks if low <= mark <= high)
        if len(ticks) <= most + 2:
            break
    return Axis(low, high, ticks, logarithmic=True)


def axis_lines(axis: Axis, top: float, bottom: float) -> list[str]:
    """Faint verticals at the ticks with their values underneath; the line of 0 is stronger."""
    drawn = []
    for tick in axis.ticks:
        place = axis.at(tick)
        drawn.append(line(place, top, place, bottom, "zero" if tick == 0 and axis.low < 0 else "grid"))
        drawn.append(text(place, bottom + LINE - 4, tick_text(axis, tick), "tick", anchor="middle"))
    return drawn


def tick_text(axis: Axis, value: float) -> str:
    """A tick with as many decimals as its axis needs; thousands, millions and milliards in short.

    >>> tick_text(axis_of([0, 0.05]), 0.02), tick_text(log_axis([1e6, 1e9]), 1e9)
    ('0.02', '1B')
    """
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}".replace("-", "−")
    if axis.logarithmic:
        return f"{value:g}"
    step = axis.ticks[1] - axis.ticks[0] if len(axis.ticks) > 1 else 1.0
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9)) if step < 1 else 0
    if decimals > 6:
        return number(value)
    return f"{value:.{decimals}f}".replace("-", "−")


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least this."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
