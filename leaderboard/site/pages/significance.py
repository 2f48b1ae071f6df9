"""Who is separated from whom: the matrix of all pairs, a page a metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...compare.pairwise import ALPHA
from ...compare.ranking import CAPTIONS, Ranking
from ..charts.matrix import Pair, significance_matrix
from ..model.board import Board, BoardRun, slug
from ..model.standings import MetricTable
from ..page import Page


@dataclass(frozen=True)
class Separated:
    """A run with the numbers, in the matrix, of those that it is better than, worse than and not separated from."""

    run: BoardRun
    better: str
    worse: str
    open: str


def significance_pages(board: Board) -> Iterator[Page]:
    """``significance.html`` of the first metric with a ranking, ``significance/NAME.html`` of the others."""
    ranked = ranked_tables(board)
    paths = paths_in("significance", [table for table, _ in ranked])
    for table, ranking in ranked:
        pairs, order = pairs_of(table, ranking)
        runs = [board.runs[ranked_places(table)[place]] for place in order]
        drawn = significance_matrix(f"Significance matrix, {table.name}", [run.name for run in runs], pairs)
        rows = [
            Separated(
                run,
                *(
                    spans([place for place, pair in enumerate(row, 1) if pair is not None and pair.outcome == outcome])
                    for outcome in ("better", "worse", "open")
                ),
            )
            for run, row in zip(runs, pairs, strict=True)
        ]
        yield Page(
            paths[table.name],
            "significance.html",
            f"Significance, {table.name}",
            {"table": table, "paths": paths, "drawn": drawn, "rows": rows, "test": CAPTIONS[ranking.posthoc]},
            menu="significance.html",
        )


def ranked_tables(board: Board) -> list[tuple[MetricTable, Ranking]]:
    """The metrics in which three runs or more are ranked."""
    return [(table, table.ranking) for table in board.tables if table.ranking is not None]


def paths_in(folder: str, tables: Sequence[MetricTable]) -> dict[str, str]:
    """Path by metric: the first has the page of the menu, the others are in a folder of the same name."""
    return {
        table.name: f"{folder}/{slug(table.name, table.signature)}.html" if place else f"{folder}.html"
        for place, table in enumerate(tables)
    }


def spans(numbers: Sequence[int]) -> str:
    """Rising numbers in short.

    >>> spans([1, 2, 3, 5, 7, 8]), spans([])
    ('1–3, 5, 7–8', '')
    """
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][-1] == number - 1:
            found[-1] = [found[-1][0], number]
        else:
            found.append([number])
    return ", ".join("–".join(map(str, ends)) for ends in found)


def ranked_places(table: MetricTable) -> list[int]:
    """The places on the board of the runs of a table's ranking, in its order."""
    return sorted(row.run for row in table.rows)


def pairs_of(table: MetricTable, ranking: Ranking) -> tuple[list[list[Pair | None]], list[int]]:
    """Every pair of a ranking, and the order of its rows and columns: best first, by mean or by mean rank as tested."""
    sign = 1.0 if table.metric.higher_is_better else -1.0
    means = [sign * mean for mean in ranking.means]
    standing = means if ranking.posthoc == "mean" else [-rank for rank in ranking.friedman.mean_ranks]
    order = sorted(range(len(standing)), key=lambda place: (-standing[place], place))
    pairs: list[list[Pair | None]] = []
    for one in order:
        row: list[Pair | None] = []
        for other in order:
            p = ranking.p[one][other]
            better = "better" if standing[one] > standing[other] else "worse"
            outcome = better if p <= ALPHA and standing[one] != standing[other] else "open"
            row.append(None if one == other else Pair(outcome, means[one] - means[other], p))
        pairs.append(row)
    return pairs, order
