"""Two runs by a corpus score (BLEU, chrF, TER): tests on sums of sufficient statistics.

A corpus score is a function of summed rows, so a resample costs one product of matrices. Whole source documents are
swapped or drawn, never single items of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    return corpus_differences([run], other, score, resamples=resamples, level=level, seed=seed)[0]


def corpus_differences(
    runs: Sequence[NDArray[np.float64]],
    other: NDArray[np.float64],
    score: Score,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> list[tuple[CorpusDifference, Summed]]:
    """`corpus_difference` of many runs with the same other one. All are swapped and drawn alike: draws are shared."""
    import numpy as np

    deltas, data = [], []
    for run in runs:
        ours, theirs = score(np.stack([run.sum(axis=0), other.sum(axis=0)])).tolist()
        deltas.append(ours - theirs)
        data.append(summed_up(np.round(difference_sums(run, other, score), SUM_DECIMALS) + 0.0, run[:, -1]))
    p = [float(sign_flip.two_sided(each.sums)) for each in data]
    ends = sign_flip.intervals(data, [level] * len(data), p)
    found = [
        CorpusDifference(
            delta, *(interval or (None, None)), chance, sign_flip.greater(-each.sums), sign_flip.greater(each.sums)
        )
        for delta, interval, chance, each in zip(deltas, ends, p, data, strict=True)
    ]
    if resamples:
        found = _resampled(found, runs, other, score, resamples, level, seed)
    return list(zip(found, data, strict=True))


@one_thread()
def _resampled(
    found: Sequence[CorpusDifference],
    runs: Sequence[NDArray[np.float64]],
    other: NDArray[np.float64],
    score: Score,
    resamples: int,
    level: float,
    seed: int,
) -> list[CorpusDifference]:
    """The same with what swaps and draws say.

    ``p_swaps``: share of random swaps of whole clusters between the two with a difference at least as large,
    (c + 1) / (R + 1), two-sided (Noreen 1989; Riezler and Maxwell 2005). The bootstrap's interval is the percentile
    interval of the difference over clusters drawn with replacement; None with one cluster.
    """
    import numpy as np

    own, width = other.sum(axis=0), other.shape[1]
    totals = [np.stack([run.sum(axis=0), own]) for run in runs]
    between, reached = np.hstack([run - other for run in runs]), [0] * len(runs)
    for swapped in _swaps(len(other), resamples, seed):
        moved = swapped @ between
        for place, (each, total) in enumerate(zip(found, totals, strict=True)):
            first = own + moved[:, place * width : (place + 1) * width]
            difference = score(first) - score(total.sum(axis=0) - first)
            reached[place] += int((np.abs(difference) >= abs(each.delta) - 1e-12).sum())
    many = len(other) > 1
    spreads = _drawn(runs, other, score, resamples, seed) if many else [None] * len(runs)
    made = []
    for each, count, spread in zip(found, reached, spreads, strict=True):
        low = high = None
        if spread is not None and np.isfinite(spread).all():
            low, high = (float(end) for end in np.quantile(spread, [(1 - level) / 2, (1 + level) / 2]))
        p_swaps = (count + 1) / (resamples + 1)
        made.append(replace(each, resamples=resamples, p_swaps=p_swaps, bootstrap_low=low, bootstrap_high=high))
    return made


@one_thread()
def bootstrap_differences(
    run: NDArray[np.float64], other: NDArray[np.float64], score: Score, *, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Score of the run minus that of the other on clusters drawn with replacement, shape (resamples,): Efron 1979.

    Both are scored on the same draws. Rows as in `corpus_difference`.
    """
    return _drawn([run], other, score, resamples, seed)[0]


def _drawn(
    runs: Sequence[NDArray[np.float64]], other: NDArray[np.float64], score: Score, resamples: int, seed: int
) -> list[NDArray[np.float64]]:
    import numpy as np

    together, width = np.hstack([*runs, other]), other.shape[1]
    spreads = np.empty((len(runs), resamples))
    done = 0
    for counts in _counts(len(other), resamples, seed):
        sums = counts @ together
        there = score(sums[:, -width:])
        for place, spread in enumerate(spreads):
            spread[done : done + len(counts)] = score(sums[:, place * width : (place + 1) * width]) - there
        done += len(counts)
    return list(spreads)


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
