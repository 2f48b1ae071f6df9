"""Selective distillation: the teacher's term counts where the student is wrong, and less where it is right already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from telbench.errors import InputError
from telbench.kd.objectives.contract import Objective, Rows

if TYPE_CHECKING:
    from telbench.kd.losses.mixture import Loss


@dataclass(frozen=True)
class Options:
    """``right_weight``: what the teacher's term weighs where the student's likeliest token is the label."""

    right_weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.right_weight <= 1:
            raise InputError(f"right_weight is {self.right_weight}: it lies between 0 and 1")


def loss(rows: Rows) -> Loss:
    """(1 - rate) · CE + rate · Σ w · divergence / D, with w = 1 at wrong rows and ``right_weight`` at right ones."""
    # Imported here, so that telbench can check settings without torch.
    from telbench.kd.losses.chunked_head import chunked_loss, likeliest
    from telbench.kd.losses.mixture import Loss

    right = likeliest(rows.student.hidden, rows.student.head) == rows.labels
    weights = 1 - right.float() * (1 - rows.options.right_weight)
    found = chunked_loss(
        rows.student.hidden,
        rows.student.head,
        labels=rows.mixture.labels(rows.labels, rows.per_label),
        target=rows.mixture.target(rows.teacher, weights * rows.per_label),
    )
    sums = {"ce": found.cross_entropy.sum(), "kd": found.divergence.sum(), "right": right.sum()}
    return Loss(found.total, sums)


SELECTIVE_KD = Objective(
    name="selective_kd",
    card="vanilla distillation that spends itself on what the student gets wrong",
    loss=loss,
    options=Options,
)
