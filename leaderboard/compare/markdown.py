"""Reports as GitHub-flavoured Markdown; text of unknown origin is shown as it is there, and does nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from ...harness.cli.tables import Block, Grid
from ...harness.cli.terminal import visible

# A comment on GitHub holds so many characters.
COMMENT_LIMIT = 65_536
# No width, and no part of a name or a number.
_BREAK = "&#8203;"
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "<span>$</span>"}
_SPECIAL = re.compile(
    r"""(?P<html>[&<>$])
    # GitHub links these after Markdown has been read: \@name is a mention all the same (github/markup issue 1168).
    |(?P<linked>@|\#(?=\d)|:(?=//)|\b[Gg][Hh]-(?=\d)|\b[Ww]{3}(?=\.))
    # A _ between letters is no markup; signs at the start make lists, headings and rules.
    |(?P<markup>[\\`*~|\[\]]|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])|^\#|^[-+=](?=[-=\s]|$)|(?<=^\d)[.)](?=\s)|(?<=^\d\d)[.)](?=\s))""",
    re.VERBOSE,
)


def markdown(blocks: Sequence[Block]) -> str:
    """The same as GitHub-flavoured Markdown, with all columns; whatever names and answers hold does nothing there."""
    parts = []
    for place, block in enumerate(blocks):
        if isinstance(block, Grid):
            parts.append("\n".join(table(block.heads, block.rows, block.sides)))
        elif block.kind == "answer":
            text = escaped(block.text)
            parts.append(f"**{text}**" if place == 0 else text)
        else:
            marks = {"warning": "> ⚠️ ", "title": "#### ", "note": "- "}
            line = marks[block.kind] + escaped(block.text)
            # Notes in a row are one list.
            if block.kind == "note" and parts and parts[-1].startswith("- "):
                parts[-1] += f"\n{line}"
            else:
                parts.append(line)
    return "\n\n".join(parts) + "\n"


def escaped(text: str, *, inside_html: bool = False) -> str:
    r"""Text as one line of Markdown without markup, HTML, table borders, links, mentions and references.

    ``inside_html``: of a line that begins with a tag, where a backslash would be shown.

    >>> print(escaped("a|b `c`\n<d> @e #1 _f_"))
    a\|b \`c\` &lt;d&gt; @&#8203;e #&#8203;1 \_f\_
    """
    indent = len(text) - len(text.lstrip(" "))
    line = visible(" ".join(text.split()), encoding="utf-8")
    return "&nbsp;" * indent + _SPECIAL.sub(partial(_harmless, inside_html), line)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    r"""A table; ``sides`` has < (left) or > (right) for each column.

    >>> table(("run", "n"), [("a|b", "3")], "<>")
    ['| run | n |', '|---|--:|', '| a\\|b | 3 |']
    """
    rules = "|".join("--:" if side == ">" else "---" for side in sides)
    lines = [f"| {' | '.join(map(escaped, row))} |" for row in (heads, *rows)]
    return [lines[0], f"|{rules}|", *lines[1:]]


def _harmless(inside_html: bool, found: re.Match[str]) -> str:
    part = found.group()
    if found["html"]:
        return _HTML[part]
    if found["linked"]:
        return part + _BREAK
    return f"&#{ord(part)};" if inside_html else f"\\{part}"
