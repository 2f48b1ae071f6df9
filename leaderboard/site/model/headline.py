"""What a reader with ten seconds should know: which runs are better or worse than the baseline, in sentences.

The claims are the verdicts of the first table, corrected over all runs. So no sentence says what a row does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ....harness.cli.tables import difference_text, number
from ...compare.pairwise import FEW_DOCUMENTS, SHORT, Comparison
from .composite import OVERALL

if TYPE_CHECKING:
    from .board import Board

# So many runs of one kind are named; the rest are counted.
_NAMED = 3


@dataclass(frozen=True)
class Claim:
    """A sentence: ``runs`` (places on the board) are named, ``more`` are counted, then ``said`` follows."""

    kind: Literal["better", "worse", "open"]
    runs: tuple[int, ...]
    more: int
    said: str


def headline(board: Board) -> list[Claim]:
    """The sentences on the first table, better runs first; the last one says what these items could not show."""
    table = board.tables[0]
    rows = [(row.run, row.comparison) for row in table.rows if row.comparison is not None]
    rows += [(each.run, each.comparison) for each in table.partly]
    baseline = board.standing(table, board.baseline)
    if baseline is None:
        return [Claim("open", (0,), 0, f"is the baseline and has no score in {table.name}: nothing is held against it")]
    what = "the overall score" if table.name == OVERALL else table.name
    if not rows:
        entry, high = baseline.entry, table.metric.range[1]
        ends = [None if entry.get(end) is None else number(entry[end], high) for end in ("ci_low", "ci_high")]
        sure = "" if None in ends else f" (95 % {ends[0]} to {ends[1]})".replace("-", "−")
        right = "" if board.baseline.right is None else f", {100 * board.baseline.right:.0f} % of its answers are right"
        told = f"has {number(entry['value'], high)}{sure} on {what}{right}. One run alone: nothing to compare"
        return [Claim("open", (0,), 0, told)]
    groups: dict[str, list[tuple[int, Comparison]]] = {"better": [], "not shown": [], "worse": [], "too few": []}
    for place, each in rows:
        group = SHORT[each.verdict]
        groups["not shown" if group == "identical" else group].append((place, each))
    told = f"is better than {board.baseline.short} on {what}", "is better, too"
    claims = [
        Claim("better", (place,), 0, f"{told[order > 0]} {_shown(board, each)}")
        for order, (place, each) in enumerate(_by_size(groups["better"])[:_NAMED])
    ]
    if (rest := len(groups["better"]) - _NAMED) > 0:
        claims.append(Claim("better", (), rest, f"{_are(rest)} better, too"))
    if not claims:
        claims.append(Claim("open", (), 0, f"No run is shown to be better than {board.baseline.short} on {what}"))
    open_, worse = groups["not shown"], groups["worse"]
    claims += _counted("open", open_, f"{_are(len(open_))} not told apart from it")
    claims += _counted("worse", worse, f"{_are(len(worse))} worse than it")
    for reason in dict.fromkeys(each.verdict for _, each in groups["too few"]):
        few = [(place, each) for place, each in groups["too few"] if each.verdict == reason]
        # Documents are the same for all rows, items that differ are not.
        why = few[0][1].told if reason == FEW_DOCUMENTS else reason
        claims += _counted("open", few, f"cannot be told from it: {why}")
    if table.detectable is not None:
        least = number(table.detectable, table.metric.range[1])
        unseen = f"With these {table.n:,} questions, differences under {least} cannot be seen"
        claims.append(Claim("open", (), 0, unseen))
    return claims


def _by_size(rows: Sequence[tuple[int, Comparison]]) -> list[tuple[int, Comparison]]:
    return sorted(rows, key=lambda row: -row[1].delta)


def _counted(kind: Literal["worse", "open"], rows: Sequence[tuple[int, Comparison]], said: str) -> list[Claim]:
    """One sentence on all these runs, the largest differences named."""
    if not rows:
        return []
    named = tuple(place for place, _ in _by_size(rows))
    if kind == "worse":
        named = named[::-1]
    return [Claim(kind, named[:_NAMED], max(0, len(named) - _NAMED), said)]


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _shown(board: Board, each: Comparison) -> str:
    """The difference with the interval that decided."""
    return f"({difference_text(each.delta, each.ci_verdict, board.tables[0].metric.range[1]).replace('-', '−')})"
