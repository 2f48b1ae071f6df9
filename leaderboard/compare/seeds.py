"""What runs were trained with: recipes in place of runs, and a study of their factors.

One training may be lucky. `average_seeds` makes one run of those that differ in their training seed alone: an item's
score then says what the recipe does with it. The pairs of items compare recipes on questions like these, and the seeds,
each a training of its own, the recipes as such (`seed_effects`). `study_of` asks what each factor does. What in a
header is a factor, a seed or neither is said here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...metrics.contract import ItemScore, Metric, missing
from ...metrics.fingerprints import fingerprint
from ...metrics.intervals import score_of
from ..runs.loaded import LoadedRun
from ..statistics.clusters import Documents, documents
from ..statistics.factorial import ScoredCell, Study, analyse
from ..statistics.multiplicity import family, holm_levels
from ..statistics.recipes import RecipeEffect, matched_seeds
from .pairwise import ClusterBy, cluster_names
from .scored import Scored, scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What tells runs of one recipe apart, and what says how a cell was made rather than what it is.
SEED = "seed"
NOT_FACTORS = frozenset({SEED, "epochs", "role", "base", "cell", "steps", "tokens", "variant"})


@dataclass(frozen=True)
class Recipe:
    """Runs of one recipe by their training seed, and as one run; ``seeds`` is empty where no seed is known."""

    run: LoadedRun
    seeds: Mapping[str, LoadedRun]


@dataclass(frozen=True)
class SeedEffect:
    """A recipe against the first one in one metric, with seeds as the unit; ``p_adjusted``: Holm over the recipes."""

    metric: str
    recipe: str
    by_seed: Mapping[str, float]
    effect: RecipeEffect
    p_adjusted: float | None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return {
            "metric": self.metric,
            "recipe": self.recipe,
            "by_seed": dict(self.by_seed),
            **self.effect.to_dict(),
            "p_adjusted": self.p_adjusted,
        }


def average_seeds(runs: Sequence[LoadedRun]) -> list[Recipe]:
    """Runs with equal factors, the seed apart, as one; in the order of their first runs.

    Raises:
        InputError: when two runs have equal factors and the same seed, or no two runs differ in their seed alone.
    """
    groups = seed_groups([run.header for run in runs], [run.path for run in runs])
    return [_recipe({seed: runs[place] for seed, place in group.items()}) for group in groups]


def seed_groups(headers: Sequence[Mapping[str, Any]], paths: Sequence[Path]) -> list[dict[str, int]]:
    """The runs of each recipe, by seed: their places. Raises as `average_seeds`."""
    groups: dict[str, dict[str, int]] = {}
    for place, header in enumerate(headers):
        factors = {name: word(value) for name, value in header.get("factors", {}).items()}
        seed = factors.get(SEED)
        # Equal factors do not make two sizes of model one recipe.
        size = header["model"].get("parameters")
        group = groups.setdefault(fingerprint([without_seed(factors), size] if seed is not None else place), {})
        if seed is not None and seed in group:
            raise InputError(
                f"{paths[group[seed]]} and {paths[place]} have the same factors and seed {seed}: leave one out, or "
                "compare without --average-seeds"
            )
        group[seed or ""] = place
    if len(groups) == len(headers):
        raise InputError(
            "no two runs differ in their seed alone: leave --average-seeds out, or add runs of other seeds"
        )
    return list(groups.values())


def seed_effects(recipes: Sequence[Recipe], names: Sequence[str], metrics: Sequence[Metric]) -> list[SeedEffect]:
    """Every recipe after the first against the first in every metric, over the seeds that both have.

    A seed's effect is the difference of the scores on the items that both runs have one for, positive where better.
    """
    found, items = [], list(recipes[0].run.clusters)
    for metric in metrics:
        columns = [
            {
                seed: scored(run, metric, items)
                for seed, run in recipe.seeds.items()
                if seed and seed in recipes[0].seeds
            }
            for recipe in recipes
        ]
        found += column_effects(columns, names, metric)
    return found


def column_effects(recipes: Sequence[Mapping[str, Scored]], names: Sequence[str], metric: Metric) -> list[SeedEffect]:
    """`seed_effects` in one metric, of recipes as the columns of their seeds."""
    base, told = recipes[0], []
    for name, recipe in zip(names[1:], recipes[1:], strict=True):
        by_seed = {
            seed: _score_difference(column, base[seed], metric)
            for seed, column in sorted(recipe.items())
            if seed and seed in base
        }
        known = {seed: value for seed, value in by_seed.items() if value is not None}
        told.append(SeedEffect(metric.name, name, known, matched_seeds(list(known.values())), None))
    return _corrected(metric, told)


def _corrected(metric: Metric, told: Sequence[SeedEffect]) -> list[SeedEffect]:
    """The same with p-values corrected by Holm, and intervals at the levels at which Holm decides."""
    raw = [each.effect.p for each in told]
    adjusted = family(f"recipes against the first in {metric.name}", raw).adjusted
    rates = iter(holm_levels([p for p in raw if p is not None]))
    effects = [
        each.effect if each.effect.p is None else matched_seeds(list(each.by_seed.values()), 1 - next(rates))
        for each in told
    ]
    return [
        SeedEffect(each.metric, each.recipe, each.by_seed, effect, p)
        for each, effect, p in zip(told, effects, adjusted, strict=True)
    ]


def is_anchor(factors: Mapping[str, Any]) -> bool:
    """Is a run with these factors one that a study is held against (a base model, a teacher …), no cell of it?"""
    return "role" in factors


def without_seed(factors: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a recipe: all that was set but for the training seed."""
    return {name: value for name, value in factors.items() if name != SEED}


