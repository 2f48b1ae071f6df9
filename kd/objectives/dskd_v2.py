"""Dual-space distillation, version 2: a projector that starts where it changes no logit, and exactly aligned rows.

Source: Zhang et al., A Dual-Space Framework for General Knowledge Distillation of Large Language Models, 2025
(arXiv 2504.11426).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .contract import MIXED, Objective, Rows, Spaces
from .simple_ctkd import aligned_tokens

if TYPE_CHECKING:
    from ..losses.dual_space_v2 import Aligned, Computed, LogitIdentity
    from ..losses.mixture import Loss


@dataclass(frozen=True)
class Options:
    """``highest_share``: agreement up to which only agreeing rows count."""

    highest_share: float


def loss(rows: Rows) -> Loss:
    """(1 - rate) · CE + rate · (t2s_kd + t2s_ce + s2t), with the agreement of the whole step."""
    from ..losses.dual_space_v2 import dskd_v2

    return dskd_v2(
        rows.student,
        rows.teacher,
        rows.labels,
        rows.projectors,
        _aligned(rows),
        rows.per_label,
        rows.mixture,
        per_known=rows.per_shared,
        share=rows.share,
        highest_share=rows.options.highest_share,
        computed=_computed(rows, whole=True),
    )


def share(rows: Rows) -> tuple[int, int]:
    """(rows where the projected teacher still says what it said, rows that have a likeliest token)."""
    from ..losses.dual_space_v2 import agreement

    head = rows.student.head.detached()
    return agreement(head, rows.teacher, rows.projectors, _aligned(rows), _computed(rows, whole=False))


def _aligned(rows: Rows) -> Aligned:
    from ..losses.dual_space_v2 import Aligned

    return Aligned(rows.pairs, rows.projectors.token_map)


def _computed(rows: Rows, *, whole: bool) -> Computed:
    """What `share` and `loss` of one micro-batch, and (``whole``) all micro-batches of a step, have in common."""
    from ..losses.dual_space_v2 import Computed

    if "likeliest" not in rows.kept:
        rows.kept["likeliest"] = _aligned(rows).likeliest(rows.teacher)
    if whole and "s2t" not in rows.kept_in_step:
        rows.kept_in_step["s2t"] = rows.projectors.s2t(rows.student.head, rows.teacher.head)
    return Computed(rows.kept["likeliest"], rows.kept_in_step.get("s2t"))


def projectors(spaces: Spaces) -> LogitIdentity:
    """The one trained map, set by both heads."""
    from ..losses.dual_space_v2 import LogitIdentity

    return LogitIdentity(spaces.student, spaces.teacher, spaces.shared)


DSKD_V2 = Objective(
    name="dskd_v2",
    card="DSKD v2: a projector that starts as the identity of logits, over aligned rows",
    loss=loss,
    pairing="aligned",
    permits=aligned_tokens,
    reads=MIXED | {"projector_learning_rate", "highest_share"},
    projectors=projectors,
    projector_rate=5e-4,
    options=Options,
    share=share,
    source="Zhang et al. 2025 (arXiv 2504.11426)",
)
