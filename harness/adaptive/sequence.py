"""What the items asked so far say of the mean over all items: an interval that holds at every look.

Items are drawn at random without replacement from N. If the mean of all were m, those that are left would have the mean
C_t(m) = (N m - S_t) / (N - t) after t items with the sum S_t. Somebody who bets that the next score is higher can then
win nothing in the long run: the chance that the capital ever reaches 1 / alpha is at most alpha (Ville's inequality). A
mean m at which it does is too low. The largest such m is the lower bound, and the upper one is its mirror image. This
asks nothing of the scores but that they are bounded, and nothing of the clusters that items come in: chance enters by
the order alone. Source: Waudby-Smith and Ramdas, *Confidence sequences for sampling without replacement*, 2020, and
*Estimating means of bounded random variables by betting*, 2024.

Two things make the interval short:

1. A control variate. The scores of a finished run on all items, or their mean over several, are known beforehand. What
   they say of the next score is taken off it: its own expectation is known exactly, so that the bet stays fair. The
   slope is that of least squares on the items asked before. Source: Shekhar, Xu, Lipton, Liang and Ramdas,
   *Risk-limiting financial audits via weighted sampling without replacement*, 2023 (side information).
2. Stakes for several horizons. A stake sqrt(2 log(1 / alpha) / (h v)) is best where the place is settled after h items,
   v being the variance of what is bet on. The capital is the mean of those of four horizons.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Horizons as odds: so many items asked for each that is left.
ODDS = (1 / 32, 1 / 7, 1 / 2, 2.0)
# No bet risks more than this share of the capital.
MOST = 0.95
# Before anything is known: two items of middling score and spread, and a slope of one half that eight items outweigh.
_SCORE, _VARIANCE, _SLOPE, _ITEMS = 0.5, 0.25, 0.5, 8.0
_STEPS = 40
_ROUNDING = 1e-9


class OneSided:
    """Bets that the mean of all scores is higher.

    Args:
        scores: those of the items asked so far, each from 0 to 1, in the order of asking.
        known: what is known beforehand of every item, from 0 to 1, in the same order.
        alpha: chance that `above` is ever wrong, whatever the number of looks.
    """

    def __init__(self, scores: NDArray[np.float64], known: NDArray[np.float64], alpha: float) -> None:
        import numpy as np

        n, self._total = len(scores), len(known)
        before = np.arange(n)
        self._scores, self._alpha = scores, alpha
        self._sums = _before(scores)
        self._left = self._total - before
        told, mean = known[:n], float(known.mean())
        expected = (known.sum() - _before(told)) / self._left
        # Slope, then variance, each of what was asked before.
        far, running = told - mean, (2 * _SCORE + np.cumsum(scores)) / (before + 2)
        weight = _ITEMS * float(((known - mean) ** 2).mean()) + _ROUNDING
        slopes = (weight * _SLOPE + _before(far * (scores - running))) / (weight + _before(far * far))
        slopes = np.clip(slopes, 0.0, 1.0)
        self._told = slopes * (told - expected)
        self._worst = slopes * (float(known.max()) - expected)
        rest = scores - slopes * far
        centre = (2 * _SCORE + np.cumsum(rest)) / (before + 2)
        variance = (_VARIANCE + _before((rest - centre) ** 2)) / (before + 1)
        horizons = np.asarray(ODDS)[:, None] * self._total
        self._stakes = np.sqrt(2 * math.log(1 / alpha) / (horizons * variance))

    def above(self, mean: float) -> bool:
        """Is the mean over all items shown to be above this one? A higher mean is never shown before a lower one."""
        import numpy as np

        expected = (self._total * mean - self._sums) / self._left
        rest, left = self._total * mean - float(self._scores.sum()), self._total - len(self._scores)
        if rest < -_ROUNDING:
            # Even if all that are left scored 0, the mean would be higher.
            return True
        if not len(expected) or rest > left:
            return False
        expected = np.maximum(expected, 0.0)
        stakes = np.minimum(self._stakes, MOST / (expected + self._worst + _ROUNDING))
        won = np.cumsum(np.log1p(stakes * (self._scores - expected - self._told)), axis=1)
        capital = np.logaddexp.reduce(won, axis=0) - math.log(len(ODDS))
        return float(capital.max()) >= math.log(1 / self._alpha)

    def bound(self) -> float:
        """The highest mean that it is shown to be above, from 0 to 1; 0 where that is none."""
        low, high = 0.0, 1.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.above(middle) else (low, middle)
        return low


class WholeMean:
    """The mean of all items by those asked so far: bets from either side, each with half of alpha.

    ``lows`` and ``highs`` are the least and the most that each item can have scored. They differ where an item has no
    score: the interval holds whatever that would have been.
    """

    def __init__(
        self, lows: NDArray[np.float64], highs: NDArray[np.float64], known: NDArray[np.float64], alpha: float
    ) -> None:
        self._rises = OneSided(lows, known, alpha / 2)
        self._falls = OneSided(1 - highs, 1 - known, alpha / 2)

    def above(self, mean: float) -> bool:
        """Is the mean of all items shown to be higher than this?"""
        return self._rises.above(mean)

    def below(self, mean: float) -> bool:
        """Is it shown to be lower?"""
        return self._falls.above(1 - mean)

    def interval(self) -> tuple[float, float]:
        """All means that are not shown to be wrong, from 0 to 1."""
        return self._rises.bound(), 1 - self._falls.bound()


def _before(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the values before each one."""
    import numpy as np

    return np.concatenate([[0.0], np.cumsum(values)[:-1]]) if len(values) else values
