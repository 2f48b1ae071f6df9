"""How many items, documents and training seeds a margin takes, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ..statistics.clusters import FEW_CLUSTERS, Summed, summed_up
from ..statistics.power import Needed, needed_for_difference, needed_for_margin
from ..statistics.recipes import FEWEST_SEEDS
from ..statistics.sign_flip import normal_quantile
from .components import Component, variance_bounds
from .pilot import Pilot

# More seeds than this are not looked for.
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Estimate:
    """How many it takes, with 90 % bounds that come of what the pilot does not know; None with the ``reason``."""

    needed: Needed | None
    low: Needed | None = None
    high: Needed | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Shown:
    """What a design shows: its standard error, and the drop that a check finds with the power (absent: unknown)."""

    items: int
    documents: int
    standard_error: float | None
    detectable: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class SeedEstimate:
    """Training seeds a model that show a difference of the recipes, with 90 % bounds; None with the ``reason``."""

    seeds: int | None
    low: int | None = None
    high: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Needs:
    """A metric's plan.

    ``pilot`` is what the pilot's own items show. ``check`` passes an unchanged model, and shows a drop of the margin;
    ``comparison`` shows such a difference of two runs in a two-sided test; both in documents like the pilot's.
    ``design`` is what the items and documents that were asked about show, and ``check_in_design`` what a check takes
    in documents of their size. ``seeds`` show a difference of the recipes, on the pilot's items.
    """

    metric: str
    margin: float | None
    pilot: Shown
    check: Estimate | None
    comparison: Estimate | None
    design: Shown | None
    check_in_design: Estimate | None
    seeds: SeedEstimate | None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def needs_of(
    pilot: Pilot, margin: float | None, *, alpha: float, power: float, design: tuple[int, int] | None = None
) -> Needs:
    """The plan of one metric; ``design`` are (items, documents) that are asked about."""
    planned = None if design is None else _designed(pilot, *design, alpha, power)
    shown = _shown(pilot, alpha, power)
    if margin is None:
        return Needs(pilot.metric, None, shown, None, None, planned, None, None)

    def check(spread: float, sample: Summed) -> Needed | None:
        return needed_for_margin(spread, margin, sample, alpha, power, pilot.loss)

    def comparison(spread: float, sample: Summed) -> Needed | None:
        return needed_for_difference(spread, margin, sample, alpha, power)

    return Needs(
        pilot.metric,
        margin,
        shown,
        _estimate(pilot, check),
        _estimate(pilot, comparison),
        planned,
        None if design is None else _in_design(pilot, *design, check),
        seeds_for(pilot, margin, alpha, power),
    )


def seeds_for(pilot: Pilot, effect: float, alpha: float, power: float) -> SeedEstimate:
    """Matched seeds with which a t test over seeds shows a difference of the recipes, two-sided.

    A seed's effect varies by the seeds' own variance and, on N items, by what single answers add: seed + rest / N. The
    power is that of the noncentral t distribution. On the same items: it is the recipes' difference on them.
    """
    seed, rest = pilot.components.replicate, pilot.components.rest

    def count(variance: float | None) -> int | None:
        if variance is None:
            return None
        return _seeds(effect, math.sqrt(variance + (rest.value or 0.0) / pilot.sample.n), alpha, power)

    found = count(seed.value)
    reason = seed.reason
    if seed.value is not None and found is None:
        reason = f"more than {MOST_SEEDS:,}"
    return SeedEstimate(found, count(seed.low), count(seed.high), reason)


def ratio_of_spreads(share: float, size: float, typical: float) -> float:
    """Variance of a mean over as many items in documents of ``size``, relative to documents of ``typical`` size.

    The design effects' ratio, (1 + (size - 1) share) / (1 + (typical - 1) share). Source: Kish 1965.
    """
    return (1 + (size - 1) * share) / (1 + (typical - 1) * share)


def _shown(pilot: Pilot, alpha: float, power: float) -> Shown:
    sample = pilot.sample
    error = pilot.standard_error
    if pilot.few is not None or error is None:
        return Shown(sample.n, sample.groups, error, None, reason=pilot.few)
    deviates = _deviates(alpha, power)
    low, high = _bounds(pilot)
    return Shown(sample.n, sample.groups, error, deviates * error, deviates * error * low, deviates * error * high)


def _deviates(alpha: float, power: float) -> float:
    return normal_quantile(1 - alpha) + normal_quantile(power)


def _bounds(pilot: Pilot) -> tuple[float, float]:
    """What to multiply the spread by for its 90 % interval."""
    if pilot.freedom is None:
        return 1.0, 1.0
    low, high = variance_bounds(pilot.freedom)
    return math.sqrt(low), math.sqrt(high)


def _estimate(pilot: Pilot, needed: Callable[[float, Summed], Needed | None]) -> Estimate:
    if pilot.few is not None or pilot.spread is None:
        return Estimate(None, reason=pilot.few)
    found = needed(pilot.spread, pilot.sample)
    if pilot.freedom is None:
        return Estimate(found)
    low, high = _bounds(pilot)
    return Estimate(found, needed(pilot.spread * low, pilot.sample), needed(pilot.spread * high, pilot.sample))


def _ratios(pilot: Pilot, size: float) -> tuple[float | None, float | None, float | None]:
    """(at the share of documents as estimated, at its bound that is better for ``size``, at the other)."""
    share = pilot.components.share
    if size == pilot.typical:
        return 1.0, 1.0, 1.0

    def at(value: float | None) -> float | None:
        return None if value is None else ratio_of_spreads(value, size, pilot.typical)

    # Where the share is not known but bounded above, it may be as small as 0.
    ends = [at(share.low if share.low is not None or share.high is None else 0.0), at(share.high)]
    known = sorted(end for end in ends if end is not None)
    return at(share.value), known[0] if known else None, known[-1] if known else None


def _designed(pilot: Pilot, items: int, documents: int, alpha: float, power: float) -> Shown:
    """What so many items in so many equal documents show."""
    if documents < FEW_CLUSTERS:
        reason = f"{documents} documents, it takes {FEW_CLUSTERS:.0f}"
        return Shown(items, documents, None, None, reason=reason)
    if pilot.few is not None or pilot.spread is None:
        return Shown(items, documents, None, None, reason=pilot.few)
    point, low, high = _ratios(pilot, items / documents)
    narrow, wide = _bounds(pilot)
    scale = pilot.spread / math.sqrt(items)
    deviates = _deviates(alpha, power)
    error = None if point is None else scale * math.sqrt(point)
    return Shown(
        items,
        documents,
        error,
        None if error is None else deviates * error,
        None if low is None else deviates * scale * math.sqrt(low) * narrow,
        None if high is None else deviates * scale * math.sqrt(high) * wide,
        pilot.components.share.reason if point is None else None,
    )


def _in_design(pilot: Pilot, items: int, documents: int, needed: Callable[[float, Summed], Needed | None]) -> Estimate:
    """What it takes in equal documents of that size."""
    import numpy as np

    if pilot.few is not None or pilot.spread is None:
        return Estimate(None, reason=pilot.few)
    size = items / documents
    like = summed_up(np.zeros(max(documents, int(FEW_CLUSTERS))), np.full(max(documents, int(FEW_CLUSTERS)), size))
    point, low, high = _ratios(pilot, size)
    narrow, wide = _bounds(pilot)

    def at(ratio: float | None, bound: float) -> Needed | None:
        return None if ratio is None or pilot.spread is None else needed(pilot.spread * math.sqrt(ratio) * bound, like)

    reason = pilot.components.share.reason if point is None else None
    if pilot.freedom is None:
        return Estimate(at(point, 1.0), reason=reason)
    return Estimate(at(point, 1.0), at(low, narrow), at(high, wide), reason)


def _seeds(effect: float, deviation: float, alpha: float, power: float) -> int | None:
    """The smallest number of seeds, from three on, with that power; None beyond `MOST_SEEDS`."""
    if deviation <= 0:
        return FEWEST_SEEDS
    from scipy.stats import nct, t

    for count in range(FEWEST_SEEDS, MOST_SEEDS + 1):
        limit, shift = float(t.ppf(1 - alpha / 2, count - 1)), effect / deviation * math.sqrt(count)
        if float(nct.sf(limit, count - 1, shift) + nct.cdf(-limit, count - 1, shift)) >= power:
            return count
    return None


def with_unknown(component: Component) -> str:
    """A component for people: a number, or why there is none.

    >>> with_unknown(Component(0.04)), with_unknown(Component(None, high=0.01, reason="too few"))
    ('0.2', 'too few (0.1 at most)')
    """
    if component.value is not None:
        return f"{math.sqrt(component.value):.3g}"
    limit = "" if component.high is None else f" ({math.sqrt(component.high):.3g} at most)"
    return f"{component.reason}{limit}"
