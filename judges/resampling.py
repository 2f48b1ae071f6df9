"""Intervals by bootstrap. Whole clusters are drawn again: answers to one question are not independent."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from .agreement import Coefficient

RESAMPLES = 1000
# Beyond this share of resamples without a value the percentiles of the others describe something else.
_MOST_UNDEFINED = 0.1


@dataclass(frozen=True, slots=True)
class Estimate:
    """A coefficient over ``n`` labels with a 95 % interval; ``reason`` says why the value or the interval is None."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str | None = None


def cluster_draws(clusters: Sequence[Hashable], resamples: int, seed: int) -> list[list[int]]:
    """Positions of the members of as many clusters as there are, drawn with replacement, ``resamples`` times."""
    members: dict[Hashable, list[int]] = {}
    for position, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(position)
    groups = list(members.values())
    source = random.Random(seed)
    return [[i for group in source.choices(groups, k=len(groups)) for i in group] for _ in range(resamples)]


def estimate(
    statistic: Callable[[Sequence[int]], Coefficient], clusters: Sequence[Hashable], draws: Sequence[Sequence[int]]
) -> Estimate:
    """``statistic`` of all positions, with the 2.5th and 97.5th percentile of its values over ``draws``.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval).
    """
    found = statistic(range(len(clusters)))
    if found.value is None:
        return Estimate(None, None, None, found.n, found.reason)
    if len(set(clusters)) < 2:
        return Estimate(found.value, None, None, found.n, "an interval needs two questions or more")
    values = sorted(value for draw in draws if (value := statistic(draw).value) is not None)
    if len(values) < (1 - _MOST_UNDEFINED) * len(draws) or not values:
        reason = f"no interval: undefined in {len(draws) - len(values)} of {len(draws)} resamples"
        return Estimate(found.value, None, None, found.n, reason)
    return Estimate(found.value, _quantile(values, 0.025), _quantile(values, 0.975), found.n)


def _quantile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
