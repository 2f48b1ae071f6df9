"""Claim: a board of 50 runs, 14 metrics and 5,000 items is tested pair by pair in under a minute, below 2 GB.

Makes scores from a seed (right or wrong, F1 of few words, and smooth ones; runs that differ a little; items of one
document alike) and ranks the runs in every metric with `rank_values`, which `telbench compare` calls: 17,150 pairs,
each with the cluster sign-flip test, the interval that inverts it and Wilcoxon's test, Holm-corrected, with rank ranges
and letters. Prints CPU seconds (one thread) and peak memory. Then a sample of pairs
is tested by a loop over `scipy.stats.wilcoxon` and by the batch of telbench, in turns, on document means and on items;
prints the ratio of CPU seconds (median over rounds) and the largest relative difference of a p-value. Exits with 1
beyond 60 CPU seconds or 2 GB, below a ratio of 20, or where a p-value differs by more than 1e-9 of itself.

    python benchmarks/pairwise_board.py [--runs 50] [--metrics 14] [--items 5000] [--unit document]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from telbench.leaderboard.compare.ranking import Ranking, rank_values
from telbench.leaderboard.statistics.signed_rank import signed_ranks
from telbench.metrics.contract import metrics_named

SECONDS, MEMORY_GB, RATIO, TOLERANCE = 60.0, 2.0, 20.0, 1e-9
SAMPLE, ROUNDS = 200, 5
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


def against_scipy(items: int, unit: str, kind: int, seed: int) -> tuple[float, float, float]:
    """Milliseconds of scipy and of telbench for one pair, and the largest relative difference of a p-value."""
    draw = np.random.default_rng([seed, kind])
    membership = membership_of(items, unit, draw)
    scores = scores_of(kind, 2 * SAMPLE, membership, draw)
    sizes = np.bincount(membership)
    means = np.array([np.bincount(membership, weights=row) / sizes for row in scores], np.float64)
    here, there = means[:SAMPLE], means[SAMPLE:]
    theirs, ours, worst = [], [], 0.0
    for _ in range(ROUNDS):
        start = time.process_time()
        expected: list[Any] = [stats.wilcoxon(np.round(a - b, 9)) for a, b in zip(here, there, strict=True)]
        middle = time.process_time()
        found = signed_ranks(here - there)
        ours.append(time.process_time() - middle)
        theirs.append(middle - start)
        worst = max(worst, *(abs(p / each.pvalue - 1) for p, each in zip(found, expected, strict=True)))
    return statistics.median(theirs) * 1e3 / SAMPLE, statistics.median(ours) * 1e3 / SAMPLE, worst


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
    print(f"{'Wilcoxon, a pair':28} {'scipy':>9} {'telbench':>9} {'ratio':>7} {'difference':>11}")
    for unit in ("document", "item"):
        for kind, name in enumerate(("smooth", "two decimals", "right or wrong")):
            theirs, ours, worst = against_scipy(arguments.items, unit, kind, arguments.seed)
            print(f"{unit + 's, ' + name:28} {theirs:6.3f} ms {ours:6.4f} ms {theirs / ours:6.1f}x {worst:11.1e}")
            fine = fine and theirs / ours >= RATIO and worst <= TOLERANCE
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
