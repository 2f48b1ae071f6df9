"""Claims about a recipe: the training seed is the unit, not the item.

A test over items speaks of these checkpoints on questions like these. Training the same recipe again gives another
checkpoint, and with many items two of them differ significantly. What a recipe does is seen from several seeds only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# With fewer runs an arm the spread between seeds is not known well enough for a test.
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class RecipeEffect:
    """Mean effect over training seeds with interval and p-value, or the ``reason`` why nothing can be said."""

    effect: float | None
    seeds: int
    ci_low: float | None
    ci_high: float | None
    p: float | None
    method: str
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def matched_seeds(effects: Sequence[float], level: float = 0.95) -> RecipeEffect:
    """A t test of effects that were measured once a seed, seeds matched between the arms; n - 1 degrees of freedom."""
    count = len(effects)
    if count < FEWEST_SEEDS:
        return _nothing(math.fsum(effects) / count if count else None, count)
    mean = math.fsum(effects) / count
    deviation = math.sqrt(math.fsum((each - mean) ** 2 for each in effects) / (count - 1))
    return _by_t(mean, deviation / math.sqrt(count), count - 1, count, level, "t over matched seeds")


def separate_seeds(run: Sequence[float], other: Sequence[float], level: float = 0.95) -> RecipeEffect:
    """Welch's t test of the values of two recipes, each trained with seeds of its own. Source: Welch 1947."""
    counts = len(run), len(other)
    if not all(counts):
        return _nothing(None, min(counts))
    means = [math.fsum(values) / len(values) for values in (run, other)]
    if min(counts) < FEWEST_SEEDS:
        return _nothing(means[0] - means[1], min(counts))
    errors = [
        math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)
        for values, mean in zip((run, other), means, strict=True)
    ]
    total = math.fsum(errors)
    parts = math.fsum(error**2 / (count - 1) for error, count in zip(errors, counts, strict=True))
    freedom = total**2 / parts if parts else float(sum(counts) - 2)
    return _by_t(means[0] - means[1], math.sqrt(total), freedom, min(counts), level, "Welch's t over seeds")


def _by_t(mean: float, error: float, freedom: float, seeds: int, level: float, method: str) -> RecipeEffect:
    from scipy import stats

    if error == 0:
        return RecipeEffect(mean, seeds, mean, mean, 1.0 if mean == 0 else 0.0, method)
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, freedom))
    return RecipeEffect(mean, seeds, mean - half, mean + half, p, method)


def _nothing(effect: float | None, seeds: int) -> RecipeEffect:
    reason = f"no statement about the recipe: {seeds} seed{'' if seeds == 1 else 's'}, {FEWEST_SEEDS} are needed"
    return RecipeEffect(effect, seeds, None, None, None, "none", reason)
