"""DistiLLM-2: skew KL where the teacher answers, skew reverse KL where the student does.

The teacher's text is pulled up and the student's own pushed down: the two divergences contrast them.
Source: Ko et al., DistiLLM-2: A Contrastive Approach Boosts the Distillation of LLMs, 2025 (arXiv 2503.07067); its
curriculum is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from telbench.config import Bounded, setting

from .contract import MIXED, Objective, Rows, one_vocabulary

if TYPE_CHECKING:
    from ..losses.mixture import Loss


@dataclass(frozen=True)
class Options(Bounded):
    """``skew``: share of the first distribution in the mixture that it is compared with."""

    skew: float = setting(0.1, "share of the distribution itself in what it is compared with", above=0, below=1)


def loss(rows: Rows) -> Loss:
    """(1 - rate) · CE + rate · SKL(p, q) on the teacher's answers; SRKL(p, q) on the student's own."""
    from ..losses.divergences import SkewedForwardKL, SkewedReverseKL
    from ..losses.token_kd import vanilla_kd

    skew = rows.options.skew
    divergence = SkewedReverseKL(skew) if rows.own else SkewedForwardKL(skew)
    mixture = replace(rows.mixture, divergence=divergence, rate=1.0 if rows.own else rows.mixture.rate)
    return vanilla_kd(rows.student, rows.teacher, rows.labels, rows.per_label, mixture)


DISTILLM2 = Objective(
    name="distillm2",
    card="skew KL on the teacher's answers, skew reverse KL on the student's own",
    loss=loss,
    permits=one_vocabulary,
    reads=(MIXED - {"divergence"}) | {"student_share", "sampling_temperature", "max_new_tokens"},
    temperature=1.0,
    on_policy=True,
    teacher_answers=True,
    options=Options,
    source="Ko et al. 2025 (arXiv 2503.07067)",
)
