"""Question relevance: how near the questions that an answer would answer are to the one that was asked."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ...judges.schemas import QUESTIONS
from ...judges.verdicts import GeneratedQuestions, Verdict
from ..base import ItemScore, Sample, missing
from ..embedding.encoder import TextEncoder
from .recipe import JudgedRecipe, empty_scores, verdicts

EVASIVE = "evasive answer"
_empty = empty_scores(0.0)


def _decide(sample: Sample) -> ItemScore | None:
    return _empty(sample) if sample.question.strip() else missing("no question")


def _read(pairs: Sequence[tuple[Sample, Verdict]], encoder: TextEncoder | None) -> list[ItemScore]:
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
    decide=_decide,
    read=_read,
    needs=frozenset({"encoder"}),
    options=lambda panel: {"n": str(QUESTIONS)},
).registered()
