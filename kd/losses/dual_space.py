"""Dual-space distillation, version 1: each model's hidden states seen through the other's head.

With T→S the teacher's rows projected into the student's space and S→T the reverse, z the logits of each:

    loss = (1 - rate) · CE(z_s, y) + rate · (t2s_kd + t2s_ce + s2t)
    t2s_ce = CE(T→S through W_s, y)                       trains the projectors only
    t2s_kd = divergence(z_s, T→S through W_s, both / T)    trains the student, head included
    s2t    = KL(z_t, S→T through W_t, both / T)            trains the student's body and the projectors

All sums run over answer rows and are divided by the student's answer tokens. Source: Zhang et al., Dual-Space Knowledge
Distillation for Large Language Models, 2024 (arXiv 2406.17328), with the choices of its scripts.
This module needs torch to be imported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from telbench.errors import InputError

from ..batches import sent
from .chunked_head import HeadLoss, Labels, Projected, Target, chunked_loss
from .divergences import ForwardKL
from .mixture import Loss, Mixture

Scale = Literal["item", "batch"]


class LinearProjectors(nn.Module):
    """Both projectors of one vocabulary: ``t2s`` (d_t to d_s) and ``s2t`` (d_s to d_t), with bias.

    Their optimizer group is their own (learning rate 1e-3 in the scripts).
    """

    def __init__(self, student_width: int, teacher_width: int) -> None:
        super().__init__()
        self.t2s = nn.Linear(teacher_width, student_width)
        self.s2t = nn.Linear(student_width, teacher_width)


def dskd(
    student: Projected,
    teacher: Projected,
    labels: Tensor,
    projectors: LinearProjectors,
    per_label: float,
    mixture: Mixture | None = None,
) -> Loss:
    """Version 1 for one vocabulary: linear projectors, row k of both models predicts the same token.

    Neither the teacher's rows are normalised nor is t2s_kd masked by what the projection gets right. s2t is forward KL
    whatever the mixture's divergence.

    Raises:
        InputError: when rows or columns do not match.
    """
    mixture = mixture or Mixture()
    t2s = _through(projectors.t2s, teacher.hidden.detach())
    s2t = _through(projectors.s2t, student.hidden)
    return _mixed(student, teacher, labels, t2s, s2t, per_label, mixture, masked=False)


@dataclass(frozen=True, eq=False)
class Stream:
    """One model's answer rows: hidden states and head, label ids (n,), token embeddings (n, 2d), item numbers (n,).

    The embeddings are those of the token read and of the token to say (`embedded`), without gradient. The numbers stay
    on the processor, which compares them without a GPU's help.
    """

    rows: Projected
    labels: Tensor
    embeddings: Tensor
    items: Tensor


def embedded(embedding: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """[E(x); E(y)] (n, 2d) of the tokens read and to be said at the answer rows, without gradient."""
    with torch.no_grad():
        return torch.cat([embedding(inputs), embedding(labels)], -1)


class CrossModelAttention(nn.Module):
    """Projectors and query of the variant for different vocabularies; ``scale`` chooses what is divided by what std.

    The scripts divide by one standard deviation over the whole padded tensor, so that their loss depends on the amount
    of padding. Here it is taken over the answer rows of each item (``item``: neither padding nor the split into
    micro-batches matters) or of all items together (``batch``: nearer to the scripts).
    """

    def __init__(self, student_width: int, teacher_width: int, scale: Scale = "item") -> None:
        super().__init__()
        self.t2s = nn.Linear(teacher_width, student_width)
        self.s2t = nn.Linear(student_width, teacher_width)
        self.query = nn.Linear(2 * student_width, 2 * teacher_width)
        self.scale: Scale = scale

    def forward(self, student: Stream, teacher: Stream) -> tuple[Tensor, Tensor]:
        """Teacher rows at the student's places (n, d_s) and student rows at the teacher's (m, d_t).

        A = softmax(Q Kᵀ / √(2 d_t)) over the answer rows of the same item, with Q = query([E_s(x); E_s(y)]) and
        K = [E_t(x); E_t(y)] / std. T→S = A · t2s(h_t / std + E_t(y) / std); S→T = softmax of the transposed scores ·
        s2t(h_s). The scores keep their gradient on both ways.

        Raises:
            InputError: when an item has rows on one side only, or a teacher's embeddings are not as wide as its states.
        """
        said = teacher.embeddings.shape[-1] // 2
        if said != teacher.rows.hidden.shape[-1]:
            raise InputError(
                f"cross-model attention adds the teacher's embeddings ({said} wide) to its hidden states "
                f"({teacher.rows.hidden.shape[-1]} wide): use an algorithm without attention (telbench kd algorithms)"
            )
        numbers = {*teacher.items.tolist()}
        if numbers != {*student.items.tolist()}:
            raise InputError("an item has answer rows in one vocabulary only: leave it out")
        ours, theirs = (sent(each.items, teacher.embeddings.device) for each in (student, teacher))
        together, scaled = ours[:, None] == theirs[None, :], partial(self._scaled, items=theirs, most=max(numbers) + 1)
        # Autocast would round the scores to half precision.
        with torch.autocast(together.device.type, enabled=False):
            keys, states = scaled(teacher.embeddings), scaled(teacher.rows.hidden.detach())
            values = _through(self.t2s, states + scaled(teacher.embeddings[:, said:]))
            scores = _through(self.query, student.embeddings) @ keys.T / math.sqrt(2 * said)
            scores = scores.masked_fill(~together, -torch.inf)
            return scores.softmax(-1) @ values, scores.T.softmax(-1) @ _through(self.s2t, student.rows.hidden)

    def _scaled(self, values: Tensor, items: Tensor, most: int) -> Tensor:
        wide = values.to(self.query.weight.dtype)
        groups, count = (items, most) if self.scale == "item" else (torch.zeros_like(items), 1)
        return wide / _deviation(wide, groups, count)


def dskd_cma(
    student: Stream,
    teacher: Stream,
    attention: CrossModelAttention,
    per_label: float,
    mixture: Mixture | None = None,
) -> Loss:
    """Version 1 for different vocabularies: rows meet by cross-model attention.

    t2s_kd counts only the rows where the projected teacher predicts the label; early on these are few, and the loss is
    CE and s2t. The teacher's rows are divided by the number of the *student's* answer tokens too.
    """
    mixture = mixture or Mixture()
    t2s, s2t = attention(student, teacher)
    return _mixed(student.rows, teacher.rows, student.labels, t2s, s2t, per_label, mixture, masked=True)


def _mixed(
    student: Projected,
    teacher: Projected,
    labels: Tensor,
    t2s: Tensor,
    s2t: Tensor,
    per_label: float,
    mixture: Mixture,
    *,
    masked: bool,
) -> Loss:
    """The four terms from rows that are projected already."""
    seen = student.head.detached()
    projected = chunked_loss(t2s, seen, labels=Labels(labels, mixture.rate * per_label), predict=True)
    right = (projected.predicted == labels).to(t2s.dtype)
    weights = right * per_label if masked else per_label
    own = chunked_loss(
        student.hidden,
        student.head,
        labels=mixture.labels(labels, per_label),
        target=mixture.target(Projected(t2s, seen), weights),
    )
    back = chunked_loss(
        s2t,
        teacher.head.detached(),
        target=Target(teacher, ForwardKL(), mixture.rate * per_label, mixture.temperature, mixture.t2_scale),
    )
    return Loss(own.total + projected.total + back.total, _sums(own, projected, back, right, masked=masked))


def _sums(own: HeadLoss, projected: HeadLoss, back: HeadLoss, right: Tensor, *, masked: bool) -> dict[str, Tensor]:
    return {
        "ce": own.cross_entropy.sum(),
        "t2s_kd": (own.divergence * right if masked else own.divergence).sum(),
        "t2s_ce": projected.cross_entropy.sum(),
        "t2s_right": right.sum(),
        "s2t": back.divergence.sum(),
    }


def _through(projector: nn.Linear, rows: Tensor) -> Tensor:
    """Projected rows, in the projector's own precision whatever autocast says: they are few numbers."""
    with torch.autocast(rows.device.type, enabled=False):
        return projector(rows.to(projector.weight.dtype))


def _deviation(values: Tensor, groups: Tensor, most: int) -> Tensor:
    """Standard deviation (n, 1) of all numbers in the rows of the same group, unbiased; groups are below ``most``."""
    none = values.new_zeros(most)
    count = none.index_add(0, groups, values.new_ones(len(values))) * values.shape[1]
    mean = none.index_add(0, groups, values.sum(1)) / count
    squares = (values - mean[groups][:, None]).square().sum(1)
    variance = none.index_add(0, groups, squares) / (count - 1)
    return variance.sqrt()[groups][:, None]
