"""The badge and the preview of a board, from its headline and its first table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..formats import score, text
from ..model.board import Board
from ..model.composite import OVERALL
from ..model.headline import Claim, headline
from .badge import badge
from .preview import Bar, as_png, as_svg, card

BADGE, PREVIEW, IMAGE = "badge.svg", "preview.svg", "preview.png"
_BETTER, _WORSE, _OPEN = "#0b6b3a", "#a8321c", "#57606a"


def card_files(board: Board) -> Iterator[tuple[str, bytes]]:
    """``badge.svg`` and ``preview.svg``; where the board's address is told also ``preview.png``, which links show."""
    table = board.tables[0]
    better, worse = (
        sum(row.comparison is not None and row.comparison.verdict.startswith(word) for row in table.rows)
        for word in ("better", "worse")
    )
    best = table.rows[0]
    shown = f"{'overall' if table.name == OVERALL else table.name} {score(best.entry['value'], best.entry)}"
    message = shown if len(board.runs) == 1 else f"{better} better, {worse} worse than {board.baseline.short}"
    colour = _BETTER if better else _WORSE if worse else _OPEN
    yield BADGE, badge(text(board.options.title, 40), text(message, 60), colour).encode()
    bars = [
        Bar(
            text(board.runs[row.run].short, 80),
            score(row.entry["value"], row.entry),
            *(row.entry[end] for end in ("value", "ci_low", "ci_high")),
        )
        for row in table.rows
    ]
    title = text(board.options.title, 120)
    shapes = card(title, [_sentence(board, claim) for claim in headline(board)], bars, _foot(board))
    yield PREVIEW, as_svg(title, shapes).encode()
    if board.options.url is not None:
        yield IMAGE, as_png(shapes)


def described(board: Board) -> dict[str, Any]:
    """What a link to the board says: a title, a sentence, and where the picture is, if the address is known."""
    url = board.options.url
    told = {"title": board.options.title, "sentence": _sentence(board, headline(board)[0]), "url": url, "image": None}
    return told if url is None else {**told, "image": f"{url.rstrip('/')}/{IMAGE}"}


def described_sets(title: str, count: int) -> dict[str, Any]:
    """What a link to the page over several data sets says; each of their boards has a picture of its own."""
    return {"title": title, "sentence": f"Models compared on {count} data sets.", "url": None, "image": None}


def _sentence(board: Board, claim: Claim) -> str:
    names = [board.runs[place].short for place in claim.runs]
    who = ", ".join(names) + (
        f" and {claim.more} more" if claim.more and names else f"{claim.more}" if claim.more else ""
    )
    return text(f"{who} {claim.said}.".strip(), 300)


def _foot(board: Board) -> str:
    data = board.baseline.header["data"]
    return text(f"{len(board.runs)} runs on {data['name']} {data['split']}, {data['n']:,} questions · telbench", 160)
