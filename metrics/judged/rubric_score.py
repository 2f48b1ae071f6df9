"""The rubric's score from 1 to 5, weighted by the judge's own probabilities where it tells them (G-Eval)."""

from __future__ import annotations

from ...judges.panel import JudgePanel
from ...judges.verdicts import RubricScore
from ..base import ItemScore
from .recipe import JudgedRecipe, each, empty_scores

WEIGHTED = "weighted by probability"
WHOLE = "whole number"


def _score(verdict: RubricScore) -> ItemScore:
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
    read=each(RubricScore, _score),
    needs=frozenset({"references"}),
    options=_weighting,
).registered()
