"""Approximate likelihood matching between any two vocabularies: pieces of text shall be as likely as the teacher's.

Source: Minixhofer et al., Universal Cross-Tokenizer Distillation via Approximate Likelihood Matching, 2025
(arXiv 2503.20083).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from telbench.config import Bounded, setting

from .contract import Objective, Rows, always

if TYPE_CHECKING:
    from ..losses.mixture import Loss


@dataclass(frozen=True)
class Options(Bounded):
    """How far likelihoods are softened."""

    tau: float = setting(100.0, "likelihoods are compared to the power of 1 / tau", above=0)


def loss(rows: Rows) -> Loss:
    """(1 - rate) · CE + rate · binary KL of the softened likelihoods, a mean over runs of the same text."""
    from ..losses.alm import alm

    said = rows.labels, rows.theirs.tokens()[1]
    return alm(
        rows.student, rows.teacher, said, rows.pairs, rows.per_label, rows.per_pair, rows.mixture, rows.options.tau
    )


ALM = Objective(
    name="alm",
    card="labels and the likelihoods of pieces of text, whatever the vocabularies",
    loss=loss,
    pairing="spans",
    permits=always("compares likelihoods of the same text"),
    reads=frozenset({"kd_rate"}),
    temperature=1.0,
    options=Options,
    source="Minixhofer et al. 2025 (arXiv 2503.20083)",
)
