"""Runs whose answers differ in length: said beside the numbers, with what the difference is at equal length.

A metric that grows or falls with the words of an answer ranks habits of writing beside what is right. What is held at
equal length is the paired difference of an item, regressed on the logarithm of the ratio of the two answers' words, and
read where that is 0. The idea is that of Dubois, Galambosi, Liang and Hashimoto, *Length-Controlled AlpacaEval*, 2024.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..runs.loaded import LENGTH_FACTOR, LoadedRun
from ..statistics.clusters import Level, level_at_zero
from ..statistics.multiplicity import holm
from .pairwise import ALPHA, ClusterBy, cluster_names, some

# At equal length is told where so many items have answers of like length; else nothing was observed there.
LEAST = 20
CORPUS, FEW = "a corpus score", f"fewer than {LEAST} items have answers of like length"


@dataclass(frozen=True)
class LengthEffect:
    """What length does to one metric of a run against the first; values as they stand, not turned.

    ``raw`` is the mean difference over the items that have both; ``adjusted`` what it is where the two answers have as
    many words, with its 95 % interval and p-value, or the ``reason`` why that is not told. ``doubled`` is what twice
    the words do, with ``p_doubled`` corrected by Holm over the metrics. ``near``: items whose answers are of like
    length.
    """

    metric: str
    run: str
    raw: float
    adjusted: float | None
    interval: tuple[float, float] | None
    p: float | None
    doubled: float
    p_doubled: float
    near: int
    n: int
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def length_effects(
    base: LoadedRun, run: LoadedRun, metrics: Sequence[str], title: str, by: ClusterBy = "source_document"
) -> list[LengthEffect]:
    """Each metric's difference with the length of the answers; those that are not defined are left out."""
    import numpy as np

    found: list[tuple[str, float, Level, int, int]] = []
    for name in metrics:
        ours, theirs = run.scores[name], base.scores[name]
        items = [
            item
            for item in base.clusters
            if item in run.lengths
            and item in base.lengths
            and ours[item].value is not None
            and theirs[item].value is not None
        ]
        if not items:
            continue
        differences = np.array([(ours[item].value or 0.0) - (theirs[item].value or 0.0) for item in items])
        ratio = np.log2([(run.lengths[item] + 1) / (base.lengths[item] + 1) for item in items])
        level = level_at_zero(differences, ratio, cluster_names(base, items, by))
        if level is not None:
            near = int((np.abs(ratio) <= math.log2(LENGTH_FACTOR)).sum())
            found.append((name, float(differences.mean()), level, near, len(items)))
    effects = []
    for (name, raw, level, near, n), p in zip(found, holm([each[2].p_slope for each in found]), strict=True):
        corpus = run.header["metrics"][name]["level"] == "corpus"
        reason = CORPUS if corpus else FEW if near < LEAST else None
        told = (None, None, None) if reason else (level.at_zero, level.interval, level.p)
        effects.append(LengthEffect(name, title, raw, *told, level.slope, p, near, n, reason))
    return effects


def length_warning(base: LoadedRun, run: LoadedRun, names: tuple[str, str], metrics: Sequence[str]) -> str:
    """Which answers are how much longer, and which metrics move with their length."""
    short, long = sorted(((base.words or 0.0, names[0]), (run.words or 0.0, names[1])))
    head = (
        f"answers of {long[1]} are {long[0] / short[0]:.1f} times as long as those of {short[1]} (mean "
        f"{long[0]:.0f} and {short[0]:.0f} words)"
        if short[0]
        else f"{short[1]} answers with no words at all, {long[1]} with {long[0]:.0f}"
    )
    effects = length_effects(base, run, metrics, names[1])
    moved = [each for each in effects if each.p_doubled <= ALPHA]
    if not effects:
        return f"{head}: whether that moves the metrics cannot be told, as all pairs differ alike"
    if not moved:
        return f"{head}: no metric is shown to move with length"
    told = some([f"{each.metric} ({'up' if each.doubled > 0 else 'down'})" for each in moved])
    return f"{head}: with length move {told}; compare --length-adjusted has the differences at equal length"
