"""What a part of the items is off by: for each past run, on a part that was chosen without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..adaptive.place import FEW_ITEMS
from .choose import chosen_items, filled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Chosen = Callable[[NDArray[np.float64]], NDArray[np.int64]]

ALPHA = 0.05


@dataclass(frozen=True)
class PartError:
    """How well parts of one size tell what all items tell, over runs that were left out.

    ``mean`` and ``largest`` absolute error of a left-out run's score; ``rank_correlation`` (Spearman) of the left-out
    runs' scores with those of all items. ``agreement``: share of the pairs of a left-out run and another whose verdict
    (better, worse, no difference shown) is that of all items; ``opposite``: of those that are better on one and worse
    on the other.
    """

    mean: float
    largest: float
    rank_correlation: float | None
    agreement: float
    opposite: float


def left_out(
    scores: NDArray[np.float64],
    documents: NDArray[np.int64],
    choose: Callable[[NDArray[np.float64]], NDArray[np.int64]],
) -> PartError:
    """Leave out one run after the other, choose by the rest, and hold the part's answer against that of all items.

    Args:
        scores: shape (runs, items); NaN is none.
        documents: the source document of each item.
        choose: places of a part, given the scores of the runs that may be looked at.
    """
    import numpy as np
    from scipy.stats import spearmanr

    runs, estimates, verdicts = len(scores), [], []
    means = np.nanmean(scores, axis=1)
    whole = filled(scores)
    full = {
        (one, other): verdict_of(whole[one] - whole[other], documents)
        for one in range(runs)
        for other in range(runs)
        if one < other
    }
    for run in range(runs):
        places = choose(np.delete(scores, run, axis=0))
        estimates.append(float(np.nanmean(scores[run, places])))
        for other in range(runs):
            if other == run:
                continue
            one, two = sorted((run, other))
            part = whole[:, places]
            verdicts.append((full[one, two], verdict_of(part[one] - part[two], documents[places])))
    errors = np.abs(np.array(estimates) - means)
    varied = np.ptp(estimates) > 0 and np.ptp(means) > 0
    ranked: Any = spearmanr(estimates, means) if varied else None
    return PartError(
        mean=float(errors.mean()),
        largest=float(errors.max()),
        rank_correlation=None if ranked is None else float(ranked.statistic),
        agreement=float(np.mean([one == two for one, two in verdicts])),
        opposite=float(np.mean([one * two < 0 for one, two in verdicts])),
    )


def compared_with_chance(
    scores: NDArray[np.float64],
    documents: NDArray[np.int64],
    categories: Sequence[str | None],
    n: int,
    draw: np.random.Generator,
    repeats: int = 20,
) -> tuple[PartError, PartError]:
    """(error of chosen parts, mean error of random parts) of n items."""
    import numpy as np

    chosen = left_out(scores, documents, lambda past: chosen_items(past, categories, n, draw))
    total = scores.shape[1]
    by_chance = [
        left_out(scores, documents, lambda past: np.sort(draw.choice(total, n, replace=False))) for _ in range(repeats)
    ]
    ranks = [each.rank_correlation for each in by_chance if each.rank_correlation is not None]
    return chosen, PartError(
        mean=float(np.mean([each.mean for each in by_chance])),
        largest=float(np.mean([each.largest for each in by_chance])),
        rank_correlation=float(np.mean(ranks)) if ranks else None,
        agreement=float(np.mean([each.agreement for each in by_chance])),
        opposite=float(np.mean([each.opposite for each in by_chance])),
    )


def verdict_of(differences: NDArray[np.float64], documents: NDArray[np.int64]) -> int:
    """1, -1 or 0: is the mean shown to be above or below 0, by the cluster-robust t test?

    Degrees of freedom are the effective documents less one; fewer than six items that differ show nothing.
    """
    import numpy as np
    from scipy.stats import t

    _, numbers = np.unique(documents, return_inverse=True)
    sizes = np.bincount(numbers)
    if len(sizes) < 2 or int((np.abs(differences) > 1e-9).sum()) < FEW_ITEMS:
        return 0
    mean = float(differences.mean())
    sums = np.bincount(numbers, weights=differences) - sizes * mean
    error = float(np.sqrt(len(sizes) / (len(sizes) - 1) * (sums**2).sum())) / len(differences)
    effective = float(sizes.sum() ** 2 / (sizes**2).sum())
    shown = abs(mean) > float(t.ppf(1 - ALPHA / 2, max(1.0, effective - 1))) * error
    return int(np.sign(mean)) if shown else 0
