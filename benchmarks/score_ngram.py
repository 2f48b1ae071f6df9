"""Claim: the n-gram metrics give the numbers of rouge-score and sacrebleu in a tenth of their time, or less.

Scores pairs of candidate answers of MM-TelcoBench's LONG_TelcoBench.csv with the whole path of telbench (samples in,
scores out) and with the two reference packages, sentence by sentence, their objects made once. Prints CPU seconds,
the ratio and the largest difference of any value; exits with 1 if a value differs by more than 1e-9.

    python benchmarks/score_ngram.py --data-dir DATA --pairs 5000
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from telbench.metrics.contract import Metric, Sample, metrics_named

FILE = Path("mm-telcobench") / "LONG_TelcoBench.csv"
CANDIDATES = [f"Candidate Answer {number}" for number in (1, 2, 3)]
BATCH = 1_000
TOLERANCE = 1e-9
GROUPS = {"ROUGE-1/2/L": ("rouge1", "rouge2", "rougeL"), "BLEU": ("bleu",), "chrF": ("chrf",), "TER": ("ter",)}

Scores = list[tuple[float | None, ...]]


def real_pairs(data: Path, number: int) -> list[tuple[str, str]]:
    """Prediction and reference: each question's candidates against one another, round by round over all questions."""
    with (data / FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    orders = [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)]
    pairs = [(row[CANDIDATES[left]], row[CANDIDATES[right]]) for left, right in orders for row in rows]
    return pairs[:number]


def timed(score: Callable[[], Scores]) -> tuple[float, Scores]:
    """CPU seconds of the process, and what was computed."""
    start = time.process_time()
    scores = score()
    return time.process_time() - start, scores


def ours(metrics: Sequence[Metric], pairs: Sequence[tuple[str, str]]) -> Scores:
    """Values of the metrics for every pair, through Metric.score, in the harness's batches."""
    samples = [Sample(str(index), prediction, (reference,)) for index, (prediction, reference) in enumerate(pairs)]
    values: Scores = []
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        values.extend(zip(*([score.value for score in metric.score(batch)] for metric in metrics), strict=True))
    return values


def peers() -> dict[str, Callable[[str, str], tuple[float, ...]]]:
    """The same values from the reference packages, by group."""
    rouge = RougeScorer(list(GROUPS["ROUGE-1/2/L"]), use_stemmer=True)
    bleu, chrf, ter = BLEU(effective_order=True), CHRF(), TER()

    def rouge_values(prediction: str, reference: str) -> tuple[float, ...]:
        found = rouge.score(reference, prediction)
        return tuple(found[name].fmeasure for name in GROUPS["ROUGE-1/2/L"])

    return {
        "ROUGE-1/2/L": rouge_values,
        "BLEU": lambda prediction, reference: (bleu.sentence_score(prediction, [reference]).score,),
        "chrF": lambda prediction, reference: (chrf.sentence_score(prediction, [reference]).score,),
        "TER": lambda prediction, reference: (ter.sentence_score(prediction, [reference]).score,),
    }


def largest_difference(left: Scores, right: Scores) -> float:
    """Over all values; infinite when one side has no value."""
    pairs = [pair for rows in zip(left, right, strict=True) for pair in zip(*rows, strict=True)]
    return max((float("inf") if a is None or b is None else abs(a - b) for a, b in pairs), default=0.0)


def main() -> int:
    """Measure and print; 0 when every value agrees."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("TELBENCH_DATA"))
    parser.add_argument("--pairs", type=int, default=5_000)
    arguments = parser.parse_args()
    if arguments.data_dir is None or not (arguments.data_dir / FILE).is_file():
        parser.error(f"no {FILE} in {arguments.data_dir}: give --data-dir or set TELBENCH_DATA")
    pairs = real_pairs(arguments.data_dir, arguments.pairs)

    # One warm-up pair each: imports and tables are paid by a process, not by a pair.
    warm = [("One handover of the UE, twice.", "The UE is handed over twice.")]
    reference = peers()
    print(
        f"{len(pairs):,} pairs, CPU seconds\n{'':12} {'packages':>10} {'telbench':>10} {'ratio':>8} {'difference':>11}"
    )
    totals, worst = [0.0, 0.0], 0.0
    for group, names in GROUPS.items():
        metrics = metrics_named(names)
        ours(metrics, warm)
        reference[group](*warm[0])
        seconds, values = timed(lambda metrics=metrics: ours(metrics, pairs))
        peer_seconds, peer_values = timed(lambda group=group: [reference[group](*pair) for pair in pairs])
        difference = largest_difference(values, peer_values)
        print(
            f"{group:12} {peer_seconds:10.2f} {seconds:10.3f} {peer_seconds / seconds:7.1f}x {difference:11.1e}",
            flush=True,
        )
        totals = [totals[0] + peer_seconds, totals[1] + seconds]
        worst = max(worst, difference)
    print(f"{'total':12} {totals[0]:10.2f} {totals[1]:10.3f} {totals[0] / totals[1]:7.1f}x {worst:11.1e}")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
