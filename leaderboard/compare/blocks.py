"""What a report is made of, and its two forms: lines for a terminal and GitHub-flavoured Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...harness.cli.tables import columns, shown
from .markdown import escaped, table

WIDTH = 80


@dataclass(frozen=True)
class Words:
    """A paragraph: the answer, a warning, the title of what follows, or a note."""

    text: str
    kind: Literal["answer", "warning", "title", "note"] = "note"


@dataclass(frozen=True)
class Grid:
    """A table; ``sides`` has < (left) or > (right) for each column.

    ``spare`` names columns that narrow lines do without, the first of them first.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sides: str
    spare: tuple[str, ...] = ()


Block = Words | Grid


def fitted(blocks: Sequence[Block], width: int = WIDTH) -> list[Block]:
    """The same without spare columns that make lines longer than that, and a note that names them.

    Tables of the same columns lose the same ones.
    """
    gone: dict[tuple[str, ...], int] = {}
    for _ in range(2):
        slim: list[Block] = []
        for block in blocks:
            if not isinstance(block, Grid):
                slim.append(block)
                continue
            spare = [head for head in block.spare if head in block.heads]
            for count in range(gone.get(block.heads, 0), len(spare) + 1):
                kept = [place for place, head in enumerate(block.heads) if head not in spare[:count]]
                heads, *rows = (tuple(row[place] for place in kept) for row in (block.heads, *block.rows))
                sides = "".join(block.sides[place] for place in kept)
                gone[block.heads] = count
                if max(map(len, columns([heads, *rows], sides))) <= width:
                    break
            slim.append(Grid(heads, tuple(rows), sides))
    named: dict[str, None] = {}
    for block in blocks:
        if isinstance(block, Grid):
            named |= dict.fromkeys([head for head in block.spare if head in block.heads][: gone[block.heads]])
    note = Words(f"left out, for lines of {width} columns (--wide has them): {', '.join(named)}")
    return [*slim, *([note] if named else [])]


def plain(blocks: Sequence[Block]) -> list[str]:
    """Lines that are safe to print; words in lines of 80 columns. No word is broken, and no name cut."""
    lines, before = [], ""
    for block in blocks:
        kind = "grid" if isinstance(block, Grid) else block.kind
        if before and (kind == "title" or (before != kind and before in ("answer", "warning"))):
            lines.append("")
        before = kind
        if isinstance(block, Grid):
            lines += columns([block.heads, *block.rows], block.sides)
            continue
        text = shown(f"WARNING: {block.text}" if kind == "warning" else block.text)
        lines += textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return lines


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
