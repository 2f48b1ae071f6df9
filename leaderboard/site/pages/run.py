"""The list of runs, and a page for each: what it is, how it did in every metric and category, what it got wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...compare.seeds import SEED, without_seed
from ..charts.heat_map import Column, HeatCell, heat_map
from ..charts.seeds import RecipeSeeds, seed_spread
from ..model.board import Board, BoardRun
from ..model.columns import ANSWERS, RIGHT
from ..model.data_files import table_path
from ..model.standings import MetricTable, Standing
from ..page import Page
from .compare import comparisons
from .index import interval_cells

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Categories in a heat map; the most frequent are kept.
MOST_CATEGORIES = 30
# Recipes whose seeds are drawn, this run's own first.
MOST_RECIPES = 12


@dataclass(frozen=True)
class InMetric:
    """A run in one metric: its row of the table, None where it is not ranked there, and its interval as a drawing."""

    table: MetricTable
    path: str
    row: Standing | None
    drawn: str


@dataclass(frozen=True)
class KindCount:
    """How many answers are of a kind, and how many of the baseline's."""

    kind: str
    count: int
    baseline: int


@dataclass(frozen=True)
class ByCategory:
    """Means by table, run and category."""

    categories: tuple[str, ...]
    means: Mapping[str, Mapping[int, tuple[HeatCell, ...]]]


def run_pages(board: Board) -> Iterator[Page]:
    """``runs.html`` and ``runs/SLUG.html`` each."""
    kinds = [name for name in ANSWERS if any(name in run.columns.error_kinds for run in board.runs)]
    yield Page("runs.html", "runs.html", "Runs", {"kinds": kinds, "right": RIGHT}, menu="runs.html")
    compared = {each.run.slug for each in comparisons(board)}
    cells = {table.name: interval_cells(table) for table in board.tables}
    by_category = _by_category(board)
    for run in board.runs:
        context = {
            "run": run,
            "metrics": [_in_metric(board, table, run, cells[table.name]) for table in board.tables],
            "calibrations": _calibrations(board, run),
            "heat": _heat_map(board, run, by_category),
            "seeds": _own_seeds_drawn(board, run),
            "kinds": [
                KindCount(name, run.columns.error_kinds.get(name, 0), board.baseline.columns.error_kinds.get(name, 0))
                for name in kinds
            ],
            "compare": f"compare/{run.slug}.html" if run.slug in compared else None,
        }
        yield Page(f"runs/{run.slug}.html", "run.html", run.name, context, menu="runs.html")


def _in_metric(board: Board, table: MetricTable, run: BoardRun, cells: list[str]) -> InMetric:
    row = board.standing(table, run)
    path = table_path(board, table)
    return InMetric(table, path, row, "" if row is None else cells[table.rows.index(row)])


def _calibrations(board: Board, run: BoardRun) -> list[tuple[str, dict[str, object]]]:
    """Calibrations by metric, where the run has them."""
    entries = [(table.name, run.header["metrics"].get(table.name) or {}) for table in board.tables]
    return [(name, entry["calibration"]) for name, entry in entries if entry.get("calibration")]


def _by_category(board: Board) -> ByCategory | None:
    """Means of item values of every run by category, in every table; None where there are no categories."""
    import numpy as np

    counts = Counter(category for category in board.baseline.columns.categories if category is not None)
    if len(counts) < 2:
        return None
    shown = sorted(name for name, _ in counts.most_common(MOST_CATEGORIES))
    categories = np.array(board.baseline.columns.categories, dtype=object)
    members = [np.flatnonzero(categories == name) for name in shown]
    means = {
        table.name: {
            row.run: tuple(_mean_cell(board.runs[row.run].columns.values[table.name][places]) for places in members)
            for row in table.rows
        }
        for table in board.tables
    }
    return ByCategory(tuple(shown), means)


def _heat_map(board: Board, run: BoardRun, found: ByCategory | None) -> str | None:
    """The run's means by category, shaded from the worst to the best of all runs and held against the baseline's."""
    if found is None:
        return None
    place = next(place for place, each in enumerate(board.runs) if each is run)
    columns = []
    for table in board.tables:
        cells = found.means[table.name]
        if place not in cells:
            continue
        known = [cell.value for row in cells.values() for cell in row if cell.value is not None]
        base = cells.get(0) if place else None
        own = [
            replace(cell, baseline=None if base is None else base[row].value) for row, cell in enumerate(cells[place])
        ]
        ends = (min(known), max(known)) if known else None
        columns.append(Column(table.name, tuple(own), table.metric.higher_is_better, ends))
    return heat_map(f"{run.name}: mean score by category", found.categories, columns) if columns else None


def _mean_cell(values: NDArray[np.float64]) -> HeatCell:
    import numpy as np

    known = values[np.isfinite(values)]
    return HeatCell(float(known.mean()) if len(known) else None, len(known))


def _own_seeds_drawn(board: Board, run: BoardRun) -> str | None:
    """The values of this recipe's seeds in the first table, and of the other recipes; None with one seed each."""
    table = board.tables[0]
    recipes: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for row in table.rows:
        seed = board.runs[row.run].factors.get(SEED)
        if seed is not None:
            recipes.setdefault(_recipe_key(board.runs[row.run]), {})[seed] = row.entry["value"]
    own = _recipe_key(run)
    if len(recipes.get(own, {})) < 2:
        return None
    order = sorted(recipes, key=lambda key: (key != own, key))[:MOST_RECIPES]
    drawn = [
        RecipeSeeds(
            ", ".join(f"{name} {level}" for name, level in key if name in board.factors) or "this recipe",
            tuple(sorted(recipes[key].items())),
        )
        for key in order
    ]
    return seed_spread(f"{table.name}: the same recipe trained with other seeds", drawn)


def _recipe_key(run: BoardRun) -> tuple[tuple[str, str], ...]:
    """All that was set but for the seed."""
    return tuple(without_seed(run.factors).items())
