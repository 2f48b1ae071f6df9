"""Supervised fine-tuning: cross-entropy of the labels, without a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .contract import Objective, Rows, always

if TYPE_CHECKING:
    from ..losses.mixture import Loss


def loss(rows: Rows) -> Loss:
    """(1/D) Σ -log q(y) at temperature 1."""
    from ..losses.token_kd import supervised

    return supervised(rows.student, rows.labels, rows.per_label)


SFT = Objective(
    name="sft",
    card="supervised fine-tuning on the references; no teacher",
    loss=loss,
    needs="labels",
    permits=always("needs the teacher's text only"),
    reads=frozenset(),
)
