"""The course of each metric against the anchor: runs of several dates, and what the gate said of one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ...publish.history import Check, Reading
from ..charts.drawing import interval_text, signed
from ..charts.timeline import Moment, timeline
from ..model.board import Board, BoardRun
from ..model.standings import MetricTable, Standing
from ..page import Page
from .significance import paths_in

# More checks than this are too narrow to be told apart in a drawing.
DRAWN = 60
NO_DATE = "no date"


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


@dataclass(frozen=True)
class Dated:
    """A run of the board on its day, with its row of the table and what the gate said of it, if it was asked."""

    run: BoardRun
    day: str
    row: Standing
    gate: str


@dataclass(frozen=True)
class Course:
    """A metric from day to day: its drawing, its runs newest first, and how many are too old to be drawn."""

    table: MetricTable
    drawn: str
    rows: tuple[Dated, ...]
    left_out: int


def several_dates(board: Board) -> bool:
    """Were the runs made on more than one day?"""
    return len({day for run in board.runs if (day := _made(run)) != NO_DATE}) > 1


def history_count(board: Board) -> int:
    """How many pages `history_pages` gives."""
    return len(board.tables) if several_dates(board) else 1


def history_pages(board: Board) -> Iterator[Page]:
    """``history.html`` with the first metric and the gate's checks, ``history/NAME.html`` of the other metrics."""
    names = dict.fromkeys(check.data for check in board.history)
    pasts = [_past(name, [check for check in board.history if check.data == name]) for name in names]
    courses = [_course(board, table) for table in board.tables] if several_dates(board) else []
    paths = paths_in("history", [each.table for each in courses])
    first = courses[0] if courses else None
    context = {"pasts": pasts, "course": first, "paths": paths}
    yield Page("history.html", "history.html", "History", context, menu="history.html")
    for each in courses[1:]:
        context = {"pasts": [], "course": each, "paths": paths}
        name = each.table.name
        yield Page(paths[name], "history.html", f"History, {name}", context, menu="history.html")


def _course(board: Board, table: MetricTable) -> Course:
    """Runs by day and name; a line joins them only where every day has one, else it would join what is unrelated."""
    said = _said_by_gate(board.history, table.name)
    dated = [
        Dated(run, _made(run), row, said.get(str(run.header["run_id"]), ""))
        for row in table.rows
        if (run := board.runs[row.run]) and (row.run == 0 or row.comparison is not None)
    ]
    dated.sort(key=lambda each: (each.day == NO_DATE, each.day, each.run.name))
    late = dated[-DRAWN:]
    anchor = f"{board.baseline.name} {board.baseline.header['run_id'][:8]}"
    moments = [_moment(each, anchor, board.options.margins.get(table.name)) for each in late]
    one_a_day = len({each.day for each in late}) == len(late)
    drawn = timeline(f"{table.name}, run by run against {board.baseline.name}", moments, joined=one_a_day)
    return Course(table, drawn, tuple(reversed(dated)), len(dated) - len(late))


def _moment(each: Dated, anchor: str, allowed: float | None) -> Moment:
    compared = each.row.comparison
    if compared is None:
        return Moment(each.run.name, each.day, anchor, "anchor", 0.0, None, None, None)
    low, high = compared.ci_verdict or (None, None)
    verdict = compared.verdict.partition(",")[0].partition(" ")[0]
    own = verdict if verdict in ("better", "worse") else "no difference shown"
    told = f"{own}, gate: {each.gate}" if each.gate else own
    return Moment(each.run.name, each.day, anchor, told, compared.delta, low, high, allowed)


def _said_by_gate(history: Sequence[Check], metric: str) -> Mapping[str, str]:
    """The last verdict on a metric as a whole, by the id of the candidate's run."""
    return {
        check.candidate_id: _short(each.verdict)
        for check in history
        for each in check.readings
        if each.metric == metric and each.category is None
    }


def _made(run: BoardRun) -> str:
    """The day on which the run began, if its header tells."""
    try:
        return date.fromisoformat(str(run.header.get("created"))[:10]).isoformat()
    except ValueError:
        return NO_DATE


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
    return (check.date or NO_DATE)[:10]
