"""What each metric can see: how often it prefers a right paraphrase to an answer with one wrong fact.

    python benchmarks/metric_sight.py --triples TRIPLES.jsonl… [--data NAME…] [--paraphrases FILE…] [--encoder FOLDER…]

A line of TRIPLES has kind, question, reference (or references), paraphrase and wrong; PARAPHRASES lack wrong. --data
makes more of them by telbench's own rules (`telbench.metrics.near_misses`) from items with two references.
Printed as a Markdown table, in percent: for each kind the chance that the metric gives the paraphrase the better value
(a tie, and a pair without values, is half a chance), then the AUC of right answers against answers with one wrong fact
among telbench's own labelled answers (right ones in other words left out, and included). Below it the share of
paraphrases that the fact metrics call contradicting, which none does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from telbench.harness.datasets.loading import load_dataset
from telbench.judges.calibration.labelled import Label, labelled_set
from telbench.metrics.contract import Metric, Resources, Sample, metrics_named
from telbench.metrics.near_misses import KINDS, near_misses

NGRAM = ("exact_match", "token_f1", "rouge1", "rouge2", "rougeL", "bleu", "chrf", "ter")
EMBEDDING = ("bertscore", "answer_similarity", "answer_relevance")
FACT = ("fact_agreement",)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triples", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--data", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--paraphrases", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--encoder", type=Path, nargs="*", default=[], metavar="FOLDER")
    asked = parser.parse_args()
    triples = [line for path in asked.triples for line in _lines(path)]
    triples += [line for name in asked.data for line in _by_rule(name)]
    if not triples:
        parser.error("name --triples or --data")
    kinds = [kind for kind in KINDS if any(line["kind"] == kind for line in triples)]
    counts = ", ".join(f"{kind} {sum(line['kind'] == kind for line in triples)}" for kind in kinds)
    labels = [label for label in labelled_set() if label.reference is not None]
    sizes = {kind: sum(label.kind == kind for label in labels) for kind in ("right", "paraphrase", "wrong_fact")}
    print(f"{len(triples)} triples ({counts}); labelled answers: {sizes}\n")
    print(f"| metric | {' | '.join(kinds)} | all | AUC | AUC with paraphrases |")
    print(f"|---|{'---|' * (len(kinds) + 3)}")
    groups = [(metrics_named(NGRAM), "")]
    groups += [(metrics_named(EMBEDDING, Resources(encoder=folder)), f" ({folder.name})") for folder in asked.encoder]
    groups += [(metrics_named(FACT), "")]
    for metrics, which in groups:
        for metric in metrics:
            preferred = _preferences(metric, triples)
            row = [
                _percent([value for value, line in zip(preferred, triples, strict=True) if line["kind"] == kind])
                for kind in kinds
            ]
            areas = [_auc(metric, labels, right) for right in (("right",), ("right", "paraphrase"))]
            cells = [*row, _percent(preferred), *(f"{area:.2f}" for area in areas)]
            print(f"| `{metric.name}`{which} | {' | '.join(cells)} |", flush=True)
    _false_alarms([*triples, *(line for path in asked.paraphrases for line in _lines(path))])
    return 0


def _by_rule(name: str) -> list[dict[str, Any]]:
    """Triples of each kind from the first reference of a data set's items, with the second as the paraphrase."""
    return [
        {"kind": kind, "question": item.question, "reference": first, "paraphrase": second, "wrong": wrong}
        for item in load_dataset(name, "all").items
        if len(item.references) > 1
        for first, second in [item.references[:2]]
        for kind, wrong in near_misses(first, item.question, item.references).items()
    ]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _sample(line: dict[str, Any], answer: str) -> Sample:
    references = line.get("references") or [line["reference"]]
    return Sample(str(line.get("id", "")), answer, tuple(references), question=line.get("question") or "")


def _values(metric: Metric, samples: Sequence[Sample]) -> list[float | None]:
    """The values, turned so that higher is better."""
    sign = 1 if metric.higher_is_better else -1
    return [None if score.value is None else sign * score.value for score in metric.score(samples)]


def _preferences(metric: Metric, triples: Sequence[dict[str, Any]]) -> list[float]:
    right = _values(metric, [_sample(line, line["paraphrase"]) for line in triples])
    wrong = _values(metric, [_sample(line, line["wrong"]) for line in triples])
    return [
        0.5 if one is None or other is None else float(one > other) + (one == other) / 2
        for one, other in zip(right, wrong, strict=True)
    ]


def _auc(metric: Metric, labels: Sequence[Label], right: Sequence[str]) -> float:
    def values(kinds: Sequence[str]) -> list[float]:
        chosen = [label for label in labels if label.kind in kinds]
        samples = [Sample(each.id, each.answer, (each.reference or "",), question=each.question) for each in chosen]
        return [value for value in _values(metric, samples) if value is not None]

    good, bad = values(right), values(("wrong_fact",))
    return sum((a > b) + (a == b) / 2 for a in good for b in bad) / (len(good) * len(bad))


def _false_alarms(lines: Sequence[dict[str, Any]]) -> None:
    (metric,) = metrics_named(["fact_contradiction"])
    for told, samples in (
        ("paraphrases", [_sample(line, line["paraphrase"]) for line in lines]),
        ("wrong answers", [_sample(line, line["wrong"]) for line in lines if "wrong" in line]),
    ):
        called = [float(bool(score.value)) for score in metric.score(samples)]
        print(f"\n{told} called contradicting: {sum(called):.0f} of {len(called)} ({_percent(called)} %)")


def _percent(values: Sequence[float]) -> str:
    return f"{100 * sum(values) / len(values):.0f}" if values else "–"


if __name__ == "__main__":
    sys.exit(main())
