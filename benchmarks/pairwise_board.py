"""Claim: a board of 50 runs, 14 metrics and 5,000 items is tested pair by pair in under a minute, below 2 GB.

Makes scores from a seed (right or wrong, F1 of few words, and smooth ones; runs that differ a little; items of one
document alike) and ranks the runs in every metric with `rank_values`, which `telbench compare` calls: 17,150 pairs,
each with the cluster sign-flip test, the interval that inverts it and Wilcoxon's test, Holm-corrected, with rank ranges
and letters. Prints CPU seconds (one thread) and peak memory.

Then a sample of pairs is tested by scipy at its best, all rows in one call (`scipy.stats.wilcoxon`, ``axis=1``), by a
loop over the same function, and by the batch of telbench, in turns, on document means and on items. Prints the CPU
milliseconds of a pair, both ratios, and the largest relative difference of a p-value from either. Each time is the
least over rounds: other processes take caches and clock rate away, and what they add to CPU time belongs to neither.

Last, two runs of 100,000 and of 1,000,000 items are compared with `paired_difference` (all that a row of `telbench
compare` needs), right or wrong, of two decimals and smooth, in documents and without.

Exits with 1 beyond 60 CPU seconds or 2 GB for the board, below a ratio of 8 to the loop or of 2 to the single call,
where a p-value differs by more than 1e-9 of itself, or beyond 1.5 and 20 CPU seconds or 2 GB for two runs.

    python benchmarks/pairwise_board.py [--runs 50] [--metrics 14] [--items 5000] [--unit document]
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from telbench.leaderboard.compare.ranking import Ranking, rank_values
from telbench.leaderboard.statistics.paired import differences_of, paired_difference
from telbench.leaderboard.statistics.signed_rank import signed_ranks
from telbench.metrics.contract import metrics_named

SECONDS, MEMORY_GB, TOLERANCE = 60.0, 2.0, 1e-9
LOOP_RATIO, CALL_RATIO = 8.0, 2.0
# CPU seconds by number of items of two runs.
TWO_RUNS = {100_000: 1.5, 1_000_000: 20.0}
UNITS = ("document", "item")
KINDS = ("smooth", "two decimals", "right or wrong")
SAMPLE, ROUNDS = 200, 9
DOCUMENT = 8


def membership_of(items: int, unit: str, draw: np.random.Generator) -> NDArray[np.intp]:
    """The document of each item; eight items a document on average, most documents smaller (TeleQuAD: 4,262 in 533)."""
    if unit == "item":
        return np.arange(items)
    sizes = draw.geometric(1 / DOCUMENT, items)
    return np.repeat(np.arange(items), sizes)[:items]


def scores_of(kind: int, runs: int, membership: NDArray[np.intp], draw: np.random.Generator) -> NDArray[np.float64]:
    """Values of one metric, shape (runs, items), from 0 to 1: smooth, of two decimals, or right and wrong, by turns."""
    items = len(membership)
    hardness = draw.normal(0.5, 0.15, items) + draw.normal(0, 0.1, membership.max() + 1)[membership]
    quality = draw.normal(0, 0.02, (runs, 1)) + draw.normal(0, 0.03, (runs, membership.max() + 1))[:, membership]
    smooth = np.clip(hardness + quality + draw.normal(0, 0.15, (runs, items)), 0, 1)
    return (smooth, np.round(smooth, 2), (smooth > 0.5).astype(np.float64))[kind % 3]


def peak_gb() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def board(arguments: argparse.Namespace) -> tuple[float, list[Ranking]]:
    """CPU seconds of all rankings, and the rankings; making the scores is not counted."""
    (metric,) = metrics_named(["token_f1"])
    names = [f"run {number}" for number in range(arguments.runs)]
    seconds, rankings = 0.0, []
    for kind in range(arguments.metrics):
        draw = np.random.default_rng([arguments.seed, kind])
        membership = membership_of(arguments.items, arguments.unit, draw)
        values = scores_of(kind, arguments.runs, membership, draw)
        start = time.process_time()
        rankings.append(rank_values(values, membership, metric, names))
        seconds += time.process_time() - start
    return seconds, rankings


def against_scipy(items: int, unit: str, kind: int, seed: int) -> tuple[float, float, float, float]:
    """Milliseconds a pair of scipy's loop, scipy's single call and telbench; largest relative difference of a p."""
    draw = np.random.default_rng([seed, kind])
    membership = membership_of(items, unit, draw)
    scores = scores_of(kind, 2 * SAMPLE, membership, draw)
    sizes = np.bincount(membership)
    means = np.array([np.bincount(membership, weights=row) / sizes for row in scores], np.float64)
    here, there = means[:SAMPLE], means[SAMPLE:]
    turns: list[tuple[float, float, float]] = []
    worst = 0.0
    for _ in range(ROUNDS):
        times = [time.process_time()]
        looped: list[Any] = [stats.wilcoxon(np.round(a - b, 9)) for a, b in zip(here, there, strict=True)]
        times.append(time.process_time())
        called: Any = stats.wilcoxon(np.round(here - there, 9), axis=1)
        times.append(time.process_time())
        found = signed_ranks(here - there)
        times.append(time.process_time())
        turns.append((times[1] - times[0], times[2] - times[1], times[3] - times[2]))
        for expected in (np.array([each.pvalue for each in looped]), called.pvalue):
            worst = max(worst, float(np.abs(found / expected - 1).max()))
    loop, call, ours = (min(column) * 1e3 / SAMPLE for column in zip(*turns, strict=True))
    return loop, call, ours, worst


def two_runs(items: int, kind: int, unit: str) -> float:
    """CPU seconds of one comparison of two runs of many items."""
    draw = np.random.default_rng([items, kind])
    membership = membership_of(items, unit, draw)
    base = draw.random(items)
    other = np.clip(base + draw.normal(0, 0.1, items), 0, 1)
    if kind == 1:
        base, other = np.round(base, 2), np.round(other, 2)
    if kind == 2:
        base = (base > 0.5).astype(np.float64)
        other = np.where(draw.random(items) < 0.9, base, 1 - base)
    clusters = None if unit == "item" else [f"document {number}" for number in membership.tolist()]
    start = time.process_time()
    paired_difference(differences_of(base, other), clusters, adjusted_wald=False)
    return time.process_time() - start


def main() -> int:
    """Measure and print; 0 when every bound holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--metrics", type=int, default=14)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--unit", choices=("document", "item"), default="document")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    seconds, rankings = board(arguments)
    pairs = sum(len(ranking.pairs) for ranking in rankings)
    separated = sum(pair.p_wilcoxon_adjusted <= 0.05 for ranking in rankings for pair in ranking.pairs)
    print(
        f"{pairs:,} pairs, about {rankings[0].blocks} blocks each: {seconds:.1f} CPU seconds "
        f"({seconds * 1e3 / pairs:.2f} ms a pair), peak memory {peak_gb():.2f} GB; {separated:,} pairs are separated"
    )
    fine = seconds <= SECONDS and peak_gb() <= MEMORY_GB
    print(f"{'Wilcoxon, a pair':28} {'loop':>9} {'one call':>9} {'telbench':>9} {'ratios':>15} {'difference':>11}")
    for unit in UNITS:
        for kind, name in enumerate(KINDS):
            loop, call, ours, worst = against_scipy(arguments.items, unit, kind, arguments.seed)
            print(
                f"{unit + 's, ' + name:28} {loop:6.3f} ms {call:6.3f} ms {ours:6.4f} ms {loop / ours:6.1f}x "
                f"{call / ours:6.1f}x {worst:11.1e}",
                flush=True,
            )
            fine = fine and loop / ours >= LOOP_RATIO and call / ours >= CALL_RATIO and worst <= TOLERANCE
    for items, most in TWO_RUNS.items():
        taken = {(unit, name): two_runs(items, kind, unit) for unit in UNITS for kind, name in enumerate(KINDS)}
        told = ", ".join(f"{unit}s, {name} {seconds:.2f} s" for (unit, name), seconds in taken.items())
        print(f"two runs of {items:,} items: {told}; peak memory {peak_gb():.2f} GB")
        fine = fine and max(taken.values()) <= most and peak_gb() <= MEMORY_GB
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
