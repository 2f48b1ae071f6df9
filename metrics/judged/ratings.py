"""Metrics of the whole: a score by a rubric, the use of a context's passages, nearness to the question."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ...judges.panel import JudgePanel
from ...judges.schemas import MOST_PASSAGES, QUESTIONS
from ...judges.verdicts import GeneratedQuestions, JudgedPassages, RubricScore, Verdict
from ..contract import ItemScore, Sample, missing
from ..embedding.encoder import TextEncoder
from .recipe import JudgedRecipe, each, empty_scores, verdicts

WEIGHTED = "weighted by probability"
WHOLE = "whole number"
FIRST = f"first {MOST_PASSAGES} of more passages"
EVASIVE = "evasive answer"
_empty = empty_scores(0.0)


def _rubric_value(verdict: RubricScore) -> ItemScore:
    return ItemScore(float(verdict.score), WHOLE) if verdict.weighted is None else ItemScore(verdict.weighted, WEIGHTED)


def _weighting(panel: JudgePanel | None) -> dict[str, str]:
    told = [identity.log_probabilities for identity in panel.identities] if panel else []
    return {"weighting": "none" if not any(told) else "probability" if all(told) else "probability-of-some"}


rubric_score = JudgedRecipe(
    name="rubric_score",
    rubric="rubric_score",
    range=(1, 5),
    description="A judge's score from 1 to 5 by the rubric, weighted by its probabilities where it tells them.",
    decide=empty_scores(1.0),
    read=each(RubricScore, _rubric_value),
    needs=frozenset({"references"}),
    options=_weighting,
).registered()


def _precision_scores(pairs: Sequence[tuple[Sample, Verdict]], encoder: TextEncoder | None) -> list[ItemScore]:
    found = verdicts(JudgedPassages, pairs)
    return [
        ItemScore(verdict.average_precision, FIRST if len(sample.passages) > MOST_PASSAGES else None)
        for (sample, _), verdict in zip(pairs, found, strict=True)
    ]


context_precision = JudgedRecipe(
    name="context_precision",
    rubric="context_passages",
    range=(0, 1),
    description="Average precision of the context's passages, in their order, that help to arrive at the reference.",
    decide=lambda sample: None,
    read=_precision_scores,
    needs=frozenset({"references", "context"}),
    options=lambda panel: {"passages": str(MOST_PASSAGES)},
    version=4,
).registered()


def _needs_no_judge(sample: Sample) -> ItemScore | None:
    return _empty(sample) if sample.question.strip() else missing("no question")


def _relevance_scores(pairs: Sequence[tuple[Sample, Verdict]], encoder: TextEncoder | None) -> list[ItemScore]:
    if encoder is None:
        return []
    generated = verdicts(GeneratedQuestions, pairs)
    asked = encoder.embed([sample.question for sample, _ in pairs], keep=True, sentences=True)
    written = [text for verdict in generated if not verdict.evasive for text in verdict.questions if text.strip()]
    known = encoder.embed(written, keep=False, sentences=True)
    scores = []
    for (sample, _), verdict in zip(pairs, generated, strict=True):
        if verdict.evasive:
            scores.append(ItemScore(0.0, EVASIVE))
            continue
        question = asked[sample.question].sentence
        # A blank question is like no other.
        cosines = [float(known[text].sentence @ question) if text in known else 0.0 for text in verdict.questions]
        scores.append(ItemScore(max(-1.0, min(1.0, fmean(cosines)))))
    return scores


question_relevance = JudgedRecipe(
    name="question_relevance",
    rubric="question_generation",
    range=(-1, 1),
    description=(
        "Mean cosine of the question to three questions that a judge writes to fit the answer; 0 if it is evasive."
    ),
    decide=_needs_no_judge,
    read=_relevance_scores,
    needs=frozenset({"encoder"}),
    options=lambda panel: {"n": str(QUESTIONS)},
).registered()
