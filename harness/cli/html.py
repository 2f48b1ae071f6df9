"""Reports as HTML: what a notebook shows of a record, and what a report file is made of.

Everything is escaped. Names, answers and verdicts come from data and models, so none of them may do anything here.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .tables import Block, Grid
from .terminal import visible

_KINDS = {"answer": "p", "warning": "p", "title": "h3", "note": "p"}


def shown_in_html(text: str) -> str:
    r"""Text of any origin as HTML text: markup is escaped, hidden characters are written as escapes.

    >>> shown_in_html("<b>a</b>\x1b")
    '&lt;b&gt;a&lt;/b&gt;\\x1b'
    """
    return escape(visible(text, lines=True, encoding="utf-8"))


def html_table(heads: Sequence[str], rows: Sequence[Sequence[str]], sides: str) -> str:
    """A table; ``sides`` has < (left) or > (right) for each column, and a row may have fewer cells.

    >>> html_table(("run", "n"), [("a&b", "3")], "<>").replace(' style="text-align:', " ")
    '<table><thead><tr><th left">run</th><th right">n</th></tr></thead><tbody><tr><td left">a&amp;b</td>\
<td right">3</td></tr></tbody></table>'
    """

    def line(cells: Sequence[str], tag: str) -> str:
        told = (
            f'<{tag} style="text-align:{"right" if side == ">" else "left"}">{shown_in_html(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=False)
        )
        return f"<tr>{''.join(told)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(heads, 'th')}</thead><tbody>{body}</tbody></table>"


def html(blocks: Sequence[Block]) -> str:
    """A report's blocks as HTML elements, one a line."""
    parts = []
    for block in blocks:
        if isinstance(block, Grid):
            parts.append(html_table(block.heads, block.rows, block.sides))
            continue
        tag, text = _KINDS[block.kind], shown_in_html(block.text)
        strong = f"<strong>{text}</strong>" if block.kind in ("answer", "warning") else text
        parts.append(f'<{tag} class="{block.kind}">{strong}</{tag}>')
    return "\n".join(parts)
