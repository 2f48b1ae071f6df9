"""Claim: token_recall ranks systems as people do where token_f1 turns their order around.

EVOUNA (repository wangcunxiang/QA-Eval, Apache-2.0) has questions with short references, the answers of five systems
and a person's verdict on each. For each metric the table has AUC (the chance that a right answer scores above a wrong
one, ties as a half): within systems, the mean of the five, and pooled over them; and Kendall's tau between the order
of the systems by people's share of right answers and by the metric's mean (corpus metrics: their corpus score; scores
that are absent are left out and counted). Questions that people called improper, or left without a verdict, are left
out. Exits with 1 unless token_recall has tau of at least 0.6 and AUC of at least 0.92 within systems.

    python benchmarks/people_agreement.py EVOUNA/NQ.json [--metrics NAME,...] [--encoder FOLDER] [--judge SPEC]
        [--judge-engine NAME] [--limit N]

A judge is asked for `rubric_score`; it takes seconds an answer on a processor, so give a limit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from telbench.harness.judging.open import open_panel
from telbench.harness.judging.settings import JudgeSettings
from telbench.harness.labelling.evouna import SYSTEMS, EvounaQuestion, read_evouna
from telbench.judges.calibration.agreement import rank_auc
from telbench.metrics.contract import Metric, Resources, Sample, metrics_named
from telbench.metrics.intervals import score_of, statistics_matrix

METRICS = (
    "exact_match,token_f1,token_recall,token_precision,technical_f1,reference_included,rouge1,rougeL,bleu,chrf,ter,"
    "fact_agreement,fact_contradiction,fact_omission"
)
HEADLINE, TAU, AUC = "token_recall", 0.6, 0.92


@dataclass(frozen=True)
class Agreement:
    """How a metric agrees with people; ``absent`` counts answers without a score."""

    name: str
    within: float
    pooled: float
    tau: float
    absent: int


def area(values: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The chance that a right answer has the higher value."""
    return rank_auc(values[right].tolist(), values[~right].tolist())


def agreement(metric: Metric, questions: Sequence[EvounaQuestion]) -> Agreement:
    """Score all answers of all systems with the metric."""
    every, verdicts, within, means = [], [], [], []
    for system in SYSTEMS:
        samples = [
            Sample(
                item_id=each.id,
                prediction=each.answers[system],
                references=each.references,
                question=each.question,
            )
            for each in questions
        ]
        scores = metric.score(samples)
        values = np.array([np.nan if score.value is None else score.value for score in scores])
        right = np.array([each.right[system] for each in questions])
        means.append(score_of(metric, statistics_matrix(metric, scores)) * (1 if metric.higher_is_better else -1))
        known = ~np.isnan(values)
        values = values if metric.higher_is_better else -values
        within.append(area(values[known], right[known]))
        every.append(values)
        verdicts.append(right)
    values, right = np.concatenate(every), np.concatenate(verdicts)
    known = ~np.isnan(values)
    tau = float(np.asarray(kendalltau(np.mean(verdicts, axis=1), means))[0])
    pooled = area(values[known], right[known])
    return Agreement(metric.name, float(np.mean(within)), pooled, tau, int((~known).sum()))


def main() -> int:
    """Print the table; exit 1 where the headline falls short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--metrics", default=METRICS)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--judge", help="a local judge, such as local:FOLDER")
    parser.add_argument("--judge-engine", default="auto", choices=("auto", "vllm", "transformers"))
    parser.add_argument("--limit", type=int, help="only the first N questions")
    args = parser.parse_args()
    usable = [each for each in read_evouna(args.file) if not each.improper and not each.unjudged]
    questions = usable[: args.limit]
    names = args.metrics.split(",") + (["bertscore", "answer_similarity"] if args.encoder else [])
    names += ["rubric_score"] if args.judge else []
    panel = open_panel(JudgeSettings(specs=(args.judge,), engine=args.judge_engine)) if args.judge else None
    people = np.mean([[each.right[system] for system in SYSTEMS] for each in questions], axis=0)
    print(f"{len(questions)} questions; right by people: ", end="")
    print(", ".join(f"{system} {share:.3f}" for system, share in zip(SYSTEMS, people, strict=True)))
    print("| metric | AUC within systems | AUC pooled | Kendall's tau of systems |\n|---|---|---|---|")
    holds = True
    for metric in metrics_named(names, Resources(encoder=args.encoder, judge=panel)):
        found = agreement(metric, questions)
        absent = f" ({found.absent} without a score)" if found.absent else ""
        print(f"| {found.name}{absent} | {found.within:.3f} | {found.pooled:.3f} | {found.tau:+.2f} |", flush=True)
        if found.name == HEADLINE:
            holds = found.tau >= TAU - 1e-9 and found.within >= AUC
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
