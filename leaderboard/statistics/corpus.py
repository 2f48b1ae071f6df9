"""Two runs by a corpus score (BLEU, chrF, TER): tests on sums of sufficient statistics.

A corpus score is a function of summed rows, so a resample costs one product of matrices. Whole source documents are
swapped or drawn, never single items of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]

RESAMPLES = 10_000
# Numbers held at a time (1 MB, so that they stay in the cache of a core).
_BLOCK = 1 << 17
# Draws that are kept for the next metric (32 MB).
_KEPT = 1 << 25


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
    for swapped in _swaps(len(run), resamples, seed):
        first = total[1] + swapped @ (run - other)
        difference = score(first) - score(total.sum(axis=0) - first)
        reached += int((np.abs(difference) >= abs(delta) - 1e-12).sum())
        below += int((difference <= delta + 1e-12).sum())
        above += int((difference >= delta - 1e-12).sum())
    low = high = None
    if len(run) > 1:
        spread = bootstrap_differences(run, other, score, resamples=resamples, seed=seed)
        if np.isfinite(spread).all():
            low, high = (float(end) for end in np.quantile(spread, [(1 - level) / 2, (1 + level) / 2]))
    p, p_below, p_above = ((count + 1) / (resamples + 1) for count in (reached, below, above))
    return CorpusDifference(delta, low, high, p, p_below, p_above, resamples)


def bootstrap_differences(
    run: NDArray[np.float64], other: NDArray[np.float64], score: Score, *, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Score of the run minus that of the other on clusters drawn with replacement, shape (resamples,): Efron 1979.

    Both are scored on the same draws. Rows as in `corpus_difference`.
    """
    import numpy as np

    both, sums = np.hstack([run, other]), np.empty((resamples, 2 * run.shape[1]))
    done = 0
    for counts in _counts(len(run), resamples, seed):
        np.matmul(counts, both, out=sums[done : done + len(counts)])
        done += len(counts)
    here, there = np.split(sums, 2, axis=1)
    return score(here) - score(there)


def _counts(groups: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each cluster is drawn, some of the resamples at a time; what is given is written over by the next."""
    import numpy as np

    kept = _kept_draws(groups, resamples, seed) if groups * resamples <= _KEPT else None
    generator = np.random.default_rng([seed, groups])
    # One array for all blocks: to get a new one costs more than what is done with it.
    counts = np.empty((max(1, min(resamples, _BLOCK // groups)), groups))
    for start in range(0, resamples, len(counts)):
        part = counts[: resamples - start]
        if kept is None:
            _draw(generator, part)
        else:
            part[:] = kept[start : start + len(part)]
        yield part


@lru_cache(maxsize=1)
def _kept_draws(groups: int, resamples: int, seed: int) -> NDArray[np.uint8]:
    """All draws: the metrics and runs of one comparison share them. A cluster is never drawn 256 times by chance."""
    import numpy as np

    counts = np.empty((resamples, groups), np.uint8)
    _draw(np.random.default_rng([seed, groups]), counts)
    return counts


def _draw(generator: np.random.Generator, counts: NDArray[np.float64] | NDArray[np.uint8]) -> None:
    import numpy as np

    groups = counts.shape[1]
    for row in counts:
        row[:] = np.bincount(generator.integers(0, groups, groups), minlength=groups)


def _swaps(groups: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """1 where a cluster stays with its run, 0 where it is swapped; some of the resamples at a time."""
    import numpy as np

    generator = np.random.default_rng([seed, groups])
    height = max(1, min(resamples, _BLOCK // groups))
    for start in range(0, resamples, height):
        size = min(height, resamples - start)
        yield generator.integers(0, 2, (size, groups), dtype=np.int8).astype(np.float64)
