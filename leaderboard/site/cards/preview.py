"""What a preview of a link shows: title, the first sentences, and the best runs with their intervals; SVG or PNG.

A card is a list of shapes, which both are drawn from.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from telbench.errors import InputError

WIDTH, HEIGHT = 1200, 630
GROUND, INK, FAINT, LINE, ACCENT = "#ffffff", "#16191d", "#5a626c", "#e1e4e8", "#0b5cad"
_EDGE = 64
# The share of its size that a character of a usual font is wide.
_CHARACTER = 0.54


@dataclass(frozen=True)
class Bar:
    """A run with its value and interval."""

    label: str
    shown: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Words:
    """A line of text from its left end, or up to its right one."""

    x: float
    y: float
    words: str
    size: int
    colour: str = INK
    bold: bool = False
    right: bool = False


@dataclass(frozen=True)
class Stroke:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    width: float
    colour: str


@dataclass(frozen=True)
class Spot:
    """A filled circle."""

    x: float
    y: float
    radius: float
    colour: str


Shape = Words | Stroke | Spot


def card(title: str, sentences: Sequence[str], bars: Sequence[Bar], foot: str) -> list[Shape]:
    """The shapes of a preview: what does not fit is cut."""
    shapes: list[Shape] = [Words(_EDGE, 104, fitted(title, 48), 48, bold=True)]
    y = 166.0
    for sentence in sentences[:3]:
        for line in _wrapped(sentence, 28)[:2]:
            shapes.append(Words(_EDGE, y, line, 28))
            y += 38
        y += 8
    top = max(y + 18, 330.0)
    room = int((HEIGHT - 70 - top) // 46)
    known = [end for bar in bars for end in (bar.value, bar.low, bar.high) if end is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    spread = (high - low) or 1.0

    def across(value: float) -> float:
        return 540 + 440 * (value - low) / spread

    for place, bar in enumerate(bars[:room]):
        y = top + 46 * place
        shapes.append(Words(_EDGE, y + 8, fitted(bar.label, 22, 440), 22, bold=place == 0))
        shapes.append(Stroke(520, y, 1000, y, 1, LINE))
        if bar.low is not None and bar.high is not None:
            shapes.append(Stroke(across(bar.low), y, across(bar.high), y, 4, ACCENT))
        shapes.append(Spot(across(bar.value), y, 9, ACCENT))
        shapes.append(Words(WIDTH - _EDGE, y + 8, bar.shown, 22, right=True))
    shapes.append(Words(_EDGE, HEIGHT - 34, fitted(foot, 20), 20, FAINT))
    return shapes


def fitted(words: str, size: int, room: float = WIDTH - 2 * _EDGE) -> str:
    """The words on one line of so many pixels, cut in the middle where they are too long."""
    most = int(room / (_CHARACTER * size))
    if len(words) <= most:
        return words
    tail = most // 2
    return f"{words[: most - tail - 1]}…{words[-tail:]}"


def as_svg(title: str, shapes: Sequence[Shape]) -> str:
    """The card as a drawing that needs no style sheet."""
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{GROUND}"/>']
    for each in shapes:
        if isinstance(each, Stroke):
            place = f'x1="{each.x1:g}" y1="{each.y1:g}" x2="{each.x2:g}" y2="{each.y2:g}"'
            parts.append(f'<line {place} stroke="{each.colour}" stroke-width="{each.width:g}"/>')
        elif isinstance(each, Spot):
            parts.append(f'<circle cx="{each.x:g}" cy="{each.y:g}" r="{each.radius:g}" fill="{each.colour}"/>')
        else:
            anchor = ' text-anchor="end"' if each.right else ""
            weight = ' font-weight="650"' if each.bold else ""
            parts.append(
                f'<text x="{each.x:g}" y="{each.y:g}" font-size="{each.size}" fill="{each.colour}"{anchor}{weight}>'
                f"{escape(each.words)}</text>"
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" font-family="system-ui,DejaVu Sans,sans-serif"><title>{escape(title)}</title>{"".join(parts)}'
        "</svg>\n"
    )


def as_png(shapes: Sequence[Shape]) -> bytes:
    """The card as a picture: services that show previews take no SVG.

    Raises:
        InputError: when Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise InputError("a preview image needs Pillow: pip install pillow, or build without --url") from error
    image = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    pen = ImageDraw.Draw(image)
    fonts: dict[int, Any] = {}
    for each in shapes:
        if isinstance(each, Stroke):
            pen.line((each.x1, each.y1, each.x2, each.y2), each.colour, max(1, round(each.width)))
        elif isinstance(each, Spot):
            x, y, radius = each.x, each.y, each.radius
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), each.colour)
        else:
            font = fonts.setdefault(each.size, ImageFont.load_default(each.size))
            # A stroke of its own colour stands for a bold cut, which the font that comes along has not.
            pen.text(
                (each.x, each.y),
                each.words,
                each.colour,
                font,
                "rs" if each.right else "ls",
                stroke_width=int(each.bold),
            )
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _wrapped(words: str, size: int) -> list[str]:
    import textwrap

    return textwrap.wrap(words, int((WIDTH - 2 * _EDGE) / (_CHARACTER * size))) or [""]
