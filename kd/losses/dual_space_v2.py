"""Dual-space distillation, version 2: a projector that starts where it changes no logit, and exactly aligned rows.

With P_t2s (d_t, d_s) trained and P_s2t (d_s, d_t) computed from the current heads:

    loss = (1 - rate) · CE(z_s, y) + rate · (t2s_kd + t2s_ce + s2t)       z_ts = h_t P_t2s W_sᵀ, z_st = h_s P_s2t W_tᵀ

and of the teacher's terms each is a mean over the aligned rows whose t̂ the student has ("known" rows):

    t2s_ce = CE(z_ts, t̂), t̂ the teacher's likeliest token    trains P_t2s only
    t2s_kd = divergence(z_s, z_ts, both / T)                  trains the student, head included; agreeing rows
    s2t    = divergence(z_st, z_t, both / T)                  trains the student's body only

Source: Zhang et al., A Dual-Space Framework for General Knowledge Distillation of Large Language Models, 2025
(arXiv 2504.11426).
This module needs torch to be imported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..batches import IGNORED
from .chunked_head import HeadLoss, Labels, Projected, chunked_loss, likeliest
from .divergences import widened
from .heads import Head, exactly
from .mixture import Loss, Mixture, Pairs, SharedIds


class _ExactProduct(torch.autograd.Function):
    """``left @ right`` and its gradients, all of them `exactly`."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        """The product."""
        ctx.save_for_backward(left, right)
        with exactly(left.device):
            return left @ right

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - the decorator hides the name of ctx
        ctx: Any, upstream: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        """Of both factors, where asked for."""
        left, right = ctx.saved_tensors
        with exactly(left.device):
            return (
                upstream @ right.T if ctx.needs_input_grad[0] else None,
                left.T @ upstream if ctx.needs_input_grad[1] else None,
            )


def exact_product(rows: Tensor, projector: Tensor) -> Tensor:
    """Rows (n, a) through a projector (a, b), whose inverted small singular values blow up every rounding: float32."""
    return _ExactProduct.apply(rows, projector)


class LogitIdentity(nn.Module):
    """``t2s`` (d_t, d_s) without bias, set so that h_t · t2s · W_sᵀ is as near to h_t · W_tᵀ as can be.

    That is t2s = W_tᵀ · pinv(W_sᵀ) over the tokens that both vocabularies have (all rows of both heads if ``shared`` is
    not given). Caps of the logits are not looked through; scales are. Its optimizer group is its own (learning rate
    5e-4 in version 2).
    """

    def __init__(self, student: Head, teacher: Head, shared: SharedIds | None = None) -> None:
        super().__init__()
        self.shared = shared
        self.token_map = None if shared is None else token_map(shared, teacher.size)
        ours, theirs = self._weights(student, teacher, torch.float64)
        self.t2s = nn.Parameter((theirs.T @ ours @ _gram_inverse(ours)).to(widened(student.weight).dtype))
        # The teacher's head never changes; of its pseudo-inverse the small factor is kept.
        self.teacher_inverse = nn.Buffer(_gram_inverse(theirs).to(self.t2s.dtype), persistent=False)

    def forward(self, teacher_hidden: Tensor) -> Tensor:
        """Teacher rows (n, d_t) in the student's space (n, d_s)."""
        return exact_product(teacher_hidden.to(self.t2s.dtype), self.t2s)

    def s2t(self, student: Head, teacher: Head) -> Tensor:
        """P_s2t = W_sᵀ · pinv(W_tᵀ) (d_s, d_t) from the student's head as it is now, without gradient."""
        with torch.no_grad(), exactly(self.t2s.device):
            ours, theirs = self._weights(student, teacher, self.t2s.dtype)
            return ours.T @ theirs @ self.teacher_inverse

    def _weights(self, student: Head, teacher: Head, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Both heads' effective weights over the shared tokens, row k of both the same token."""
        with torch.no_grad():
            if self.shared is not None:
                student, teacher = student.chosen(self.shared.student), teacher.chosen(self.shared.teacher)
            return student.weight.to(dtype) * student.scale, teacher.weight.to(dtype) * teacher.scale


@dataclass(frozen=True, eq=False)
class Aligned:
    """What the two vocabularies have to do with each other in a micro-batch.

    ``pairs``: rows that predict the same text. ``token_map`` (V_t,): the student's id of each teacher token, -1 where
    it has none; left out for one vocabulary. Rows whose t̂ the student lacks are dropped from the teacher's terms.
    """

    pairs: Pairs
    token_map: Tensor | None = None

    def likeliest(self, teacher: Projected) -> tuple[Tensor, Tensor]:
        """t̂ (n,) of each pair as the student's id, and (n,) whether there is one."""
        found = likeliest(teacher.hidden[self.pairs.teacher], teacher.head)
        mapped = found if self.token_map is None else self.token_map[found]
        return mapped, mapped >= 0


def token_map(shared: SharedIds, teacher_size: int) -> Tensor:
    """(V_t,): the student's id of each teacher token, -1 where it has none."""
    none = torch.full((teacher_size,), -1, dtype=torch.long, device=shared.teacher.device)
    return none.index_copy(0, shared.teacher, shared.student)


@dataclass(frozen=True, eq=False)
class Computed:
    """What a step has computed already, so that nothing is twice. Whatever is missing is computed.

    ``likeliest``: what `Aligned.likeliest` says of this micro-batch. ``s2t``: P_s2t, until the student's head changes.
    """

    likeliest: tuple[Tensor, Tensor] | None = None
    s2t: Tensor | None = None


def agreement(
    student: Head,
    teacher: Projected,
    projector: LogitIdentity,
    aligned: Aligned,
    computed: Computed | None = None,
) -> tuple[int, int]:
    """(rows where the projected teacher still says t̂, rows that have a t̂), to be summed over a step's micro-batches."""
    wanted, known = (computed and computed.likeliest) or aligned.likeliest(teacher)
    with torch.no_grad():
        said = likeliest(projector(teacher.hidden[aligned.pairs.teacher]), replace(student, exact=True))
    return int(((said == wanted) & known).sum()), int(known.sum())


def dskd_v2(
    student: Projected,
    teacher: Projected,
    labels: Tensor,
    projector: LogitIdentity,
    aligned: Aligned,
    per_label: float,
    mixture: Mixture | None = None,
    *,
    per_known: float | None = None,
    share: float | None = None,
    highest_share: float = 1.0,
    computed: Computed | None = None,
) -> Loss:
    """Version 2 over aligned rows; for one vocabulary these are all rows, and ``per_known`` equals ``per_label``.

    Args:
        student: answer rows and head.
        teacher: answer rows and head.
        labels: the student's gold ids.
        projector: the only trained part besides the student.
        aligned: which rows predict the same text.
        per_label: 1 over the student's answer tokens of the whole step.
        mixture: rate, divergence, temperature.
        per_known: 1 over the rows with a t̂ of the whole step (`agreement` counts them); by default of this call's.
        share: of the rows with a t̂, those that agree, over the whole step (`agreement`); by default of this call's.
        highest_share: up to this share t2s_kd is averaged over agreeing rows only, above it over all (1: always only
            agreeing ones, as in the scripts).
        computed: what is known already.
    """
    mixture, computed = mixture or Mixture(), computed or Computed()
    wanted, known = computed.likeliest or aligned.likeliest(teacher)
    taught = teacher.hidden[aligned.pairs.teacher].detach()
    seen = replace(student.head.detached(), exact=True)
    t2s = projector(taught)
    if per_known is None:
        per_known = 1 / max(1, int(known.sum()))
    projected = chunked_loss(
        t2s, seen, labels=Labels(wanted.where(known, IGNORED), mixture.rate * per_known), predict=True
    )
    agree = (projected.predicted == wanted) & known
    counted = known.to(t2s.dtype)
    if share is None:
        share = float(agree.sum()) / max(1, int(known.sum()))
    # A mean over the agreeing rows is their sum over the known rows, divided by their share.
    weights = agree * (per_known / share if share else 0.0) if share <= highest_share else counted * per_known
    own = chunked_loss(
        student.hidden,
        student.head,
        labels=mixture.labels(labels, per_label),
        target=mixture.target(
            Projected(aligned.pairs.placed(t2s.detach()), seen), aligned.pairs.placed(weights.to(t2s.dtype))
        ),
    )
    s2t = projector.s2t(student.head, teacher.head) if computed.s2t is None else computed.s2t
    back = chunked_loss(
        exact_product(student.hidden[aligned.pairs.student].to(t2s.dtype), s2t),
        replace(teacher.head.detached(), exact=True),
        target=mixture.target(Projected(taught, teacher.head), counted * per_known),
    )
    used = aligned.pairs.placed(agree.to(t2s.dtype))
    return Loss(own.total + projected.total + back.total, _sums(own, projected, back, used, counted))


def _sums(own: HeadLoss, projected: HeadLoss, back: HeadLoss, agreeing: Tensor, known: Tensor) -> dict[str, Tensor]:
    return {
        "ce": own.cross_entropy.sum(),
        "t2s_kd": (own.divergence * agreeing).sum(),
        "t2s_ce": projected.cross_entropy.sum(),
        "t2s_agreeing": agreeing.sum(),
        "known": known.sum(),
        "s2t": (back.divergence * known).sum(),
    }


def _gram_inverse(weight: Tensor) -> Tensor:
    """Pseudo-inverse (d, d) of WᵀW: W times it is pinv(Wᵀ), and nothing as long as the vocabulary is decomposed."""
    return torch.linalg.pinv(weight.T @ weight, hermitian=True)
