"""Two runs by a corpus score (BLEU, chrF, TER): tests on sums of sufficient statistics.

A corpus score is a function of summed rows, so a resample costs one product of matrices. Whole source documents are
swapped or drawn, never single items of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]

RESAMPLES = 10_000
# Numbers held at a time (32 MB).
_BLOCK = 1 << 22


@dataclass(frozen=True)
class CorpusDifference:
    """Score of the run minus that of the other, its interval by paired bootstrap, p by approximate randomisation.

    ``p`` is two-sided; ``p_below`` is small where the difference is lower than chance makes it, ``p_above`` where it is
    higher.
    """

    delta: float
    ci_low: float | None
    ci_high: float | None
    p: float
    p_below: float
    p_above: float
    resamples: int


def corpus_difference(
    run: NDArray[np.float64],
    other: NDArray[np.float64],
    score: Score,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> CorpusDifference:
    """Compare two runs by rows of additive statistics summed within clusters, shape (G, k), the same clusters in order.

    ``score`` maps summed rows (B, k) to B corpus scores. p: share of 10,000 random swaps of whole clusters between the
    two with a difference at least as large, (c + 1) / (R + 1), two-sided (Noreen 1989; Riezler and Maxwell 2005). The
    interval is the percentile interval of the difference over clusters drawn with replacement; None with one cluster.
    """
    import numpy as np

    total = np.stack([run.sum(axis=0), other.sum(axis=0)])
    scores = score(total)
    delta = float(scores[0] - scores[1])
    reached = below = above = 0
    for swapped in _blocks(resamples, len(run), seed, _swaps):
        first = total[1] + swapped @ (run - other)
        difference = score(first) - score(total.sum(axis=0) - first)
        reached += int((np.abs(difference) >= abs(delta) - 1e-12).sum())
        below += int((difference <= delta + 1e-12).sum())
        above += int((difference >= delta - 1e-12).sum())
    low = high = None
    if len(run) > 1:
        drawn = [score(counts @ run) - score(counts @ other) for counts in _blocks(resamples, len(run), seed, _draws)]
        spread = np.concatenate(drawn)
        if np.isfinite(spread).all():
            low, high = (float(end) for end in np.quantile(spread, [(1 - level) / 2, (1 + level) / 2]))
    p, p_below, p_above = ((count + 1) / (resamples + 1) for count in (reached, below, above))
    return CorpusDifference(delta, low, high, p, p_below, p_above, resamples)


def _blocks(
    resamples: int, groups: int, seed: int, make: Callable[[np.random.Generator, int, int], NDArray[np.float64]]
) -> Iterator[NDArray[np.float64]]:
    import numpy as np

    generator = np.random.default_rng([seed, groups])
    height = max(1, min(resamples, _BLOCK // groups))
    for start in range(0, resamples, height):
        yield make(generator, min(height, resamples - start), groups)


def _swaps(generator: np.random.Generator, size: int, groups: int) -> NDArray[np.float64]:
    """1 where a cluster stays with its run, 0 where it is swapped."""
    import numpy as np

    return generator.integers(0, 2, (size, groups), dtype=np.int8).astype(np.float64)


def _draws(generator: np.random.Generator, size: int, groups: int) -> NDArray[np.float64]:
    """How often each cluster is drawn."""
    import numpy as np

    chosen = generator.integers(0, groups, (size, groups)) + np.arange(size)[:, None] * groups
    return np.bincount(chosen.ravel(), minlength=size * groups).reshape(size, groups).astype(np.float64)
