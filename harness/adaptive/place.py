"""A candidate's place beside a finished run: what a comparison of all items would say, as far as it is settled.

`telbench compare` shows a difference where it is larger than what chance could do to so many source documents. That is
a property of the whole set, and more items of the same documents do not change it. So a place is settled where the
interval of the whole set's mean (`sequence`) lies on one side of that critical difference. The interval is exact. The
critical difference is estimated from the items asked, and is taken one standard error wider, or narrower, than it is
estimated, whichever is harder to settle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .sequence import WholeMean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["better", "worse", "no difference", "not worse", "inconclusive"]
# As few documents or differing items as make `telbench compare` claim nothing.
FEW_DOCUMENTS, FEW_ITEMS = 6.0, 6


@dataclass(frozen=True)
class Documents:
    """The number of the source document of each item, in the order of asking, for all items of the set."""

    numbers: NDArray[np.int64]

    @property
    def count(self) -> int:
        """So many documents."""
        return int(self.numbers.max()) + 1

    @property
    def effective(self) -> float:
        """As many of one size would say as much: (sum of sizes)^2 / (sum of squared sizes)."""
        import numpy as np

        sizes = np.bincount(self.numbers)
        return float(sizes.sum() ** 2 / (sizes**2).sum())


@dataclass(frozen=True)
class Spread:
    """The standard error that the mean difference of all items will have, from ``low`` to ``high``."""

    low: float
    high: float


@dataclass(frozen=True)
class Critical:
    """Differences of the whole set, on its own scale, beyond which a comparison shows them: at least and at most."""

    low: float
    high: float


def whole_spread(differences: NDArray[np.float64], places: NDArray[np.int64], documents: Documents) -> Spread:
    """The cluster-robust standard error of the mean over all N items, estimated from n of them drawn at random.

    It is sqrt(G / (G - 1) sum_g (sum_{i in g} r_i)^2) / N with r the differences less their mean. Squares r_i^2 stand
    for N / n items, products r_i r_j within a document for N (N - 1) / (n (n - 1)) pairs (Horvitz and Thompson 1952).
    That is never taken to be less than without documents. The range is one standard error of the estimate, documents
    taken as independent.

    Args:
        differences: of the items asked that have one.
        places: their places in the order of asking.
        documents: those of all items.
    """
    import numpy as np

    n, total, groups = len(differences), len(documents.numbers), documents.count
    rest, numbers = differences - differences.mean(), documents.numbers[places]
    sums = np.bincount(numbers, weights=rest, minlength=groups)
    squares = np.bincount(numbers, weights=rest * rest, minlength=groups)
    pairs = total * (total - 1) / (n * (n - 1))
    parts = (total / n * squares + pairs * (sums * sums - squares)) * groups / max(1, groups - 1) / total**2
    variance, floor = float(parts.sum()), float(squares.sum()) / n / total
    error = math.sqrt(float(((parts - variance / groups) ** 2).sum()) * max(0.0, 1 - n / total))
    return Spread(math.sqrt(max(variance - error, floor)), math.sqrt(max(variance + error, floor)))


def critical(spread: Spread, effective: float, tail: float) -> Critical:
    """The critical difference at ``tail`` on one side: normal at least, Student's t by effective documents at most."""
    from scipy.stats import norm, t

    return Critical(
        spread.low * float(norm.ppf(1 - tail)), spread.high * float(t.ppf(1 - tail, max(1.0, effective - 1)))
    )


def settled(
    mean: WholeMean, base: float, spread: Spread, effective: float, differing: int, margin: float | None, alpha: float
) -> Verdict | None:
    """What a comparison of all items will say, or None where that is open.

    Without a margin it is what `telbench compare` says of one metric: better, worse or no difference. With one it is
    what `telbench check` says: not worse (any drop is smaller than the margin), worse (a drop is shown that may exceed
    it) or inconclusive.

    Args:
        mean: the candidate's mean over all items, from 0 to 1, 1 being best.
        base: that of the finished run, which is known.
        spread: of the difference (`whole_spread`).
        effective: effective documents of the set.
        differing: so many items asked have another score with the two models.
        margin: the drop to accept, on this scale.
        alpha: error rate of the comparison.
    """
    enough = differing >= FEW_ITEMS
    if margin is None:
        shown = critical(spread, effective, alpha / 2)
        if enough and mean.above(base + shown.high):
            return "better"
        if enough and mean.below(base - shown.high):
            return "worse"
        if mean.above(base - shown.low) and mean.below(base + shown.low):
            return "no difference"
        return None
    shown = critical(spread, effective, alpha)
    if mean.above(base - margin + shown.high):
        return "not worse"
    if not mean.below(base - margin + shown.low):
        return None
    if enough and mean.below(base - shown.high):
        return "worse"
    return "inconclusive" if mean.above(base - shown.low) else None
