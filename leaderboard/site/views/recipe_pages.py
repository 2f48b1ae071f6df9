"""Recipes in place of their seeds: a page for each metric, and one for each recipe with all its seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ....harness.cli.tables import difference_text
from ...compare.seeds import SeedEffect
from ..charts.forest import IntervalRow, interval_axis, interval_cell
from ..formats import p_text
from ..model.board import Board, BoardRun
from ..model.composite import OVERALL
from ..model.data_files import metric_path, table_path
from ..model.headline import headline
from ..model.standings import MetricTable, Standing
from ..page import Page
from ..terms import FAMILIES


@dataclass(frozen=True)
class SeedValue:
    """One training of a recipe, and its score in a metric; None where it is not ranked there."""

    seed: str
    run: BoardRun
    row: Standing | None


@dataclass(frozen=True)
class Spread:
    """The trainings of a recipe in a metric, with the lowest and the highest score where there are several."""

    seeds: tuple[SeedValue, ...]
    low: float | None
    high: float | None


def recipes_path(board: Board) -> str:
    """The first page of the recipes."""
    return "recipes.html" if board.recipes is None else board.recipes.home


def recipe_count(board: Board) -> int:
    """How many pages `recipe_pages` gives."""
    return 0 if board.recipes is None else len(_pages_of_tables(board.recipes)) + len(board.recipes.runs)


def recipe_pages(board: Board) -> Iterator[Page]:
    """The first page of the recipes, ``recipes/metrics/NAME.html`` and ``recipes/runs/SLUG.html``."""
    recipes = board.recipes
    if recipes is None:
        return
    singles = [table for table in recipes.tables if table.name != OVERALL]
    shared = {
        "board": recipes,
        "trainings": board,
        "singles": singles,
        "paths": {table.name: metric_path(table, recipes.prefix) for table in singles},
        "families": FAMILIES,
        "own": {table.metric.family for table in singles},
        "tested": any(each.effect.p is not None for each in recipes.over_seeds.values()),
    }
    spreads = {table.name: [spread(board, run, table.name) for run in recipes.runs] for table in recipes.tables}
    over = {key: over_seeds(each, recipes) for key, each in recipes.over_seeds.items()}
    cells = {table.name: _cells(table, spreads[table.name]) for table in recipes.tables}
    for path, table in _pages_of_tables(recipes):
        first = path == recipes.home
        yield Page(
            path,
            "recipes.html",
            board.options.title if path == "index.html" else "Recipes" if first else f"Recipes: {table.name}",
            {
                **shared,
                "table": table,
                "cells": cells[table.name],
                "claims": headline(recipes) if first else [],
                "spreads": spreads[table.name],
                "over": over,
            },
            menu=recipes.home,
        )
    for place, run in enumerate(recipes.runs):
        rows = [
            (table, recipes.standing(table, run), spreads[table.name][place], over.get((table.name, run.name)))
            for table in recipes.tables
        ]
        context = {**shared, "run": run, "rows": rows, "seeds": list(run.seeds), "links": _links(recipes)}
        yield Page(f"{recipes.prefix}runs/{run.slug}.html", "recipe.html", f"Recipe {run.name}", context, recipes.home)


def _links(recipes: Board) -> dict[str, str]:
    return {table.name: table_path(recipes, table) for table in recipes.tables}


def _pages_of_tables(recipes: Board) -> list[tuple[str, MetricTable]]:
    """Paths with their tables: the first table has the first page, and each metric one of its own."""
    singles = [table for table in recipes.tables if table.name != OVERALL]
    return [(recipes.home, recipes.tables[0]), *((metric_path(table, recipes.prefix), table) for table in singles)]


def spread(board: Board, recipe: BoardRun, name: str) -> Spread:
    """The trainings of a recipe in a metric of the board of single runs."""
    table = next((table for table in board.tables if table.name == name), None)
    seeds = tuple(
        SeedValue(seed, board.runs[place], None if table is None else board.standing(table, board.runs[place]))
        for seed, place in recipe.seeds.items()
    )
    known = [float(each.row.entry["value"]) for each in seeds if each.row is not None]
    several = len(recipe.seeds) > 1 and known
    return Spread(seeds, min(known) if several else None, max(known) if several else None)


def over_seeds(each: SeedEffect, recipes: Board) -> str:
    """What the seeds say of a recipe as such, as ``telbench compare --average-seeds`` writes it."""
    metric = recipes.table(each.metric).metric
    effect = each.effect
    if effect.p is None or effect.effect is None:
        return effect.reason or "nothing can be said"
    ends = None if effect.ci_low is None or effect.ci_high is None else (effect.ci_low, effect.ci_high)
    # As rows have it, + is better.
    shown = difference_text(effect.effect, ends, metric.range[1]).replace("-", "−")
    return f"{shown}, {p_text(1.0 if each.p_adjusted is None else each.p_adjusted)}, {effect.seeds} seeds"


def _cells(table: MetricTable, spreads: list[Spread]) -> list[str]:
    """The interval of each row with its seeds as small marks, all on one axis."""
    rows = [IntervalRow("", row.entry["value"], row.entry["ci_low"], row.entry["ci_high"]) for row in table.rows]
    marks = [
        [float(each.row.entry["value"]) for each in own if each.row is not None] if len(own) > 1 else []
        for own in (spreads[row.run].seeds for row in table.rows)
    ]
    axis = interval_axis([*rows, *(IntervalRow("", value, None, None) for own in marks for value in own)])
    baseline = next((row.entry["value"] for row in table.rows if row.run == 0), None)
    return [interval_cell(axis, row, baseline=baseline, marks=own) for row, own in zip(rows, marks, strict=True)]
