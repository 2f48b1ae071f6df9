"""Right or wrong: exact tests and intervals for metrics with two values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist


@dataclass(frozen=True)
class McNemar:
    """``gained`` items only the run has right, ``lost`` only the other; exact and mid-p two-sided p-values."""

    gained: int
    lost: int
    p_exact: float
    p_mid: float


def mcnemar(gained: int, lost: int) -> McNemar:
    """The exact test of equal error rates: a sign test of the items on which the two differ.

    Two-sided p = 2 P(X <= min), X binomial with probability 1/2; mid-p takes half of the probability of the observed
    count off. Sources: McNemar 1947; Fagerland, Lydersen and Laake 2013 (mid-p).
    """
    total = gained + lost
    if not total:
        return McNemar(gained, lost, 1.0, 1.0)
    fewer = min(gained, lost)
    below = sum(math.comb(total, count) for count in range(fewer + 1))
    here = math.comb(total, fewer)
    exact = min(Fraction(1), Fraction(2 * below, 2**total))
    mid = Fraction(1) if gained == lost else Fraction(2 * below - here, 2**total)
    return McNemar(gained, lost, float(exact), float(mid))


def paired_difference_interval(gained: int, lost: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of the difference of two paired proportions, from -1 to 1.

    Bonett and Price's adjusted Wald: with p = (gained + 1) / (n + 2) and q = (lost + 1) / (n + 2), p - q plus and minus
    z sqrt((p + q - (p - q)^2) / (n + 2)). Source: Bonett and Price 2012.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    p, q = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = z * math.sqrt(max(0.0, p + q - (p - q) ** 2) / (n + 2))
    return max(-1.0, p - q - half), min(1.0, p - q + half)


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of one proportion. Source: Wilson 1927.

    >>> [round(end, 6) for end in wilson(10, 100)]
    [0.055229, 0.174366]
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, shrink = successes / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
