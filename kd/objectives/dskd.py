"""Dual-space distillation, version 1, for one vocabulary: linear projectors, row k of both models.

Source: Zhang et al., Dual-Space Knowledge Distillation for Large Language Models, 2024 (arXiv 2406.17328).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .contract import MIXED, Objective, Rates, Rows, Spaces

if TYPE_CHECKING:
    from ..losses.dual_space import LinearProjectors
    from ..losses.mixture import Loss


def loss(rows: Rows) -> Loss:
    """(1 - rate) · CE + rate · (t2s_kd + t2s_ce + s2t)."""
    from ..losses.dual_space import dskd

    return dskd(rows.student, rows.teacher, rows.labels, rows.projectors, rows.per_label, rows.mixture)


def projectors(spaces: Spaces) -> LinearProjectors:
    """One linear map each way."""
    from ..losses.dual_space import LinearProjectors

    return LinearProjectors(*spaces.widths)


def advice(means: Mapping[str, float], rates: Rates) -> str | None:
    """What to do when the projected teacher ended worse at the labels than its student; None where it did not."""
    if not {"ce", "t2s_ce"} <= means.keys() or means["t2s_ce"] <= means["ce"]:
        return None
    own, seen = means["ce"], means["t2s_ce"]
    return (
        f"seen through the student's head the teacher says the labels worse ({seen:.3f} nats) than the student itself "
        f"({own:.3f}), so it held the student back: raise --projector-learning-rate (now "
        f"{rates.projectors:g}; the student's is {rates.student:g}), train longer, or "
        "use vanilla_kd or simple_ctkd if the student is much narrower than its teacher"
    )


DSKD = Objective(
    name="dskd",
    card="DSKD v1 for one vocabulary: each model's states seen through the other's head",
    loss=loss,
    reads=MIXED | {"projector_learning_rate"},
    projectors=projectors,
    projector_rate=1e-3,
    advice=advice,
    source="Zhang et al. 2024 (arXiv 2406.17328)",
)
