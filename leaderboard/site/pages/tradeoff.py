"""Quality against what it costs: the number of parameters, and the time for a token; a page a metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...statistics.all_pairs import beaten_by
from ..charts.scatter import Point, scatter
from ..model.board import Board, BoardRun
from ..model.standings import MetricTable, Standing
from ..page import Page
from .significance import paths_in


@dataclass(frozen=True)
class Priced:
    """A run with its cost, its score, and the run that beats it at no higher cost."""

    run: BoardRun
    row: Standing
    cost: float
    beaten_by: BoardRun | None


@dataclass(frozen=True)
class Tradeoff:
    """Quality against one cost: the drawing, its rows from cheap to dear, and the runs whose cost is not known."""

    title: str
    unit: str
    drawn: str
    rows: tuple[Priced, ...]
    unknown: tuple[BoardRun, ...]


Cost = tuple[str, str, tuple[float | None, ...]]
# A time is measured once, and another time comes out otherwise by as much; weights are counted.
_NOISE = {"Speed": 0.05}


def known_costs(board: Board) -> list[Cost]:
    """(title, unit, cost of each run) of the costs that two runs or more have."""
    size = tuple(None if run.parameters is None else float(run.parameters) for run in board.runs)
    time = tuple(None if run.speed is None else 1000 / run.speed for run in board.runs)
    price = tuple(run.cost for run in board.runs)
    costs: list[Cost] = [
        ("Size", "parameters", size),
        ("Speed", "ms a token", time),
        ("Price", "dollars for 1,000 answers", price),
    ]
    return [each for each in costs if sum(cost is not None for cost in each[2]) > 1]


def tradeoff_pages(board: Board) -> Iterator[Page]:
    """``tradeoff.html`` of the first metric, ``tradeoff/NAME.html`` of the others."""
    costs = known_costs(board)
    paths = paths_in("tradeoff", board.tables)
    for table in board.tables:
        found = [_tradeoff(board, table, *each) for each in costs]
        yield Page(
            paths[table.name],
            "tradeoff.html",
            f"Size and speed, {table.name}",
            {"table": table, "paths": paths, "tradeoffs": [each for each in found if each.rows]},
            menu="tradeoff.html",
        )


def _tradeoff(board: Board, table: MetricTable, title: str, unit: str, costs: Sequence[float | None]) -> Tradeoff:
    import numpy as np

    priced = [(row, cost) for row in table.rows if (cost := costs[row.run]) is not None]
    unknown = tuple(board.runs[row.run] for row in table.rows if costs[row.run] is None)
    if not priced:
        return Tradeoff(title, unit, "", (), unknown)
    sign = 1.0 if table.metric.higher_is_better else -1.0
    scores = sign * np.array([board.runs[row.run].columns.values[table.name] for row, _ in priced])
    clusters = board.baseline.columns.documents(board.options.by)
    beaten = [
        None if place is None else board.runs[priced[place][0].run]
        for place in beaten_by(scores, clusters, [cost for _, cost in priced], noise=_NOISE.get(title, 0.0))
    ]
    rows = [Priced(board.runs[row.run], row, cost, other) for (row, cost), other in zip(priced, beaten, strict=True)]
    rows.sort(key=lambda each: (each.cost, each.run.name))
    points = [
        Point(
            each.run.name,
            each.cost,
            each.row.entry["value"],
            each.row.entry["ci_low"],
            each.row.entry["ci_high"],
            None if each.beaten_by is None else each.beaten_by.name,
        )
        for each in rows
    ]
    heading = f"{table.name} against {unit}"
    drawn = scatter(heading, points, cost=unit, quality=table.name, higher_is_better=table.metric.higher_is_better)
    return Tradeoff(title, unit, drawn, tuple(rows), unknown)
