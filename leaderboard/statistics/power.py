"""How many items a comparison takes to see a difference, or to confirm that there is none beyond a margin."""

from __future__ import annotations

import math

from .sign_flip import normal_quantile

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
