"""A board of recipes: runs that differ in their training seed alone are one, as ``compare --average-seeds`` has it.

An item's score is the mean over the seeds. Verdicts on recipes are those of the same functions as on runs. Beside them
stands what the seeds, each a training of its own, say of the recipe as such.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ....harness.cli.terminal import Reporter
from ....metrics.contract import Metric
from ....metrics.intervals import Estimate, bootstrap
from ...compare.scored import Scored
from ...compare.seeds import SeedEffect, column_effects, recipe_header, seed_groups, varying, word
from ...compare.table import distinct_names
from ..formats import shortened
from ..model.board import Board, BoardRun, slug
from ..model.columns import RunColumns
from ..model.composite import OVERALL
from ..model.eligibility import Apart, rankable
from ..model.kept_measures import measured
from ..model.standings import Measured, decided_together, metric_table
from ..parallel import all_of
from ..store import Part, digest_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KIND = "recipe"


@dataclass(frozen=True)
class _Job:
    """Recipes that are ranked in a metric, by place; the first is the baseline where that is ranked."""

    metric: Metric
    places: Sequence[int]
    apart: Sequence[Apart]


def with_recipes(board: Board, reporter: Reporter) -> Board:
    """The board with that of its recipes, where two recipes or more are on it and one has several seeds.

    The site opens on the recipes where most of the runs are seeds of one among others.
    """
    try:
        groups = seed_groups([run.header for run in board.runs], [run.columns.path for run in board.runs])
    except InputError as error:
        if "same factors" in str(error):
            reporter.note(f"no board of recipes: {str(error).partition(':')[0]}")
        return board
    if len(groups) < 2:
        return board
    recipes = _recipes_board(board, groups, reporter)
    seeds = sum(len(group) for group in groups if len(group) > 1)
    first, others = "index.html", "recipes.html"
    if 2 * seeds > len(board.runs):
        return replace(board, home="trainings.html", recipes=replace(recipes, home=first))
    return replace(board, recipes=replace(recipes, home=others))


def _recipes_board(board: Board, groups: Sequence[Mapping[str, int]], reporter: Reporter) -> Board:
    metrics = [table.metric for table in board.tables]
    seeds = [{seed: board.runs[place].columns for seed, place in group.items()} for group in groups]
    columns = [recipe_columns(each, means) for each, means in zip(seeds, _kept_means(board, seeds), strict=True)]
    columns = _with_values(board, columns, [len(group) > 1 for group in groups], metrics)
    names = distinct_names([each.titled for each in columns])
    jobs = []
    for metric in metrics:
        rows, apart = rankable(metric.name, columns, allow_incomplete=board.options.allow_incomplete)
        kept = [place for place, each in enumerate(columns) if any(each is row for row in rows)]
        if kept:
            jobs.append(_Job(metric, kept, apart))
    work = _Compared(board, columns, names, groups)
    found = all_of(work, jobs, board.processes, reporter, "comparing recipes")
    # As on the board of runs: the composite is a family by itself.
    decided = decided_together([each for each, _ in found], [OVERALL])
    told = [each.header.get("factors", {}) for each in columns]
    factors = [{str(key): word(value) for key, value in sorted(each.items())} for each in told]
    tables = [
        metric_table(
            job.metric,
            [columns[place] for place in job.places],
            job.places,
            [names[place] for place in job.places],
            one,
            job.apart,
            baseline=job.places[0] == 0,
        )
        for job, one in zip(jobs, decided, strict=True)
    ]
    return replace(
        board,
        runs=tuple(
            BoardRun(name, short, slug(name, f"recipe\0{name}"), levels, each, group)
            for name, short, levels, each, group in zip(names, shortened(names), factors, columns, groups, strict=True)
        ),
        apart=(),
        tables=tuple(tables),
        factors=varying(factors),
        prefix="recipes/",
        over_seeds={(each.metric, each.recipe): each for _, effects in found for each in effects},
    )


@dataclass(frozen=True)
class _Compared:
    board: Board
    columns: Sequence[RunColumns]
    names: Sequence[str]
    groups: Sequence[Mapping[str, int]]

    def __call__(self, job: _Job) -> tuple[Measured, list[SeedEffect]]:
        names = [self.names[place] for place in job.places]
        columns = [self.columns[place] for place in job.places]
        options = self.board.options
        found = measured(
            job.metric, columns, names, by=options.by, posthoc=options.pairs, store=self.board.store, rows="recipes"
        )
        if job.places[0] or len(columns) < 2:
            return found, []
        seeds = [self._seeds(job.metric.name, place) for place in job.places]
        return found, column_effects(seeds, names, job.metric)

    def _seeds(self, metric: str, place: int) -> dict[str, Scored]:
        """The seeds of a recipe that have the metric."""
        runs = {seed: self.board.runs[run].columns for seed, run in self.groups[place].items()}
        return {seed: run.scored(metric) for seed, run in runs.items() if metric in run.header["metrics"]}


def recipe_columns(
    seeds: Mapping[str, RunColumns], means: Mapping[str, NDArray[np.float64]] | None = None
) -> RunColumns:
    """Runs of one recipe, by seed, as one run: each item's mean score, and the sum of its statistics.

    ``means`` are the scores by metric, where they are known. Its entries have no value yet. ``kinds`` and ``lengths``
    are those of all answers, seed after seed.
    """
    runs = list(seeds.values())
    first = runs[0]
    if len(runs) == 1:
        return first
    header = recipe_header([run.header for run in runs])
    alike = {
        name: entry
        for name, entry in header["metrics"].items()
        if len({run.header["metrics"][name]["signature"] for run in runs}) == 1
    }
    values, reasons, stats = dict(_means(runs) if means is None else means), {}, {}
    values = {name: values[name] for name in alike}
    for name, entry in alike.items():
        reasons[name] = _reasons(name, seeds, values[name])
        count = len(values[name]) - len(reasons[name])
        alike[name] = {**entry, "n": count, "n_missing": len(reasons[name])}
        if entry["level"] == "corpus":
            stats[name] = sum(run.stats[name] for run in runs[1:]) + first.stats[name]
    return replace(
        first,
        header={**header, "metrics": alike},
        failed=frozenset[str]().union(*(run.failed for run in runs)),
        values=values,
        reasons=reasons,
        stats=stats,
        kinds=b"".join(run.kinds for run in runs),
        lengths=sum((run.lengths for run in runs), array("l")),
        digest=hashlib.sha256("".join(run.digest for run in runs).encode()).hexdigest(),
    )


def _kept_means(
    board: Board, recipes: Sequence[Mapping[str, RunColumns]]
) -> Iterator[Mapping[str, NDArray[np.float64]] | None]:
    """The mean scores of each recipe of several seeds, from the store where its runs did not change."""
    store = board.store
    keys = [
        [digest_of(*run.values.values(), told=[run.digest, list(run.values)]) for run in seeds.values()]
        for seeds in recipes
    ]
    several = [place for place, seeds in enumerate(recipes) if len(seeds) > 1]
    missing = [place for place in several if store.get(_KIND, *keys[place], hold=True) is None]

    def make(place: int) -> None:
        means = _means(list(recipes[place].values()))
        arrays = {str(number): column for number, column in enumerate(means.values())}
        store.put(Part(list(means), arrays), _KIND, *keys[place])

    list(board.each_of(make, missing))
    for place, key in enumerate(keys):
        found = store.get(_KIND, *key, hold=True) if place in several else None
        yield None if found is None else {name: found.arrays[str(number)] for number, name in enumerate(found.told)}


def _means(runs: Sequence[RunColumns]) -> dict[str, NDArray[np.float64]]:
    """Mean scores over runs, in each metric that all of them have."""
    names = [name for name in runs[0].values if all(name in run.values for run in runs)]
    return {name: _mean([run.values[name] for run in runs]) for name in names}


def _mean(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Item by item as `average_seeds` has it; NaN where any seed has no score."""
    import numpy as np

    count = len(columns)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return np.array([math.fsum(row) / count for row in rows], np.float64)


