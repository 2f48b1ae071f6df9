"""Runs against the baseline, a page each: all metrics at once, and the items that differ most with their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ....metrics.contract import Metric
from ...compare.pairwise import Comparison
from ...statistics.paired import TIE_DECIMALS
from ..answers.word_diff import Piece, word_diff
from ..charts.forest import Difference, Panel, forest
from ..formats import LONGEST_TEXT
from ..model.board import Board, BoardRun
from ..model.items import item_path
from ..model.standings import MetricTable
from ..page import Page

# So many items are shown from each end of the order.
MOST_ITEMS = 40
_PERCENT = "Per cent of the metric's range; positive is better"


@dataclass(frozen=True)
class ItemDifference:
    """An item with both scores, their difference (positive where the run is better) and how the answers differ."""

    item: str
    path: str
    category: str | None
    question: str
    references: tuple[str, ...]
    baseline: float
    score: float
    delta: float
    answers: tuple[Piece, ...]


@dataclass(frozen=True)
class Differences:
    """The items where a run lost most and where it gained most in its first metric, and how many differ at all."""

    losses: list[ItemDifference]
    gains: list[ItemDifference]
    count: int


@dataclass(frozen=True)
class Compared:
    """A run against the baseline: (table, comparison) by metric, and those in which mean and ranks disagree."""

    run: BoardRun
    metrics: tuple[tuple[MetricTable, Comparison], ...]

    @property
    def conflicts(self) -> tuple[tuple[MetricTable, Comparison], ...]:
        """Metrics whose mean and ranks point in opposite directions."""
        return tuple(pair for pair in self.metrics if "sign_conflict" in pair[1].items.flags)

    def count(self, word: str) -> int:
        """In how many metrics the verdict begins with this word."""
        return sum(each.verdict.startswith(word) for _, each in self.metrics)


def compare_pages(board: Board) -> Iterator[Page]:
    """``compare.html``, a list, and ``compare/RUN.html`` each."""
    compared = comparisons(board)
    yield Page("compare.html", "comparisons.html", "Compare", {"compared": compared}, menu="compare.html")
    for each, found in zip(compared, board.each_of(partial(_differences, board), compared), strict=True):
        yield Page(
            f"compare/{each.run.slug}.html",
            "compare.html",
            f"{each.run.name} against {board.baseline.name}",
            {
                "compared": each,
                "ordering": each.metrics[0][0],
                "drawn": _metrics_forest(board, each),
                "differences": found,
            },
            menu="compare.html",
        )


def comparisons(board: Board) -> list[Compared]:
    """The runs that have a metric in common with the baseline."""
    return [found for run in board.runs[1:] if (found := _compared(board, run)).metrics]


def _compared(board: Board, run: BoardRun) -> Compared:
    found = []
    for table in board.tables:
        row = board.standing(table, run)
        if row is not None and row.comparison is not None:
            found.append((table, row.comparison))
    return Compared(run, tuple(found))


def _metrics_forest(board: Board, compared: Compared) -> str:
    """Bounded metrics on one axis in per cent of their range, each of the others on one of its own."""
    bounded = [(each, width) for table, each in compared.metrics if (width := _width(table.metric)) is not None]
    panels = [Panel(_PERCENT, tuple(_plotted(each, 100 / width) for each, width in bounded))]
    panels += [
        Panel(f"{table.name}, in its own unit; positive is better", (_plotted(each, 1.0),))
        for table, each in compared.metrics
        if _width(table.metric) is None
    ]
    return forest(f"{compared.run.name} against {board.baseline.name}", panels)


def _width(metric: Metric) -> float | None:
    low, high = metric.range
    return None if low is None or high is None else high - low


def _plotted(each: Comparison, unit: float) -> Difference:
    interval = each.ci_verdict
    return Difference(
        each.metric,
        each.delta * unit,
        None if interval is None else interval[0] * unit,
        None if interval is None else interval[1] * unit,
        each.claimed,
        "sign_conflict" in each.items.flags,
        f"p {each.p_verdict:.2g} after Holm",
    )


def _differences(board: Board, compared: Compared) -> Differences:
    import numpy as np

    table, run = compared.metrics[0][0], compared.run
    sign = 1.0 if table.metric.higher_is_better else -1.0
    ours, theirs = run.columns.values[table.name], board.baseline.columns.values[table.name]
    deltas = np.round(sign * (ours - theirs), TIE_DECIMALS)
    order = [place for place in np.argsort(deltas, kind="stable").tolist() if np.isfinite(deltas[place])]
    losses = [place for place in order if deltas[place] < 0]
    gains = [place for place in reversed(order) if deltas[place] > 0]
    found = []
    for places in (losses[:MOST_ITEMS], gains[:MOST_ITEMS]):
        answers = zip(run.columns.samples(places), board.baseline.columns.samples(places), strict=True)
        found.append(
            [
                ItemDifference(
                    sample["item_id"],
                    item_path(board, place),
                    sample["category"],
                    sample["question"],
                    tuple(sample["references"]),
                    float(theirs[place]),
                    float(ours[place]),
                    float(deltas[place]),
                    tuple(_answers(base["prediction"], sample["prediction"])),
                )
                for place, (sample, base) in zip(places, answers, strict=True)
            ]
        )
    return Differences(found[0], found[1], len(losses) + len(gains))


def _answers(old: str, new: str) -> Sequence[Piece]:
    return word_diff(old[:LONGEST_TEXT], new[:LONGEST_TEXT])
