"""A badge as SVG: what the board is of, and its first line in a few words."""

from __future__ import annotations

from html import escape

_HEIGHT, _PAD = 20, 7
# What a character takes in Verdana of 11 pixels, which badges are commonly set in; text is stretched to the width.
_NARROW, _WIDE, _USUAL = frozenset("ijl.,:;'|!()[] ft1I"), frozenset("mwMW@%—…"), 6.9


def badge(label: str, message: str, colour: str) -> str:
    """Two fields side by side, as high as text; ``colour`` is that of the second."""
    left, right = (_width(each) + 2 * _PAD for each in (label, message))
    width = left + right
    told = escape(f"{label}: {message}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT}" role="img" aria-label="{told}">'
        f"<title>{told}</title>"
        f'<clipPath id="r"><rect width="{width}" height="{_HEIGHT}" rx="3"/></clipPath><g clip-path="url(#r)">'
        f'<rect width="{left}" height="{_HEIGHT}" fill="#3d444d"/>'
        f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{colour}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{_text(_PAD, label)}'
        f"{_text(left + _PAD, message)}</g></svg>\n"
    )


def _text(x: int, words: str) -> str:
    return f'<text x="{x}" y="14" textLength="{_width(words)}">{escape(words)}</text>'


def _width(words: str) -> int:
    widths = (4.1 if each in _NARROW else 10.4 if each in _WIDE else _USUAL for each in words)
    return round(sum(widths))
