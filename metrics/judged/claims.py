"""Metrics of single claims: factual correctness by the reference, faithfulness to the context, and RAGAS's mix.

A judge sorts the claims of answer and reference into right (TP), wrong (FP) and missing (FN) ones, or says of each
whether the context supports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...judges.verdicts import ClaimVerdicts, Faithfulness, Verdict
from ..contract import ItemScore, Sample, missing
from ..embedding.cosine import best_cosines
from ..embedding.encoder import TextEncoder
from .recipe import JudgedRecipe, each, empty_scores, verdicts

RUBRIC = "factual_correctness"
NEEDS = frozenset({"references"})
NO_CLAIMS = "no claims in the answer"
# As RAGAS weighs them.
WEIGHT = 0.75
_EMPTY = empty_scores(0.0)


def factual(verdict: ClaimVerdicts) -> ItemScore:
    """F1 = TP / (TP + (FP + FN) / 2) over claims; none where the judge found no claim at all."""
    return missing("no claims in answer and reference") if verdict.f1 is None else ItemScore(verdict.f1)


def _claim_precision(verdict: ClaimVerdicts) -> ItemScore:
    return missing(NO_CLAIMS) if verdict.precision is None else ItemScore(verdict.precision)


def _claim_recall(verdict: ClaimVerdicts) -> ItemScore:
    return missing("no claims in the reference") if verdict.recall is None else ItemScore(verdict.recall)


def _claimless(sample: Sample) -> ItemScore | None:
    return None if sample.prediction.strip() else missing(NO_CLAIMS)


def _claims_recipe(
    name: str,
    description: str,
    score: Callable[[ClaimVerdicts], ItemScore],
    decide: Callable[[Sample], ItemScore | None] = _EMPTY,
) -> JudgedRecipe:
    return JudgedRecipe(name, RUBRIC, (0, 1), description, decide, each(ClaimVerdicts, score), NEEDS)


factual_correctness = _claims_recipe(
    "factual_correctness",
    "F1 over claims as a judge sorts them: TP / (TP + (FP + FN) / 2), right claims, wrong ones, and missing ones.",
    factual,
).registered()
factual_precision = _claims_recipe(
    "factual_precision", "Share of the answer's claims that the reference bears out.", _claim_precision, _claimless
).registered()
factual_recall = _claims_recipe(
    "factual_recall", "Right claims over right and missing ones: TP / (TP + FN).", _claim_recall
).registered()


def _supported_share(verdict: Faithfulness) -> ItemScore:
    return missing(NO_CLAIMS) if verdict.share is None else ItemScore(verdict.share)


faithfulness = JudgedRecipe(
    name="faithfulness",
    rubric="faithfulness",
    range=(0, 1),
    description="Share of the answer's claims that the context supports; none without context or without claims.",
    decide=lambda sample: None if sample.prediction.strip() else missing(NO_CLAIMS),
    read=each(Faithfulness, _supported_share),
    needs=frozenset({"context"}),
).registered()


def answer_correctness_of(f1: float, cosine: float) -> float:
    """0.75 F1 + 0.25 max(0, cosine), 0 to 1.

    >>> answer_correctness_of(0.5, -0.2), answer_correctness_of(1.0, 0.6)
    (0.375, 0.9)
    """
    return WEIGHT * f1 + (1 - WEIGHT) * max(0.0, cosine)


def _correctness_scores(pairs: Sequence[tuple[Sample, Verdict]], encoder: TextEncoder | None) -> list[ItemScore]:
    if encoder is None or not pairs:
        return []
    cosines = best_cosines(encoder, [sample for sample, _ in pairs], lambda sample: sample.references, "no reference")
    scores = [factual(verdict) for verdict in verdicts(ClaimVerdicts, pairs)]
    return [
        score
        if score.value is None or cosine.value is None
        else ItemScore(answer_correctness_of(score.value, cosine.value))
        for score, cosine in zip(scores, cosines, strict=True)
    ]


answer_correctness = JudgedRecipe(
    name="answer_correctness",
    rubric=RUBRIC,
    range=(0, 1),
    description="0.75 times the F1 over claims plus 0.25 times the cosine to the best reference, negative ones as 0.",
    decide=empty_scores(0.0),
    read=_correctness_scores,
    needs=frozenset({"references", "encoder"}),
    options=lambda panel: {"weights": f"{WEIGHT:g}/{1 - WEIGHT:g}"},
).registered()
