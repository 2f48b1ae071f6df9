"""Dual-space distillation, version 1, for different vocabularies: rows meet by cross-model attention.

Source: as `dskd`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .contract import MIXED, ModelRows, Objective, Rows, Spaces, always
from .dskd import advice

if TYPE_CHECKING:
    from ..losses.dual_space import CrossModelAttention, Stream
    from ..losses.mixture import Loss


@dataclass(frozen=True)
class Options:
    """``attention_scale``: what one standard deviation is taken over."""

    attention_scale: Literal["item", "batch"]


def loss(rows: Rows) -> Loss:
    """As version 1, t2s_kd counting only the rows where the projected teacher predicts the label."""
    from ..losses.dual_space import dskd_cma

    student, teacher = _stream(rows.ours), _stream(rows.theirs)
    return dskd_cma(student, teacher, rows.projectors, rows.per_label, rows.mixture)


def _stream(side: ModelRows) -> Stream:
    import torch

    from ..losses.dual_space import Stream, embedded

    read, said = side.tokens()
    items = torch.arange(len(side.counts)).repeat_interleave(torch.tensor(side.counts))
    return Stream(side.rows, said, embedded(side.embedding(), read, said), items)


def projectors(spaces: Spaces) -> CrossModelAttention:
    """One linear map each way, and the attention's query."""
    from ..losses.dual_space import CrossModelAttention

    return CrossModelAttention(*spaces.widths, spaces.options.attention_scale)


DSKD_CMA = Objective(
    name="dskd_cma",
    card="DSKD v1 for different vocabularies: cross-model attention pairs the rows",
    loss=loss,
    pairing="attention",
    permits=always("attention pairs the tokens of both models"),
    reads=MIXED | {"projector_learning_rate", "attention_scale"},
    projectors=projectors,
    projector_rate=1e-3,
    options=Options,
    advice=advice,
    source="Zhang et al. 2024 (arXiv 2406.17328)",
)
