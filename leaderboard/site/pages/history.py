"""What the gate said of one candidate after another, by data set and primary metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...publish.history import Check, Reading
from ..charts.drawing import interval_text, signed
from ..charts.timeline import Moment, timeline
from ..model.board import Board
from ..page import Page

# More checks than this are too narrow to be told apart in a drawing.
DRAWN = 60


@dataclass(frozen=True)
class Past:
    """The checks of one data set: drawings of its primary metrics by name, and how many are too old for them."""

    data: str
    drawn: tuple[tuple[str, str], ...]
    left_out: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Row:
    """A check in words, with its metrics that were primary or did not pass."""

    check: Check
    date: str
    told: tuple[str, ...]


def history_pages(board: Board) -> Iterator[Page]:
    """``history.html``."""
    names = dict.fromkeys(check.data for check in board.history)
    pasts = [_past(name, [check for check in board.history if check.data == name]) for name in names]
    yield Page("history.html", "history.html", "History of the gate", {"pasts": pasts}, menu="history.html")


def _past(name: str, checks: Sequence[Check]) -> Past:
    metrics = dict.fromkeys(each.metric for check in checks for each in check.readings if each.role == "primary")
    late = checks[-DRAWN:]
    drawn = [(metric, timeline(f"{metric} of {name}, check by check", _moments(metric, late))) for metric in metrics]
    return Past(name, tuple(drawn), len(checks) - len(late), tuple(map(_row, reversed(checks))))


def _moments(metric: str, checks: Sequence[Check]) -> list[Moment]:
    return [
        Moment(
            check.candidate,
            _day(check),
            f"{check.baseline} {check.baseline_id[:8]}",
            _short(each.verdict),
            each.delta,
            each.lower,
            each.upper,
            each.allowed,
        )
        for check in checks
        for each in check.readings
        if each.metric == metric and each.role == "primary"
    ]


def _row(check: Check) -> Row:
    told = [each for each in check.readings if each.role == "primary" or _short(each.verdict) != "pass"]
    return Row(check, _day(check), tuple(map(_told, told)))


def _told(each: Reading) -> str:
    name = each.metric if each.category is None else f"{each.metric} in {each.category}"
    return f"{name} {signed(each.delta)} {interval_text(each.lower, each.upper)}, {_short(each.verdict)}"


def _short(verdict: str) -> str:
    """The verdict on a metric in the words of a gate's."""
    return "fail" if verdict.startswith("FAIL") else "pass" if verdict.startswith("PASS") else "inconclusive"


def _day(check: Check) -> str:
    return (check.date or "no date")[:10]
