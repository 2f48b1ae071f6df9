"""Factual correctness: claims of the answer and the reference, sorted by a judge into TP, FP and FN."""

from __future__ import annotations

from collections.abc import Callable

from ...judges.verdicts import ClaimVerdicts
from ..base import ItemScore, Sample, missing
from .recipe import JudgedRecipe, each, empty_scores

RUBRIC = "factual_correctness"
NEEDS = frozenset({"references"})
NO_CLAIMS = "no claims in the answer"
_EMPTY = empty_scores(0.0)


def factual(verdict: ClaimVerdicts) -> ItemScore:
    """F1 = TP / (TP + (FP + FN) / 2) over claims; none where the judge found no claim at all."""
    return missing("no claims in answer and reference") if verdict.f1 is None else ItemScore(verdict.f1)


def _precision(verdict: ClaimVerdicts) -> ItemScore:
    return missing(NO_CLAIMS) if verdict.precision is None else ItemScore(verdict.precision)


def _recall(verdict: ClaimVerdicts) -> ItemScore:
    return missing("no claims in the reference") if verdict.recall is None else ItemScore(verdict.recall)


def _claimless(sample: Sample) -> ItemScore | None:
    return None if sample.prediction.strip() else missing(NO_CLAIMS)


def _recipe(
    name: str,
    description: str,
    score: Callable[[ClaimVerdicts], ItemScore],
    decide: Callable[[Sample], ItemScore | None] = _EMPTY,
) -> JudgedRecipe:
    return JudgedRecipe(name, RUBRIC, (0, 1), description, decide, each(ClaimVerdicts, score), NEEDS)


factual_correctness = _recipe(
    "factual_correctness",
    "F1 over claims as a judge sorts them: TP / (TP + (FP + FN) / 2), right claims, wrong ones, and missing ones.",
    factual,
).registered()
factual_precision = _recipe(
    "factual_precision", "Share of the answer's claims that the reference bears out.", _precision, _claimless
).registered()
factual_recall = _recipe(
    "factual_recall", "Right claims over right and missing ones: TP / (TP + FN).", _recall
).registered()
