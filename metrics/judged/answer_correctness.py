"""Answer correctness: factual correctness and similarity to the reference, weighted."""

from __future__ import annotations

from collections.abc import Sequence

from ...judges.verdicts import ClaimVerdicts, Verdict
from ..base import ItemScore, Sample
from ..embedding.cosine import best_cosines
from ..embedding.encoder import TextEncoder
from .factual import RUBRIC, factual
from .recipe import JudgedRecipe, empty_scores, verdicts

# As RAGAS weighs them.
WEIGHT = 0.75


def answer_correctness_of(f1: float, cosine: float) -> float:
    """0.75 F1 + 0.25 max(0, cosine), 0 to 1.

    >>> answer_correctness_of(0.5, -0.2), answer_correctness_of(1.0, 0.6)
    (0.375, 0.9)
    """
    return WEIGHT * f1 + (1 - WEIGHT) * max(0.0, cosine)


def _read(pairs: Sequence[tuple[Sample, Verdict]], encoder: TextEncoder | None) -> list[ItemScore]:
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
    read=_read,
    needs=frozenset({"references", "encoder"}),
    options=lambda panel: {"weights": f"{WEIGHT:g}/{1 - WEIGHT:g}"},
).registered()
