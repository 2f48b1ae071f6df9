"""How many items a comparison takes to see a difference, or to confirm that there is none beyond a margin."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .clusters import FEW_CLUSTERS, Summed
from .sign_flip import normal_quantile
from .skew import documents_for

ALPHA, POWER = 0.05, 0.8


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
    deviation: float,
    margin: float,
    sample: Summed,
    alpha: float = ALPHA,
    power: float = POWER,
    loss: float | None = None,
) -> Needed | None:
    """What confirms non-inferiority by ``margin`` for an unchanged model, of documents like those of the ``sample``.

    As many items show a drop of the margin, one-sided at ``alpha``. ``deviation`` is the cluster-robust standard error
    times the root of the number of items. There are never fewer documents than carry a claim, nor than rule out a drop
    by documents that lose ``loss`` each and are not among them (`skew.documents_for`). None where the sample has too
    few of them itself.
    """
    wanted = _in_documents(items_for_margin(deviation, margin, alpha=alpha, power=power), sample)
    least = documents_for(margin, loss, alpha) if loss else None
    if wanted is None or least is None or least <= wanted.documents:
        return wanted
    return Needed(math.ceil(least * sample.n / sample.groups), least)


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
