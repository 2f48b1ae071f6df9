"""Claim: the paired bootstrap of BLEU, chrF and TER takes a tenth of sacrebleu's time, or less, and less memory.

Two made systems (reference words with errors, from a seed) are scored once; what is measured is the resampling: a
thousand draws of the items with replacement, both systems scored on each, in three metrics. sacrebleu's own way (its
scoring functions on gathered statistics, as `sacrebleu --paired-bs` calls them) and
`telbench.leaderboard.statistics.corpus` take turns for five rounds, each package with its own statistics, both with the
same drawn items; both draw once for the three metrics. Prints the median CPU milliseconds and the ratio, then the
largest memory that numpy and Python asked for meanwhile (draws included, traced in a round that is not timed) and the
largest difference of any of the thousand differences of scores. sacrebleu sums in single precision: it is held to 0.001
points of 100. Exits with 1 where the ratio of a metric or of the total is below 10, where memory is not less, or where
a value differs by more.

    python benchmarks/corpus_bootstrap.py [--items 3000] [--resamples 1000]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from telbench.leaderboard.statistics import corpus
from telbench.metrics.contract import Metric, Sample, metrics_named
from telbench.metrics.intervals import statistics_matrix

RATIO, TOLERANCE, ROUNDS, SEED = 10.0, 1e-3, 5, 0
PEERS: dict[str, Callable[[], Any]] = {"bleu": BLEU, "chrf": CHRF, "ter": TER}


def made_texts(items: int) -> tuple[list[str], list[str], list[str]]:
    """References, and two systems that get 30 and 32 of 100 words wrong."""
    draw = np.random.default_rng(SEED)
    words = np.array([f"{stem}{number}" for stem in ("gnb", "amf", "slice", "beam") for number in range(75)])
    references = [words[draw.integers(0, len(words), draw.integers(8, 30))] for _ in range(items)]

    def system(errors: float) -> list[str]:
        texts = []
        for reference in references:
            wrong = words[draw.integers(0, len(words), len(reference))]
            texts.append(" ".join(np.where(draw.random(len(reference)) < errors, wrong, reference)))
        return texts

    return [" ".join(reference) for reference in references], system(0.30), system(0.32)


def own_statistics(metric: Metric, predictions: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """Additive statistics of the items, as telbench computes them."""
    pairs = enumerate(zip(predictions, references, strict=True))
    scores = metric.score([Sample(str(index), text, (reference,)) for index, (text, reference) in pairs])
    return statistics_matrix(metric, scores)[:, :-1]


def peer_differences(peer: Any, sides: Sequence[Any], indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """What sacrebleu's paired bootstrap computes from drawn indices, shape (resamples, items)."""
    scores = []
    for side in sides:
        gathered = np.array(side, dtype="float32")[indices]
        scores.append(np.array([peer._compute_score_from_stats(rows.sum(0)).score for rows in gathered]))
    return scores[0] - scores[1]


def drawn(items: int, resamples: int) -> NDArray[np.int64]:
    """Indices as sacrebleu draws them, from the generator that telbench uses, so that both see the same items."""
    return np.random.default_rng([SEED, items]).integers(0, items, (resamples, items))


def traced(compute: Callable[[], NDArray[np.float64]]) -> tuple[float, NDArray[np.float64]]:
    """Largest memory in MB while it runs, and what it gives."""
    tracemalloc.start()
    found = compute()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return peak, found


def timed(compute: Callable[[], Any]) -> float:
    """CPU milliseconds."""
    start = time.process_time()
    compute()
    return (time.process_time() - start) * 1e3


def main() -> int:
    """Measure and print; 0 when every bound holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=3_000)
    parser.add_argument("--resamples", type=int, default=1_000)
    arguments = parser.parse_args()
    items, resamples = arguments.items, arguments.resamples
    references, *systems = made_texts(items)
    metrics = metrics_named(sorted(PEERS))
    peers = {name: make() for name, make in PEERS.items()}
    theirs = {
        name: [peer._extract_corpus_statistics(one, [references]) for one in systems] for name, peer in peers.items()
    }
    ours = {metric.name: [own_statistics(metric, one, references) for one in systems] for metric in metrics}
    scores = {metric.name: metric.aggregate for metric in metrics}

    def sacrebleu(name: str, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        return peer_differences(peers[name], theirs[name], indices)

    def telbench(name: str) -> NDArray[np.float64]:
        score = scores[name]
        assert score is not None
        return corpus.bootstrap_differences(ours[name][0], ours[name][1], score, resamples=resamples, seed=SEED)

    def peer_with_draws(name: str) -> NDArray[np.float64]:
        return sacrebleu(name, drawn(items, resamples))

    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in ("draws", *scores, "total")}
    for _ in range(ROUNDS):
        corpus._kept_draws.cache_clear()
        rows["draws"].append(
            (timed(lambda: drawn(items, resamples)), timed(lambda: corpus._kept_draws(items, resamples, SEED)))
        )
        indices = drawn(items, resamples)
        for name in scores:
            rows[name].append((timed(partial(sacrebleu, name, indices)), timed(partial(telbench, name))))
        both = [rows[name][-1] for name in ("draws", *scores)]
        rows["total"].append((sum(slow for slow, _ in both), sum(fast for _, fast in both)))

    print(f"{items:,} items, {resamples:,} resamples\n{'':6} {'sacrebleu':>12} {'telbench':>12} {'ratio':>7}")
    ratios = {}
    for name, turns in rows.items():
        slow, fast = (statistics.median(column) for column in zip(*turns, strict=True))
        ratios[name] = slow / fast
        print(f"{name:6} {slow:9.1f} ms {fast:9.1f} ms {ratios[name]:6.1f}x")

    fine = all(ratio >= RATIO for name, ratio in ratios.items() if name != "draws")
    for name in scores:
        corpus._kept_draws.cache_clear()
        peer_peak, expected = traced(partial(peer_with_draws, name))
        peak, found = traced(partial(telbench, name))
        worst = float(np.abs(expected - found).max())
        print(f"{name:6} memory {peer_peak:.0f} and {peak:.0f} MB, largest difference {worst:.1e}")
        fine = fine and peak < peer_peak and worst <= TOLERANCE
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
