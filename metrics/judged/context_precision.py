"""Context precision: whether the passages that help to arrive at the reference stand first in the context."""

from __future__ import annotations

from ...judges.schemas import MOST_PASSAGES
from ...judges.verdicts import JudgedPassages
from ..base import ItemScore
from .recipe import JudgedRecipe, each

context_precision = JudgedRecipe(
    name="context_precision",
    rubric="context_passages",
    range=(0, 1),
    description="Average precision of the context's passages, in their order, that help to arrive at the reference.",
    decide=lambda sample: None,
    read=each(JudgedPassages, lambda verdict: ItemScore(verdict.average_precision)),
    needs=frozenset({"references", "context"}),
    options=lambda panel: {"passages": str(MOST_PASSAGES)},
).registered()
