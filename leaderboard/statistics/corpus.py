"""Two runs by a corpus score (BLEU, chrF, TER): tests on sums of sufficient statistics.

A corpus score is a function of summed rows, so a resample costs one product of matrices. Whole source documents are
swapped or drawn, never single items of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from ...metrics.threads import one_thread
from . import sign_flip
from .clusters import Summed, summed_up

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]

RESAMPLES = 10_000
# Numbers held at a time (1 MB, so that they stay in the cache of a core).
_BLOCK = 1 << 17
# Draws that are kept for the next metric (32 MB).
_KEPT = 1 << 25
# Share of a statistic's total by which it is moved to see the slope of the score.
_STEP = 1e-5
# Relative to what is summed: the error of a slope that is known to `_STEP`.
_ROUNDING = 1e-9
# Differences of sums are rounded to so many decimals: slopes are known to no more, and noise must not break ties.
SUM_DECIMALS = 6


@dataclass(frozen=True)
class CorpusDifference:
    """Score of the run minus that of the other, with the sign-flip test of its sums (`difference_sums`).

    ``p`` is two-sided; ``p_below`` is small where the difference is lower than chance makes it, ``p_above`` where it is
    higher. ``ci_low`` and ``ci_high`` are the interval of the same test. Beside them stand ``p_swaps``, by approximate
    randomisation, and the ends of the paired bootstrap's interval, from so many ``resamples`` each; None without any.
    """

    delta: float
    ci_low: float | None
    ci_high: float | None
    p: float
    p_below: float
    p_above: float
    resamples: int = 0
    p_swaps: float | None = None
    bootstrap_low: float | None = None
    bootstrap_high: float | None = None


def difference_sums(run: NDArray[np.float64], other: NDArray[np.float64], score: Score) -> NDArray[np.float64]:
    """The difference of two corpus scores as sums of clusters, shape (G,): they add up to it times the number of items.

    A cluster's part is the slope of the score half way between the two totals, times the difference of the cluster's
    rows: to second order what a swap of the cluster changes (the infinitesimal jackknife, Efron 1982, at the point that
    swaps leave where it is). Of a mean these are the plain sums of differences, of TER edits over words. So what tests
    sums of items tests corpus scores too. What the slope leaves of the difference is shared by number of items. ``run``
    and ``other`` have shape (G, k), their last column counts items.
    """
    import numpy as np

    totals, sizes = np.stack([run.sum(axis=0), other.sum(axis=0)]), run[:, -1]
    middle = totals.mean(axis=0)
    steps = _STEP * np.maximum(np.abs(middle), np.abs(np.vstack([run, other])).max(axis=0))
    moved = score(middle + np.diag(steps)) - score(middle - np.diag(steps))
    # A statistic that is 0 everywhere moves nothing.
    slopes, count = moved / np.where(steps > 0, 2 * steps, 1.0), float(sizes.sum())
    here, there = score(totals).tolist()
    # Differences first: where they are 0, so is the part.
    parts = count * ((run - other) @ slopes)
    left = (here - there) * count - float(parts.sum())
    # What is left of a straight line is the error of its slope, not of the line.
    return parts if abs(left) <= _ROUNDING * float(np.abs(parts).sum()) else parts + sizes * (left / count)


def corpus_difference(
    run: NDArray[np.float64],
    other: NDArray[np.float64],
    score: Score,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[CorpusDifference, Summed]:
    """Compare two runs by rows of additive statistics summed within clusters, shape (G, k), the same clusters in order.

    The last column of the rows counts items. ``score`` maps summed rows (B, k) to B corpus scores. The second that is
    given are the sums that are tested. Without ``resamples`` nothing is swapped and drawn, which takes the most time.
    """
    import numpy as np

    ours, theirs = score(np.stack([run.sum(axis=0), other.sum(axis=0)])).tolist()
    data = summed_up(np.round(difference_sums(run, other, score), SUM_DECIMALS) + 0.0, run[:, -1])
    interval = sign_flip.interval(data, level) or (None, None)
    two_sided = float(sign_flip.two_sided(data.sums))
    found = CorpusDifference(
        ours - theirs, *interval, two_sided, sign_flip.greater(-data.sums), sign_flip.greater(data.sums)
    )
    return _resampled(found, run, other, score, resamples, level, seed) if resamples else found, data


@one_thread()
def _resampled(
    found: CorpusDifference,
    run: NDArray[np.float64],
    other: NDArray[np.float64],
    score: Score,
    resamples: int,
    level: float,
    seed: int,
) -> CorpusDifference:
    """The same with what swaps and draws say.

    ``p_swaps``: share of random swaps of whole clusters between the two with a difference at least as large,
    (c + 1) / (R + 1), two-sided (Noreen 1989; Riezler and Maxwell 2005). The bootstrap's interval is the percentile
    interval of the difference over clusters drawn with replacement; None with one cluster.
    """
    import numpy as np

    total = np.stack([run.sum(axis=0), other.sum(axis=0)])
    reached = 0
    for swapped in _swaps(len(run), resamples, seed):
        first = total[1] + swapped @ (run - other)
        difference = score(first) - score(total.sum(axis=0) - first)
        reached += int((np.abs(difference) >= abs(found.delta) - 1e-12).sum())
    low = high = None
    if len(run) > 1:
        spread = bootstrap_differences(run, other, score, resamples=resamples, seed=seed)
        if np.isfinite(spread).all():
            low, high = (float(end) for end in np.quantile(spread, [(1 - level) / 2, (1 + level) / 2]))
    p_swaps = (reached + 1) / (resamples + 1)
    return replace(found, resamples=resamples, p_swaps=p_swaps, bootstrap_low=low, bootstrap_high=high)


@one_thread()
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
