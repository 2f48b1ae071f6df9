"""Universal logit distillation: distributions over different vocabularies compared by their sorted probabilities.

Source: Boizard et al., Towards Cross-Tokenizer Distillation, 2024 (arXiv 2402.12030).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .contract import MIXED, Objective, Rows, always

if TYPE_CHECKING:
    from ..losses.mixture import Loss


def loss(rows: Rows) -> Loss:
    """(1 - rate) · CE + rate · ULD over rows paired by index."""
    from ..losses.token_kd import uld_kd

    return uld_kd(rows.student, rows.teacher, rows.labels, rows.pairs, rows.per_label, rows.mixture)


ULD = Objective(
    name="uld",
    card="labels and the distance of sorted probabilities, whatever the vocabularies",
    loss=loss,
    pairing="by index",
    permits=always("compares sorted probabilities"),
    reads=MIXED - {"divergence"},
    divergence="uld",
    # That of the authors' code.
    temperature=1.0,
    source="Boizard et al. 2024 (arXiv 2402.12030)",
)
