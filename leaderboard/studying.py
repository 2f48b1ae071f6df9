"""The factors of runs, as their headers carry them, made into a study of one metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..metrics.base import Metric
from .comparison import LoadedRun
from .pairwise import ClusterBy, cluster_names
from .statistics.factorial import Cell, Study, analyse

# What tells runs of one recipe apart, and what says how a cell was made rather than what it is.
SEED = "seed"
NOT_FACTORS = frozenset({SEED, "epochs", "role", "base", "cell", "steps", "tokens", "variant"})


def is_anchor(factors: Mapping[str, Any]) -> bool:
    """Is a run with these factors one that a study is held against (a base model, a teacher …), no cell of it?"""
    return "role" in factors


def without_seed(factors: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a recipe: all that was set but for the training seed."""
    return {name: value for name, value in factors.items() if name != SEED}


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
    cells = []
    for run in runs:
        if is_anchor(run.header.get("factors", {})):
            continue
        levels = {name: word(value) for name, value in run.header.get("factors", {}).items()}
        seed = levels.get(SEED, "0")
        kept = {name: level for name, level in levels.items() if name not in NOT_FACTORS or name in (factors or ())}
        column = run.scores[metric.name]
        values = [column[item].value if item in column else None for item in items]
        cells.append(Cell(kept, seed, np.array([np.nan if value is None else value for value in values], np.float64)))
    return analyse(cells, cluster_names(runs[0], items, by), factors=factors, higher_is_better=metric.higher_is_better)


def word(value: Any) -> str:
    """A factor's level as a word: true and false as JSON has them."""
    return str(value).lower() if isinstance(value, bool) else str(value)
