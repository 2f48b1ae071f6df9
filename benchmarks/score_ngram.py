"""Claim: the n-gram metrics give the numbers of rouge-score and sacrebleu in a tenth of their time, or less.

Scores pairs with the whole path of telbench (samples in, scores out) and with the two reference packages at their best:
objects made once, and of sacrebleu its calls for the statistics of many sentences, without those that look at every
sentence anew. The pairs are candidate answers of MM-TelcoBench's LONG_TelcoBench.csv (some 60 words) with one and with
two references, and contexts and answers of telecom-nano with two.

The packages' TER takes a tenth of a second a pair, or more: it scores ``--ter-pairs`` of them, evenly spaced, and
telbench all. Prints CPU microseconds a pair, the ratio and the largest difference of any value; exits with 1 if a value
differs by more than 1e-9.

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

from telbench.harness.datasets.loading import load_dataset
from telbench.metrics.contract import Metric, Sample, metrics_named

FILE = Path("mm-telcobench") / "LONG_TelcoBench.csv"
CANDIDATES = [f"Candidate Answer {number}" for number in (1, 2, 3)]
BATCH = 1_000
TOLERANCE = 1e-9
GROUPS = {"ROUGE-1/2/L": ("rouge1", "rouge2", "rougeL"), "BLEU": ("bleu",), "chrF": ("chrf",), "TER": ("ter",)}

Scores = list[tuple[float | None, ...]]
Item = tuple[str, tuple[str, ...]]


def real_items(data: Path, number: int, references: int) -> list[Item]:
    """Prediction and references: each question's candidates against one another, round by round over all questions."""
    with (data / FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    orders = [(0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2), (2, 1, 0), (0, 2, 1)]
    items = [
        (row[CANDIDATES[own]], tuple(row[CANDIDATES[other]] for other in others[:references]))
        for own, *others in orders
        for row in rows
    ]
    return items[:number]


def nano_items(number: int) -> list[Item]:
    """Facts of telecom-nano with both references: each fact's context, then answers to other facts, round by round."""
    facts = list({item.source_document: item for item in load_dataset("telecom-nano", split="all").items}.values())
    texts = [item.context or item.references[0] for item in facts]
    items: list[Item] = []
    for shift in range(-(-number // len(facts))):
        items += [(text, item.references) for text, item in zip(texts, facts, strict=True)]
        texts = [facts[(place + shift + 1) % len(facts)].references[shift % 2] for place in range(len(facts))]
    return items[:number]


def timed(score: Callable[[], Scores]) -> tuple[float, Scores]:
    """CPU seconds of the process, and what was computed."""
    start = time.process_time()
    scores = score()
    return time.process_time() - start, scores


def ours(metrics: Sequence[Metric], items: Sequence[Item]) -> Scores:
    """Values of the metrics for every item, through Metric.score, in the harness's batches."""
    samples = [Sample(str(index), prediction, references) for index, (prediction, references) in enumerate(items)]
    values: Scores = []
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        values.extend(zip(*([score.value for score in metric.score(batch)] for metric in metrics), strict=True))
    return values


def peers() -> dict[str, Callable[[Sequence[Item]], Scores]]:
    """The same values from the reference packages, by group, for many items at once."""
    rouge = RougeScorer(list(GROUPS["ROUGE-1/2/L"]), use_stemmer=True)

    def rouge_values(items: Sequence[Item]) -> Scores:
        found = [
            rouge.score(references[0], prediction)
            if len(references) == 1
            else rouge.score_multi(references, prediction)
            for prediction, references in items
        ]
        return [tuple(each[name].fmeasure for name in GROUPS["ROUGE-1/2/L"]) for each in found]

    def of_statistics(metric: BLEU | CHRF | TER) -> Callable[[Sequence[Item]], Scores]:
        def values(items: Sequence[Item]) -> Scores:
            predictions = [prediction for prediction, _ in items]
            streams = list(zip(*(references for _, references in items), strict=True))
            rows = metric._extract_corpus_statistics(predictions, streams)
            return [(metric._compute_score_from_stats(row).score,) for row in rows]

        return values

    scorers = {"BLEU": BLEU(effective_order=True), "chrF": CHRF(), "TER": TER()}
    return {"ROUGE-1/2/L": rouge_values, **{name: of_statistics(scorer) for name, scorer in scorers.items()}}


def largest_difference(left: Scores, right: Scores) -> float:
    """Over all values; infinite when one side has no value."""
    pairs = [pair for rows in zip(left, right, strict=True) for pair in zip(*rows, strict=True)]
    return max((float("inf") if a is None or b is None else abs(a - b) for a, b in pairs), default=0.0)


def measure(items: Sequence[Item], ter_pairs: int) -> float:
    """Print a line a group and one for all of them without and with TER; the largest difference."""
    # One warm-up item: imports and tables are paid by a process, not by an item.
    warm = [("One handover of the UE, twice.", ("The UE is handed over twice.",) * len(items[0][1]))]
    reference = peers()
    totals, worst = [0.0, 0.0], 0.0
    for group, names in GROUPS.items():
        metrics = metrics_named(names)
        ours(metrics, warm)
        reference[group](warm)
        step = max(1, len(items) // ter_pairs) if group == "TER" else 1
        some = items[::step]
        seconds, values = timed(lambda metrics=metrics: ours(metrics, items))
        peer_seconds, peer_values = timed(lambda group=group, some=some: reference[group](some))
        difference = largest_difference(values[::step], peer_values)
        each = [1e6 * peer_seconds / len(some), 1e6 * seconds / len(items)]
        if group == "TER":
            print(line("without TER", totals, worst))
        totals = [total + one for total, one in zip(totals, each, strict=True)]
        worst = max(worst, difference)
        print(line(group, each, difference), flush=True)
    print(line("with TER", totals, worst))
    return worst


def line(name: str, each: Sequence[float], difference: float) -> str:
    """A row of the table."""
    return f"{name:12} {each[0]:12.0f} {each[1]:10.0f} {each[0] / each[1]:7.1f}x {difference:11.1e}"


def main() -> int:
    """Measure and print; 0 when every value agrees."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("TELBENCH_DATA"))
    parser.add_argument("--pairs", type=int, default=5_000)
    parser.add_argument("--ter-pairs", type=int, default=100)
    arguments = parser.parse_args()
    if arguments.data_dir is None or not (arguments.data_dir / FILE).is_file():
        parser.error(f"no {FILE} in {arguments.data_dir}: give --data-dir or set TELBENCH_DATA")
    sets = {
        "LONG_TelcoBench, one reference": real_items(arguments.data_dir, arguments.pairs, 1),
        "LONG_TelcoBench, two references": real_items(arguments.data_dir, arguments.pairs, 2),
        "telecom-nano, two references": nano_items(arguments.pairs),
    }
    worst = 0.0
    for name, items in sets.items():
        print(
            f"{name}: {len(items):,} answers, CPU microseconds an answer\n"
            f"{'':12} {'packages':>12} {'telbench':>10} {'ratio':>8} {'difference':>11}"
        )
        worst = max(worst, measure(items, arguments.ter_pairs))
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
