"""Critical-difference diagrams: mean ranks, and bars over runs that cannot be separated; a page a metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...compare.pairwise import ALPHA
from ...compare.ranking import CAPTIONS, Ranking
from ...statistics.ranks import cliques, critical_difference, symmetric
from ..charts.rank_diagram import RankedSystem, rank_diagram
from ..model.board import Board
from ..page import Page
from .significance import paths_in, ranked_places, ranked_tables


def rank_pages(board: Board) -> Iterator[Page]:
    """``ranks.html`` of the first metric with a ranking, ``ranks/NAME.html`` of the others."""
    ranked = ranked_tables(board)
    paths = paths_in("ranks", [table for table, _ in ranked])
    for table, ranking in ranked:
        mean_ranks = ranking.friedman.mean_ranks
        order = sorted(range(len(mean_ranks)), key=lambda place: (mean_ranks[place], place))
        distance = critical_difference(len(mean_ranks), ranking.blocks, ALPHA)
        posthoc = "wilcoxon" if ranking.posthoc == "mean" else ranking.posthoc
        diagram, exceptions = _diagram(f"Mean ranks, {table.name}", ranking, order, _of_ranks(ranking))
        classic, _ = _diagram(
            f"Mean ranks by Nemenyi, {table.name}", ranking, order, _by_distance(mean_ranks, distance), distance
        )
        places = ranked_places(table)
        yield Page(
            paths[table.name],
            "ranks.html",
            f"Critical difference, {table.name}",
            {
                "table": table,
                "ranking": ranking,
                "paths": paths,
                "diagram": diagram,
                "classic": classic,
                "exceptions": [tuple(board.runs[places[place]] for place in pair) for pair in exceptions],
                "rows": [(board.runs[places[place]], place) for place in order],
                "conflicts": [tuple(board.runs[places[place]] for place in pair) for pair in ranking.conflicts],
                "test": CAPTIONS[posthoc],
                "ranked": CAPTIONS[ranking.posthoc],
                "nemenyi": CAPTIONS["nemenyi"],
            },
            menu="ranks.html",
        )


def _by_distance(ranks: Sequence[float], distance: float) -> list[list[float]]:
    """Nemenyi's test as a diagram needs it: 0 where two mean ranks lie farther apart than the distance, or else 1."""
    return [[0.0 if abs(one - other) > distance else 1.0 for other in ranks] for one in ranks]


def _of_ranks(ranking: Ranking) -> Sequence[Sequence[float]]:
    """Corrected p-values of all pairs by a test of ranks: an axis of ranks says nothing of means."""
    if ranking.posthoc != "mean":
        return ranking.p
    untested = set(ranking.untested)
    pairs = {(pair.first, pair.second): pair.p_wilcoxon_adjusted for pair in ranking.pairs}
    return symmetric(len(ranking.names), {pair: 1.0 if pair in untested else p for pair, p in pairs.items()})


def _diagram(
    title: str,
    ranking: Ranking,
    order: Sequence[int],
    p: Sequence[Sequence[float]],
    distance: float | None = None,
) -> tuple[str, list[tuple[int, int]]]:
    """The diagram, with bars over neighbours by mean rank, and the pairs that are not separated and not drawn."""
    ranks = ranking.friedman.mean_ranks
    # Runs of equal mean rank have no better one, whatever a test of their means says.
    differs = [[p[i][j] <= ALPHA and ranks[i] != ranks[j] for j in range(len(ranks))] for i in range(len(ranks))]
    bars, hidden = cliques(order, differs)
    place = {run: position for position, run in enumerate(order)}
    systems = [RankedSystem(ranking.names[run], ranks[run]) for run in order]
    drawn = rank_diagram(
        title,
        systems,
        [[place[run] for run in bar] for bar in bars],
        [(place[one], place[other]) for one, other in hidden],
        critical_difference=distance,
    )
    return drawn, hidden
