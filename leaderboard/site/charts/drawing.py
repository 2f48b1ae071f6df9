"""Pieces that all charts are made of: escaped text, numbers, lines and dots, and the frame around them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

# Room between baselines of rows of text, in CSS pixels.
LINE = 18
LONGEST_LABEL = 40


def printable(text: str) -> str:
    """Text in which every character that cannot be printed is replaced."""
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


def group(title: str, parts: Iterable[str], style: str = "") -> str:
    """Parts that share a tooltip."""
    name = f' class="{style}"' if style else ""
    return f"<g{name}><title>{escape(printable(title))}</title>{''.join(parts)}</g>"


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
