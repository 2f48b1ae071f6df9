"""What a comparison could have seen, and how many items would see more."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from .clusters import FEW_CLUSTERS, Clustered, Summed
from .sign_flip import normal_quantile

ALPHA, POWER = 0.05, 0.8


@dataclass(frozen=True)
class Power:
    """For a test at ``alpha`` with ``power``, from the spread of the differences at hand.

    ``detectable``: the smallest true mean difference that a two-sided test would find so often. ``margin``: the
    smallest non-inferiority margin that a one-sided test would confirm so often for an unchanged model.
    """

    alpha: float
    power: float
    n: int
    design_effect: float
    detectable: float | None
    margin: float | None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def power_of(data: Clustered, alpha: float = ALPHA, power: float = POWER) -> Power:
    """What these items could show: (z_{1-alpha/2} + z_{power}) times the cluster-robust standard error.

    Source: Miller 2024 (Adding Error Bars to Evals), section 5, with the clusters' design effect.
    """
    error = data.standard_error
    one_sided = normal_quantile(1 - alpha) + normal_quantile(power)
    return Power(
        alpha,
        power,
        data.n,
        data.design_effect or 1.0,
        detectable(data, alpha, power),
        None if error is None else one_sided * error,
    )


def detectable(data: Summed, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """The smallest true mean difference that a two-sided test at ``alpha`` finds so often; None with one cluster."""
    error = data.standard_error
    return None if error is None else (normal_quantile(1 - alpha / 2) + normal_quantile(power)) * error


def items_for_difference(deviation: float, difference: float, alpha: float = ALPHA, power: float = POWER) -> int:
    """Items that a two-sided paired test needs for a true mean difference; ``deviation`` of one item's difference.

    >>> items_for_difference((1 / 9) ** 0.5, 0.03)
    969
    """
    return math.ceil(((normal_quantile(1 - alpha / 2) + normal_quantile(power)) * deviation / difference) ** 2)


def items_for_margin(
    deviation: float, margin: float, true_difference: float = 0.0, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Items that confirm non-inferiority by ``margin``; None where the true difference lies beyond the margin."""
    room = margin + true_difference
    if room <= 0:
        return None
    return math.ceil(((normal_quantile(1 - alpha) + normal_quantile(power)) * deviation / room) ** 2)


@dataclass(frozen=True)
class Needed:
    """How many ``items`` in how many source ``documents`` it takes."""

    items: int
    documents: int


def needed_for_margin(
    deviation: float, margin: float, sample: Summed, alpha: float = ALPHA, power: float = POWER
) -> Needed | None:
    """What confirms non-inferiority by ``margin`` for an unchanged model, of documents like those of the ``sample``.

    As many items show a drop of the margin, one-sided at ``alpha``. ``deviation`` is the cluster-robust standard error
    times the root of the number of items. There are never fewer documents than carry a claim. None where the sample
    has too few of them itself.
    """
    return _in_documents(items_for_margin(deviation, margin, alpha=alpha, power=power), sample)


def needed_for_difference(
    deviation: float, difference: float, sample: Summed, alpha: float = ALPHA, power: float = POWER
) -> Needed | None:
    """The same for showing a difference of two runs by a two-sided test, as a comparison does."""
    return _in_documents(items_for_difference(deviation, difference, alpha, power), sample)


def _in_documents(items: int | None, sample: Summed) -> Needed | None:
    if items is None or sample.effective_groups < FEW_CLUSTERS:
        return None
    items = max(items, math.ceil(sample.n * FEW_CLUSTERS / sample.effective_groups))
    return Needed(items, math.ceil(items * sample.groups / sample.n))
