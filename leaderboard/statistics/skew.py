"""Losses that few documents carry: what no test of a mean sees, and what a gate may still say.

The sign-flip test takes differences for symmetric. Where rare documents lose much, a sample holds few of them or none.
Then the mean looks better than it is, and every test of it passes too much: without a bound on what is not seen there
is none that does not (Bahadur and Savage 1956). A metric with a worst value has such a bound. `unseen` combines the
sign-flip test with the rule of three. `with_one_lost` is the test for samples whose spread few documents carry
(`Summed.dominated`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import sign_flip
from .clusters import Summed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Documents that are named, largest first, until they carry this share of the spread.
_NAMED_SHARE, MOST_NAMED = 0.5, 5
# Rates of failing documents that are tried, evenly in the chance that a sample has none.
_RATES = 24


@dataclass(frozen=True)
class Carrier:
    """A document, its mean difference (positive is better), and its share of the spread of all (0 to 1)."""

    cluster: str
    difference: float
    share: float


def named_carriers(data: Summed, clusters: Sequence[str]) -> list[Carrier]:
    """The documents that carry half of the spread, largest share first, at most five; ``clusters`` as in ``data``."""
    import numpy as np

    squares = (data.sums - data.sizes * data.mean) ** 2
    shares = squares / squares.sum() if squares.sum() > 0 else squares
    found: list[Carrier] = []
    largest: list[int] = np.argsort(-shares, kind="stable")[:MOST_NAMED].tolist()
    for place in largest:
        if sum(each.share for each in found) >= _NAMED_SHARE or shares[place] <= 0:
            break
        found.append(Carrier(clusters[place], float(data.sums[place] / data.sizes[place]), float(shares[place])))
    return found


def carriers_text(found: Sequence[Carrier], groups: int) -> str:
    """Which documents carry the spread, in words."""
    share = sum(each.share for each in found)
    named = ", ".join(f"{each.cluster} ({each.difference:+.2g})" for each in found)
    verb = "carries" if len(found) == 1 else "carry"
    return f"{len(found)} of {groups} documents {verb} {share:.0%} of the spread: {named}"


def failing_loss(rest: Summed) -> float:
    """What a document loses that gets the worst answers: the mean of what each has to lose, weighted by just that.

    ``rest`` is how far the baseline's values are from the worst one. A document without a right answer cannot fail
    visibly; so those that can count for as much as they can lose: sum m b^2 / sum m b, for documents of m items with a
    mean distance of b. 0 where there is nothing to lose.
    """
    total = float(rest.sums.sum())
    return float((rest.sums**2 / rest.sizes).sum()) / total if total > 0 else 0.0


def unseen(data: Summed, margin: float, loss: float) -> float:
    """p-value for a drop smaller than ``margin`` where documents may fail of which the sample has none.

    A share q of the documents loses ``loss`` each, and none of G is seen: the chance of that is (1 - q)^G. The others
    drop by (margin - q loss) / (1 - q), which the sign-flip test of the sample tests. Both must go wrong for a false
    pass, so p is the largest product over q. With differences that are all 0 it is (1 - margin / loss)^G: none of 98
    failed, so up to 3 in 98 may (the rule of three: Hanley and Lippman-Hand 1983). With q = 0 it is the sign-flip test.
    """
    import numpy as np

    none_seen = np.linspace(1.0, 0.0, _RATES, endpoint=False)
    rates = 1 - none_seen ** (1 / data.groups)
    # The rate at which failures alone make the whole drop: what is seen cannot speak against it.
    alone = min(1.0, (margin + data.mean) / loss)
    if alone > 0:
        rates = np.append(rates, alone * (1 + 1e-9))
        none_seen = (1 - rates) ** data.groups
    rates, none_seen = rates[rates < 1], none_seen[rates < 1]
    drops = (margin - rates * loss) / (1 - rates)
    moved = data.sums + data.sizes * drops[:, None]
    return float((none_seen * sign_flip.tail(moved, moved.sum(axis=1), smooth=True)).max())


def with_one_lost(data: Summed, margin: float, loss: float) -> float:
    """p-value for a drop smaller than ``margin`` from the sample and one more document, which loses ``loss``.

    P(sum_g E_g y_g + E y' <= 0) with independent standard exponential E: y_g = S_g + m_g margin, and y' = m' (margin -
    loss) with m' = sum of m^2 / sum of m, the size of the document that an item is in. It is Gaffke's test of the mean
    of values that have a least one (Gaffke 2005; Learned-Miller and Thomas 2019), a Bayesian bootstrap with the least
    value added. It needs no symmetry. That its level holds is shown by simulation, and proved for special cases.
    """
    import numpy as np

    size = float((data.sizes**2).sum() / data.sizes.sum())
    values = np.append(data.sums + data.sizes * margin, size * (margin - loss))
    return _exponential_tail(values)


def documents_for(margin: float, loss: float, alpha: float, difference: float = 0.0) -> int | None:
    """Documents without a failure that show a drop smaller than the margin: log alpha / log(1 - margin / loss).

    ``difference`` is what is seen beside failures; None where it lies beyond the margin.

    >>> documents_for(0.02, 1.0, 0.05)
    149
    """
    room = margin + difference
    if room <= 0:
        return None
    return 1 if room >= loss else math.ceil(math.log(alpha) / math.log(1 - room / loss))


def _exponential_tail(values: NDArray[np.float64]) -> float:
    """P(sum_g E_g v_g <= 0) for independent standard exponential E, by the saddlepoint approximation.

    K(t) = -sum_g log(1 - t v_g) (Lugannani and Rice 1980). Within 2 % of the exact chance for one negative value.
    """
    import numpy as np

    if not (values < 0).any():
        return 0.0
    if not (values > 0).any():
        return 1.0
    scaled = values / np.abs(values).max()
    low, high, point = 1 / float(scaled.min()), 1 / float(scaled.max()), 0.0
    for _ in range(200):
        parts = scaled / (1 - point * scaled)
        slope, curvature = float(parts.sum()), float((parts**2).sum())
        low, high = (low, point) if slope > 0 else (point, high)
        step = point - slope / curvature
        step = step if low < step < high else (low + high) / 2
        if abs(step - point) <= 1e-12 * max(1.0, abs(point)):
            break
        point = step
    parts = scaled / (1 - point * scaled)
    curvature = float((parts**2).sum())
    root = math.copysign(math.sqrt(max(0.0, 2 * float(np.log1p(-point * scaled).sum()))), point)
    if abs(root) < 1e-4:
        # The formula is 0/0 at the mean; there the skewness of the sum decides.
        chance = 0.5 + float((parts**3).sum()) / (3 * math.sqrt(2 * math.pi) * curvature**1.5)
    else:
        density = math.exp(-(root**2) / 2) / math.sqrt(2 * math.pi)
        chance = 0.5 * math.erfc(-root / math.sqrt(2)) + density * (1 / root - 1 / (point * math.sqrt(curvature)))
    return min(1.0, max(0.0, chance))
