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
# Effects closer than this are the same: scores are known to no more.
_SAME = 1e-9


@dataclass(frozen=True)
class RecipeEffect:
    """Mean effect over training seeds with interval and p-value; ``reason``: why nothing, or less, can be said."""

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
    """A t test of effects that were measured once a seed, seeds matched between the arms; n - 1 degrees of freedom.

    Effects that are the same with all seeds have no spread to test by. Then it is a sign test, 2 / 2^n for n seeds.
    """
    from scipy import special

    count, method = len(effects), "t over matched seeds"
    mean = math.fsum(effects) / count if count else None
    if mean is None or count < FEWEST_SEEDS:
        told = f"{count} seed{'' if count == 1 else 's'} in common, {FEWEST_SEEDS} are needed"
        return RecipeEffect(mean, count, None, None, None, "none", f"no statement about the recipe: {told}")
    if max(effects) - min(effects) <= _SAME:
        p = 1.0 if abs(mean) <= _SAME else 2.0 ** (1 - count)
        return RecipeEffect(mean, count, None, None, p, "sign test over matched seeds", "identical in all seeds")
    deviation = math.sqrt(math.fsum((each - mean) ** 2 for each in effects) / (count - 1))
    error = deviation / math.sqrt(count)
    half = float(special.stdtrit(count - 1, (1 + level) / 2)) * error
    p = float(2 * special.stdtr(count - 1, -abs(mean) / error))
    return RecipeEffect(mean, count, mean - half, mean + half, p, method)
