"""Which items stand for all: spread evenly over difficulty, drawn so that past runs keep their scores.

Items are sorted by how hard they were for past runs, roughly, and every N / n-th is taken from a random start
(systematic sampling). So every item has the same chance, and the plain mean of a part estimates the mean of all
without bias, whatever model comes: no item needs a weight. It varies less than that of a random part by what difficulty
explains. Of many such draws the one is kept on which the past runs' means, and the shares of the categories, are
nearest to those of all (rejective sampling, Hajek 1964). That may favour past runs: how much is measured by runs that
were not looked at (`error`).

Difficulty is the mean over runs. In a Rasch model it says all that right and wrong answers say of an item. A second
number an item, such as its discrimination, is not told by a dozen runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 200
# Equal difficulties are put in another order by each draw.
_TIES = 1e-6


def chosen_items(
    scores: NDArray[np.float64], categories: Sequence[str | None], n: int, draw: np.random.Generator
) -> NDArray[np.int64]:
    """Places of n items, in order.

    Args:
        scores: shape (runs, items), of past runs; NaN is none.
        categories: of the items; None is a category too.
        n: how many, fewer than there are.
        draw: where chance comes from.
    """
    import numpy as np

    hardness = filled(scores).mean(axis=0)
    means = np.nanmean(scores, axis=1)
    spread = float(np.nanstd(scores)) or 1.0
    _, numbers = np.unique([str(each) for each in categories], return_inverse=True)
    shares = np.bincount(numbers) / len(numbers)
    best, least = np.arange(0), np.inf
    for _ in range(DRAWS):
        places = _spread_over(hardness + _TIES * draw.random(len(hardness)), n, draw)
        off = np.nan_to_num(np.nanmean(scores[:, places], axis=1) - means) / spread
        part = np.bincount(numbers[places], minlength=len(shares)) / n
        # Of a random part both sums are about (runs or categories) / n.
        distance = float((off**2).mean()) + float(((part - shares) ** 2 / shares).mean())
        if distance < least:
            best, least = places, distance
    return best


def filled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores with each run's mean for what is missing."""
    import numpy as np

    return np.where(np.isnan(scores), np.nanmean(scores, axis=1, keepdims=True), scores)


def _spread_over(hardness: NDArray[np.float64], n: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Places of n items spread evenly over hardness, each item with the same chance n / N, in order.

    Neighbours change places at random, within a stratum's width. Then every N / n-th is taken, from a random start.
    """
    import numpy as np

    total = len(hardness)
    ranks = np.argsort(np.argsort(hardness)) + total / n * draw.random(total)
    points = np.floor((np.arange(n) + draw.random()) * (total / n)).astype(np.int64)
    return np.sort(np.argsort(ranks)[points])
