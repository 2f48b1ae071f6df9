"""GOLD: generalised universal logit distillation between any two vocabularies, over runs of tokens of the same text.

Source: Patiño et al., Unlocking On-Policy Distillation for Any Model Family, Hugging Face 2025.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from telbench.config import Bounded, setting

from .contract import MIXED, Objective, Rows, always

if TYPE_CHECKING:
    from ..losses.mixture import Loss


@dataclass(frozen=True)
class Options(Bounded):
    """What the two parts of the distance weigh."""

    matched_weight: float | None = setting(
        None, "weight of tokens that both vocabularies have (default: their share of the teacher's)", low=0
    )
    unmatched_weight: float | None = setting(None, "weight of the other tokens (default: the rest)", low=0)


def loss(rows: Rows) -> Loss:
    """(1 - rate) · CE + rate · (matched · divergence + unmatched · ULD), a mean over runs of the same text."""
    from ..losses.gold import Shares, gold
    from ..losses.mixture import SharedIds

    student = rows.student
    # An answer of the student's own has nothing to say about what is right.
    mixture = replace(rows.mixture, rate=1.0) if rows.own else rows.mixture
    shared = rows.shared or SharedIds.all(student.columns, student.hidden.device)
    said = rows.labels, rows.theirs.tokens()[1]
    shares = Shares(rows.options.matched_weight, rows.options.unmatched_weight)
    return gold(student, rows.teacher, said, rows.pairs, shared, rows.per_label, rows.per_pair, mixture, shares)


GOLD = Objective(
    name="gold",
    card="labels and distributions merged over runs of the same text; common tokens compared directly, others by rank",
    loss=loss,
    pairing="spans",
    permits=always("merges tokens of the same text"),
    temperature=1.0,
    options=Options,
    source="Patiño et al. 2025 (GOLD of Hugging Face's TRL), after arXiv 2402.12030",
)
# The same, some of its steps on answers that the student has just made up: `train.on_policy` tells how they are drawn,
# and how a teacher of other tokens reads them.
GOLD_ON_POLICY = replace(
    GOLD,
    name="gold_on_policy",
    card="gold, a share of the steps on the student's own answers, which the teacher reads in its own tokens",
    reads=MIXED | {"student_share", "sampling_temperature", "max_new_tokens"},
    on_policy=True,
)