def _reasons(name: str, seeds: Mapping[str, RunColumns], values: NDArray[np.float64]) -> dict[int, str]:
    import numpy as np

    found = {}
    for place in np.flatnonzero(~np.isfinite(values)).tolist():
        seed, run = next((seed, run) for seed, run in seeds.items() if not np.isfinite(run.values[name][place]))
        found[place] = f"seed {seed}: {run.reasons[name].get(place, 'no score')}"
    return found


def _with_values(
    board: Board, columns: Sequence[RunColumns], several: Sequence[bool], metrics: Sequence[Metric]
) -> list[RunColumns]:
    """Recipes of several seeds with values and intervals in their entries, from a bootstrap as those of runs."""
    entries: list[dict[str, Any]] = [dict(each.header["metrics"]) for each in columns]

    def estimated(metric: Metric) -> list[tuple[int, Estimate]]:
        return _estimates(columns, several, metric)

    for metric, found in zip(metrics, board.each_of(estimated, metrics), strict=True):
        for place, estimate in found:
            told = {"value": estimate.value, "ci_low": estimate.ci_low, "ci_high": estimate.ci_high}
            entries[place][metric.name] = {**entries[place][metric.name], **told, "ci_method": estimate.ci_method}
    return [
        replace(each, header={**each.header, "metrics": own}) if more else each
        for each, own, more in zip(columns, entries, several, strict=True)
    ]


def _estimates(columns: Sequence[RunColumns], several: Sequence[bool], metric: Metric) -> list[tuple[int, Estimate]]:
    """Values and intervals in a metric, with the places of the recipes of several seeds that have it."""
    import numpy as np

    name = metric.name
    places = [place for place, each in enumerate(columns) if several[place] and name in each.header["metrics"]]
    matrices = []
    for place in places:
        each = columns[place]
        there = np.isfinite(each.values[name])
        rows = each.stats[name] if metric.level == "corpus" else each.values[name][:, None]
        matrices.append(np.where(there[:, None], np.column_stack([rows, np.ones(len(rows))]), 0.0))
    if not places:
        return []
    return list(zip(places, bootstrap([metric] * len(places), matrices, columns[places[0]].clusters), strict=True))