def varying(factors: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """Of runs' factors those with more than one level, by name, with their levels in order."""
    names = sorted({name for each in factors for name in each if name not in NOT_FACTORS})
    levels = {name: tuple(sorted({each[name] for each in factors if name in each})) for name in names}
    return {name: found for name, found in levels.items() if len(found) > 1}


def study_of(
    runs: Sequence[LoadedRun],
    metric: Metric,
    *,
    by: ClusterBy = "source_document",
    factors: Sequence[str] | None = None,
) -> Study:
    """Effects of the factors in the runs' headers on one metric's item values; anchors are no cells.

    Raises:
        InputError: when no factor varies, a run lacks one, or two runs are the same cell.
    """
    import numpy as np

    items = list(runs[0].clusters)
    values = [
        np.array(
            [np.nan if item not in column or column[item].value is None else column[item].value for item in items],
            np.float64,
        )
        for column in (run.scores[metric.name] for run in runs)
    ]
    levels = [run.header.get("factors", {}) for run in runs]
    clusters = documents(cluster_names(runs[0], items, by))
    return study_of_values(levels, values, clusters, factors, higher_is_better=metric.higher_is_better)


def study_of_values(
    levels: Sequence[Mapping[str, Any]],
    values: Sequence[NDArray[np.float64]],
    clusters: Documents,
    factors: Sequence[str] | None = None,
    *,
    higher_is_better: bool = True,
    estimates: bool = True,
) -> Study:
    """`study_of` of runs with these levels of factors, from their values item by item (NaN where there is none)."""
    cells = []
    for given, column in zip(levels, values, strict=True):
        if is_anchor(given):
            continue
        told = {name: word(value) for name, value in given.items()}
        kept = {name: level for name, level in told.items() if name not in NOT_FACTORS or name in (factors or ())}
        cells.append(ScoredCell(kept, told.get(SEED, "0"), column))
    return analyse(cells, clusters, factors=factors, higher_is_better=higher_is_better, estimates=estimates)


def word(value: Any) -> str:
    """A factor's level as a word: true and false as JSON has them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _recipe(group: Mapping[str, LoadedRun]) -> Recipe:
    runs = list(group.values())
    if len(runs) == 1:
        return Recipe(runs[0], group)
    first, header = runs[0], recipe_header([run.header for run in runs])
    scores = {
        name: {
            item: _averaged({seed: run.scores[name][item] for seed, run in group.items()}) for item in first.clusters
        }
        for name in header["metrics"]
    }
    for name, column in scores.items():
        known = sum(score.value is not None for score in column.values())
        header["metrics"][name] |= {"n": known, "n_missing": len(column) - known}
    failed = frozenset[str]().union(*(run.failed for run in runs))
    told = set(first.lengths).intersection(*(run.lengths for run in runs))
    lengths = {item: sum(run.lengths[item] for run in runs) / len(runs) for item in first.lengths if item in told}
    words = sum(lengths.values()) / len(lengths) if lengths else None
    averaged = LoadedRun(
        first.path, header, first.clusters, scores, failed, first.categories, lengths=lengths, words=words
    )
    return Recipe(averaged, group)


def recipe_header(headers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The header of runs of one recipe as one run: what is true of all of them, and the metrics that all have."""
    first = headers[0]
    return {
        **first,
        "run_id": fingerprint(sorted(header["run_id"] for header in headers)),
        "model": {
            **first["model"],
            "name": _shared_name([str(header["model"]["name"]) for header in headers], len(headers)),
        },
        "factors": without_seed(first.get("factors", {})),
        "judge": _judge(headers),
        "metrics": {
            name: _pooled_entry([header["metrics"][name] for header in headers])
            for name in first["metrics"]
            if all(name in header["metrics"] for header in headers)
        },
    }


def _averaged(scores: Mapping[str, ItemScore]) -> ItemScore:
    """Mean over seeds of an item's score; statistics are added up, so that corpus scores pool the seeds' answers."""
    for seed, score in scores.items():
        if score.value is None:
            return missing(f"seed {seed}: {score.reason or 'no score'}")
    values = [score.value for score in scores.values() if score.value is not None]
    stats = [score.stats for score in scores.values() if score.stats is not None]
    pooled = tuple(math.fsum(parts) for parts in zip(*stats, strict=True)) if len(stats) == len(scores) else None
    return ItemScore(math.fsum(values) / len(values), stats=pooled)


def _pooled_entry(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The header's entry of a metric: nothing that was true of the first run alone stays in it."""
    entry = {**entries[0], "value": None, "ci_low": None, "ci_high": None, "ci_method": None, "missing": {}}
    for known_of_one in ("calibration", "notes", "judge_missing", "judge_repeats", "readings", "unfinished"):
        entry.pop(known_of_one, None)
    found = [(each.get("calibration") or {}).get("value") for each in entries]
    calibrated = [value for value in found if value is not None]
    if len(calibrated) == len(entries):
        entry["calibration"] = {"value": math.fsum(calibrated) / len(calibrated)}
        # What a metric sees depends on the items, not on the seed.
        if (area := (entries[0].get("calibration") or {}).get("near_miss_auc")) is not None:
            entry["calibration"]["near_miss_auc"] = area
    return entry


def _judge(headers: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    over = {name for header in headers for name in (header.get("judge") or {}).get("over_cap") or ()}
    return {**headers[0]["judge"], "over_cap": sorted(over)} if headers[0].get("judge") else None


def _shared_name(names: Sequence[str], seeds: int) -> str:
    """What the names have in common, without the word that announces the seed.

    >>> _shared_name(["same-dskd-seed0", "same-dskd-seed1"], 2), _shared_name(["a", "b"], 2)
    ('same-dskd (2 seeds)', 'a (2 seeds)')
    >>> _shared_name(["dskd-seed1", "dskd-seed10", "dskd-seed12"], 3)
    'dskd (3 seeds)'
    """
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    shared = re.sub(r"[-_. ]*(seed\d*)?[-_. ]*$", "", "".join(letters[0] for letters in alike))
    return f"{shared or names[0]} ({seeds} seeds)"


def _score_difference(run: Scored, base: Scored, metric: Metric) -> float | None:
    """The run's score minus the base's on the items that have one in both, positive where the run is better."""
    import numpy as np

    kept = run.present & base.present
    if not kept.any():
        return None
    rows = [each.values[:, None] if each.statistics is None else each.statistics for each in (run, base)]
    ours, theirs = (score_of(metric, np.column_stack([each[kept], np.ones(int(kept.sum()))])) for each in rows)
    return (ours - theirs) * (1.0 if metric.higher_is_better else -1.0)
