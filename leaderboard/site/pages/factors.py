"""A study's factors: what each of them does, what it does at each level of another one; a page a metric."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from telbench.errors import InputError

from ...compare.pairwise import ALPHA
from ...compare.seeds import SEED, is_anchor, study_of_values, varying, without_seed
from ...statistics.factorial import Effect, Study
from ..charts.forest import Difference, Panel, forest
from ..charts.interaction import Series, interaction_plot
from ..charts.seeds import RecipeSeeds, seed_spread
from ..model.board import Board, BoardRun
from ..model.standings import MetricTable
from ..page import Page
from .significance import paths_in


def factor_pages(board: Board) -> Iterator[Page]:
    """``factors.html`` of the first metric, ``factors/NAME.html`` of the others."""
    paths = paths_in("factors", board.tables)
    found = board.each_of(partial(_context, board), board.tables)
    for table, context in zip(board.tables, found, strict=True):
        yield Page(
            paths[table.name],
            "factors.html",
            f"Factors, {table.name}",
            {"table": table, "paths": paths, "entry": table.rows[0].entry, **context},
            menu="factors.html",
        )


def _context(board: Board, table: MetricTable) -> dict[str, Any]:
    """What the template is given beside the table: the study or why there is none, and the drawings."""
    cells = [run for run in _ranked_runs(board, table) if not is_anchor(run.factors)]
    names = set(varying([run.factors for run in cells]))
    runs = [run for run in cells if names <= set(run.factors)]
    study, reason = _study(board, table, runs)
    return {
        "study": study,
        "reason": reason,
        "left": len(table.rows) - len(runs),
        "effects_drawn": "" if study is None else _effects_forest(study, table),
        "plots": [] if study is None else _plots(table, runs, study),
        "seeds": _recipes_drawn(table, runs),
    }


def _ranked_runs(board: Board, table: MetricTable) -> list[BoardRun]:
    return [board.runs[row.run] for row in sorted(table.rows, key=lambda row: row.run)]


def _study(board: Board, table: MetricTable, runs: Sequence[BoardRun]) -> tuple[Study | None, str]:
    if len(runs) < 2:
        return None, "fewer than two runs have all factors"
    values = [run.columns.values[table.name] for run in runs]
    clusters = board.baseline.columns.documents(board.options.by)
    levels = [run.header.get("factors", {}) for run in runs]
    names = list(varying([run.factors for run in runs]))
    try:
        higher = table.metric.higher_is_better
        # The page shows no median of effects, nor an interval that is not corrected.
        study = study_of_values(levels, values, clusters, names, higher_is_better=higher, estimates=False)
        return study, ""
    except InputError as error:
        return None, str(error)


def _effects_forest(study: Study, table: MetricTable) -> str:
    """Main effects, interactions and simple effects; one panel each, the same unit."""
    named = (("Main effects", study.main), ("Interactions", study.interactions), ("Simple effects", study.simple))
    panels = [Panel(title, tuple(map(_plotted, effects))) for title, effects in named if effects]
    return forest(f"Effects on {table.name}", panels)


def _plotted(effect: Effect) -> Difference:
    low, high = effect.ci_adjusted or (None, None)
    return Difference(
        effect.contrast,
        effect.items.delta,
        low,
        high,
        effect.p_adjusted <= ALPHA,
        "sign_conflict" in effect.items.flags,
        f"p {effect.p_adjusted:.2g} after Holm",
    )


def _plots(table: MetricTable, runs: Sequence[BoardRun], study: Study) -> list[str]:
    """A plot of each pair of factors with a significant interaction, where all their combinations are alike."""
    found = []
    depending = dict.fromkeys(effect.factors[:2] for effect in study.interactions if effect.p_adjusted <= ALPHA)
    for one, other in depending:
        means = _means(table, runs, list(study.factors), one, other)
        if means is None:
            continue
        across = study.factors[one]
        lines = [Series(level, tuple(means[first, level] for first in across)) for level in study.factors[other]]
        title = f"{table.name} by {one} (across) and {other} (lines)"
        found.append(interaction_plot(title, across, lines, unit=f"{table.name}; lines: {other}"))
    return found


def _means(
    table: MetricTable, runs: Sequence[BoardRun], names: Sequence[str], one: str, other: str
) -> dict[tuple[str, str], float] | None:
    """Mean by level of both factors, seeds averaged first; None unless all combinations hold the same other levels."""
    rest = [name for name in names if name not in (one, other)]
    cells: dict[tuple[str, str], dict[tuple[str, ...], list[float]]] = {}
    for run in runs:
        key = tuple(run.factors[name] for name in rest)
        cells.setdefault((run.factors[one], run.factors[other]), {}).setdefault(key, []).append(_item_mean(table, run))
    wanted = itertools.product({first for first, _ in cells}, {second for _, second in cells})
    if len({frozenset(cells.get(pair, {})) for pair in wanted}) > 1:
        return None
    return {pair: _average([_average(values) for values in held.values()]) for pair, held in cells.items()}


def _item_mean(table: MetricTable, run: BoardRun) -> float:
    """Mean of item values: what the study's effects are differences of."""
    import numpy as np

    column = run.columns.values[table.name]
    return _average(column[np.isfinite(column)].tolist())


def _average(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _recipes_drawn(table: MetricTable, runs: Sequence[BoardRun]) -> str:
    """The spread of recipes that have several seeds; empty where none has."""
    recipes: dict[str, list[tuple[str, float]]] = {}
    for run in runs:
        label = ", ".join(f"{name} {level}" for name, level in without_seed(run.factors).items())
        value = run.header["metrics"][table.name]["value"]
        recipes.setdefault(label, []).append((run.factors.get(SEED, "0"), value))
    repeated = [RecipeSeeds(label, tuple(sorted(seeds))) for label, seeds in recipes.items() if len(seeds) > 1]
    return seed_spread(f"Seeds, {table.name}", repeated) if repeated else ""
