"""What attempts to steer a judge achieve: each answer is judged with and without the attempt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .agreement import Coefficient
from .labelled import Injection
from .position_bias import sign_test
from .resampling import RESAMPLES, Estimate, cluster_draws, estimate


@dataclass(frozen=True, slots=True)
class FamilyEffect:
    """Attempts of one family: pairs with both scores, how many rose, and the mean rise in points."""

    family: str
    n: int
    raised: int
    mean_rise: float | None


@dataclass(frozen=True, slots=True)
class InjectionEffect:
    """Attempts of all families together; ``rise`` is the score with the attempt minus that without.

    ``missing`` pairs lack a score. ``p_value`` is that of the exact two-sided sign test of raised against lowered.
    """

    n: int
    missing: int
    raised: int
    lowered: int
    rise: Estimate
    p_value: float
    families: tuple[FamilyEffect, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without NaN."""
        return asdict(self)


def injection_effect(
    injections: Sequence[Injection],
    base: Sequence[float | None],
    attacked: Sequence[float | None],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> InjectionEffect:
    """The effect on a judge that gave ``base`` to the plain answers and ``attacked`` to those with the attempt.

    Raises ValueError for lists of unequal lengths.
    """
    rises = [
        None if plain is None or steered is None else steered - plain
        for _, plain, steered in zip(injections, base, attacked, strict=True)
    ]

    def mean(at: Sequence[int]) -> Coefficient:
        found = [rise for i in at if (rise := rises[i]) is not None]
        return Coefficient(math.fsum(found) / len(found), len(found)) if found else Coefficient(None, 0, "no pair")

    clusters = [injection.item_id for injection in injections]
    kept = [rise for rise in rises if rise is not None]
    raised, lowered = sum(rise > 0 for rise in kept), sum(rise < 0 for rise in kept)
    families = []
    for family in sorted({injection.family for injection in injections}):
        at = [i for i, injection in enumerate(injections) if injection.family == family]
        found = mean(at)
        families.append(FamilyEffect(family, found.n, sum((rises[i] or 0) > 0 for i in at), found.value))
    return InjectionEffect(
        n=len(kept),
        missing=len(rises) - len(kept),
        raised=raised,
        lowered=lowered,
        rise=estimate(mean, clusters, cluster_draws(clusters, resamples, seed)),
        p_value=sign_test(raised, lowered),
        families=tuple(families),
    )
