"""Pieces that all charts are made of.

Escaped text and numbers, lines, dots and boxes, and the frame around them; and `Axis`, which says where a value lies,
with round ticks, linear (`axis_of`) or in decades (`log_axis`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

# Room between baselines of rows of text, in CSS pixels.
LINE = 18
# Height of a row of charts that have a line of text with the mark under it.
ROW = 34
LONGEST_LABEL = 40
# The share of an axis kept free at both edges, so that dots and the first and last number are whole.
MARGIN = 0.06


def printable(text: str) -> str:
    """Text in which every character that cannot be printed is replaced."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "�" for character in text)


def plain(text: str, longest: int = LONGEST_LABEL) -> str:
    r"""Text of unknown origin on one line: what cannot be printed is replaced, what is too long is cut.

    >>> plain("a\x00b\u202ec", 4)
    'a�b…'
    """
    shown = printable(text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def shortened(text: str, longest: int) -> str:
    """Text cut in its middle: names of one study often differ at their ends.

    >>> shortened("student-sft-different-kd-11", 15)
    'student…t-kd-11'
    """
    shown = printable(text[:1000])
    if len(shown) <= longest:
        return shown
    tail = longest // 2
    return f"{shown[: longest - tail - 1]}…{shown[-tail:]}"


def coordinate(value: float) -> str:
    """A length or place with two decimals at most, never -0.

    >>> coordinate(12.0), coordinate(-0.001), coordinate(3.14159)
    ('12', '0', '3.14')
    """
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def number(value: float | None) -> str:
    """A score as people read it: three decimals, fewer for large ones; "n/a" where there is none.

    >>> number(0.12345), number(27.3191), number(-0.0001), number(None)
    ('0.123', '27.32', '0.000', 'n/a')
    """
    if value is None:
        return "n/a"
    decimals = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    shown = f"{value:.{decimals}f}"
    return shown.lstrip("-") if not float(shown) else shown.replace("-", "−")


def signed(value: float) -> str:
    """A difference with its sign.

    >>> signed(0.5), signed(-0.25), signed(0)
    ('+0.500', '−0.250', '0.000')
    """
    shown = number(value)
    return shown if shown.startswith("−") or not float(shown) else f"+{shown}"


def interval_text(low: float | None, high: float | None) -> str:
    """An interval in brackets, or that there is none.

    >>> interval_text(0.1, 0.25), interval_text(None, None)
    ('[0.100, 0.250]', '[no interval]')
    """
    return "[no interval]" if low is None or high is None else f"[{number(low)}, {number(high)}]"


def shown_at(width: str, parts: Iterable[str]) -> str:
    """Parts that only screens of some width show: narrow, wide (all others), middle or broad (half of wide each)."""
    return f'<g class="{width}">{"".join(parts)}</g>'


def percent(value: float) -> str:
    """A place between 0 and 1 as a length relative to the drawing's width."""
    return f"{coordinate(100 * value)}%"


def text(x: str, y: float, content: str, style: str = "", *, anchor: str = "start", shift: float = 0) -> str:
    """A line of text at ``x`` (with its unit); ``shift`` moves it by pixels."""
    moved = f' dx="{coordinate(shift)}"' if shift else ""
    return (
        f'<text class="{_classes("label", style)}" x="{x}" y="{coordinate(y)}" text-anchor="{anchor}"{moved}>'
        f"{escape(printable(content))}</text>"
    )


def line(x1: str, y1: float, x2: str, y2: float, style: str) -> str:
    """A straight line in a class."""
    return f'<line class="{style}" x1="{x1}" y1="{coordinate(y1)}" x2="{x2}" y2="{coordinate(y2)}"/>'


def dot(x: str, y: float, style: str, radius: float = 4.5, *, hollow: bool = False) -> str:
    """A round mark; hollow ones are for what is not shown to differ."""
    name = _classes("dot", "hollow" if hollow else "", style)
    return f'<circle class="{name}" cx="{x}" cy="{coordinate(y)}" r="{coordinate(radius)}"/>'


def rectangle(x: float, y: float, width: float, height: float, style: str) -> str:
    """A filled box, in pixels."""
    place = f'x="{coordinate(x)}" y="{coordinate(y)}" width="{coordinate(width)}" height="{coordinate(height)}"'
    return f'<rect class="{style}" {place}/>'


def group(title: str, parts: Iterable[str], style: str = "", *, name: str = "") -> str:
    """Parts that share a tooltip; those of one ``name`` light up together, with the table rows that carry it."""
    given = f' class="{style}"' if style else ""
    given += f' data-name="{escape(printable(name[:300]))}"' if name else ""
    return f"<g{given}><title>{escape(printable(title))}</title>{''.join(parts)}</g>"


def fluid(title: str, description: str, height: float, parts: Iterable[str], style: str = "") -> str:
    """A drawing as wide as its place, with places in per cent and heights in pixels."""
    return _frame(title, description, f'width="100%" height="{coordinate(height)}"', parts, style)


def fixed(title: str, description: str, width: float, height: float, parts: Iterable[str], style: str = "") -> str:
    """A drawing of a size of its own, in pixels."""
    box = f'width="{coordinate(width)}" height="{coordinate(height)}"'
    return _frame(title, description, f'{box} viewBox="0 0 {coordinate(width)} {coordinate(height)}"', parts, style)


def _frame(title: str, description: str, size: str, parts: Iterable[str], style: str) -> str:
    described = f"<desc>{escape(printable(description))}</desc>" if description else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{_classes("chart", style)}" role="img" {size}>'
        f"<title>{escape(printable(title))}</title>{described}{''.join(parts)}</svg>"
    )


def _classes(*names: str) -> str:
    return " ".join(name for name in names if name)


@dataclass(frozen=True)
class Axis:
    """Values from ``low`` to ``high`` on a line, with marked ``ticks``; logarithmic where values span decades.

    The line goes from ``left`` to ``right``, shares of the drawing's width.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False
    left: float = 0.0
    right: float = 1.0

    def share(self, value: float) -> float:
        """Where the value lies, 0 to 1 from edge to edge; values outside stay at the edge."""
        low, high, value = (self._scaled(each) for each in (self.low, self.high, value))
        inside = (min(max(value, low), high) - low) / (high - low)
        return MARGIN + inside * (1 - 2 * MARGIN)

    def at(self, value: float) -> str:
        """Where the value lies on the drawing, in per cent of its width."""
        return percent(self.left + self.share(value) * (self.right - self.left))

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
