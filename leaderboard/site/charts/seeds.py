"""Seed spread: what training the same recipe again gives, a dot a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import LINE, ROW, axis_lines, axis_of, dot, fluid, group, line, number, plain, text

_FOOT = 22


@dataclass(frozen=True)
class RecipeSeeds:
    """A recipe with a value for each of its seeds, named."""

    label: str
    seeds: tuple[tuple[str, float], ...]


def seed_spread(title: str, recipes: Sequence[RecipeSeeds]) -> str:
    """A row a recipe: dots for seeds, a stroke at their mean, the range in words."""
    axis = axis_of(value for recipe in recipes for _, value in recipe.seeds)
    bottom = ROW * len(recipes)
    parts = axis_lines(axis, 0, bottom)
    for place, recipe in enumerate(recipes):
        y = ROW * place + LINE + 6
        drawn = [
            text("0", y - 10, plain(recipe.label), "halo"),
            text("100%", y - 10, _range(recipe), "halo value", anchor="end"),
        ]
        if recipe.seeds:
            mean = _seed_mean(recipe)
            drawn.append(line(axis.at(mean), y - 7, axis.at(mean), y + 7, "whisker"))
        drawn += [dot(axis.at(value), y, "faint") for _, value in recipe.seeds]
        parts.append(group(_described(recipe), drawn, name=recipe.label))
    return fluid(title, "; ".join(map(_described, recipes)), bottom + _FOOT, parts)


def _seed_mean(recipe: RecipeSeeds) -> float:
    return sum(value for _, value in recipe.seeds) / len(recipe.seeds)


def _range(recipe: RecipeSeeds) -> str:
    values = [value for _, value in recipe.seeds]
    if not values:
        return "no seed"
    count = f"{len(values)} seed{'' if len(values) == 1 else 's'}"
    return (
        f"{number(min(values))} to {number(max(values))}, {count}"
        if len(values) > 1
        else f"{number(values[0])}, {count}"
    )


def _described(recipe: RecipeSeeds) -> str:
    if not recipe.seeds:
        return f"{plain(recipe.label, 80)}: no seed"
    each = ", ".join(f"seed {plain(name)} {number(value)}" for name, value in recipe.seeds)
    return f"{plain(recipe.label, 80)}: mean {number(_seed_mean(recipe))} ({each})"
