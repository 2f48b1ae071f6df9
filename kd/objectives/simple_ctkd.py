"""simple_ctkd: a divergence over exactly aligned rows and the tokens that both vocabularies have.

Source: the method of that name in KDFlow; alignment as in DSKD v2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .contract import Objective, Permission, Rows, VocabularyFacts

if TYPE_CHECKING:
    from ..losses.mixture import Loss

# From here down so few rows are trained on that cross-model attention is the better choice.
FEW_ALIGNED = 0.5


def loss(rows: Rows) -> Loss:
    """(1 - rate) · CE + rate · divergence, both distributions renormalised over the shared tokens."""
    from ..losses.mixture import SharedIds
    from ..losses.token_kd import simple_ctkd

    student = rows.student
    shared = rows.shared or SharedIds.all(student.columns, student.hidden.device)
    return simple_ctkd(
        student, rows.teacher, rows.labels, rows.pairs, shared, rows.per_label, rows.per_pair, rows.mixture
    )


def aligned_tokens(facts: VocabularyFacts) -> Permission:
    """Wherever some token stands for the same text in both; few aligned answer tokens are told."""
    if facts.columns is not None:
        return Permission(True, "tokens of the same text have the same ids")
    share = facts.aligned_ratio
    few = "" if share is None or share >= FEW_ALIGNED else f", but only {share:.0%} of the answer tokens are aligned"
    return Permission(bool(facts.shared_text), "trains on exactly aligned tokens" + few)


SIMPLE_CTKD = Objective(
    name="simple_ctkd",
    card="labels and a divergence over aligned rows and shared tokens",
    loss=loss,
    pairing="aligned",
    permits=aligned_tokens,
    source="the method of that name in KDFlow (arXiv 2603.01875)",
)
