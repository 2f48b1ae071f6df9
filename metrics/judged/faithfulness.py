"""Faithfulness: the share of the answer's claims that the context supports."""

from __future__ import annotations

from ...judges.verdicts import Faithfulness
from ..base import ItemScore, missing
from .factual import NO_CLAIMS
from .recipe import JudgedRecipe, each


def _share(verdict: Faithfulness) -> ItemScore:
    return missing(NO_CLAIMS) if verdict.share is None else ItemScore(verdict.share)


faithfulness = JudgedRecipe(
    name="faithfulness",
    rubric="faithfulness",
    range=(0, 1),
    description="Share of the answer's claims that the context supports; none without context or without claims.",
    decide=lambda sample: None if sample.prediction.strip() else missing(NO_CLAIMS),
    read=each(Faithfulness, _share),
    needs=frozenset({"context"}),
).registered()
