"""Loss over answer rows through the output head, a few rows at a time: the (rows, vocabulary) tensor never exists.

The gradient of each chunk is computed while its logits are there, and only the gradients of hidden rows (n, d), weight
(V, d) and bias (V,) are kept, in float32 or wider. The head is thus multiplied as often as in a dense computation; what
it costs is that the weights of the rows must be known beforehand.

Under autocast to bfloat16, or where rows and head are bfloat16, the products' operands are; sums, logits, softmax and
loss are float32 all the same. There, and on a GPU, gradients come from closed forms where the divergence has one.
This module needs torch to be imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from telbench.errors import InputError

from ..batches import IGNORED
from . import closed_form
from .divergences import ClosedForm, Divergence, divergence_rows
from .heads import Head, Operands, operand, product

# Elements of one chunk's logits, 32 MiB in float32; a handful of such tensors live at a time.
CHUNK_ELEMENTS = 2**23
FEWEST_ROWS = 8
# A GPU wants large products: there a chunk's logits take this part of its memory, whatever else is in it.
MEMORY_PART = 80


@dataclass(frozen=True, eq=False)
class Projected:
    """A model by its hidden rows (n, d) and its head; as a teacher it gets no gradient."""

    hidden: Tensor
    head: Head

    def __len__(self) -> int:
        return len(self.hidden)

    @property
    def columns(self) -> int:
        """Columns of its logits."""
        return self.head.size

    def logits(self, rows: slice) -> Tensor:
        """Logits of these rows."""
        return self.head.logits(self.hidden[rows])


@dataclass(frozen=True, eq=False)
class Given:
    """A teacher by its logits (n, V)."""

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    @property
    def columns(self) -> int:
        """Columns of its logits."""
        return self.values.shape[1]

    def logits(self, rows: slice) -> Tensor:
        """Logits of these rows."""
        return self.values[rows]


@dataclass(frozen=True, eq=False)
class Target:
    """What the student is drawn to besides the labels: a teacher, and how the distance is measured.

    ``weights``: a number for all rows or (n,) for each; 1/D makes the sum a mean over D answer tokens.
    """

    teacher: Projected | Given | Operands
    divergence: Divergence
    weights: Tensor | float
    temperature: float = 2.0
    t2_scale: bool = False


@dataclass(frozen=True, eq=False)
class Labels:
    """Gold ids (n,) as columns of the head, and the weights of their cross-entropies; `IGNORED` ids count nothing."""

    ids: Tensor
    weights: Tensor | float


@dataclass(frozen=True, eq=False)
class HeadLoss:
    """``total``: the weighted sum, with gradient. The rest is for the record, without gradient.

    ``cross_entropy`` and ``divergence``: (n,) unweighted nats a row, zeros where there was no such term.
    ``predicted``: (n,) the student's likeliest ids, if asked for.
    """

    total: Tensor
    cross_entropy: Tensor
    divergence: Tensor
    predicted: Tensor | None


def chunked_loss(
    hidden: Tensor,
    head: Head,
    *,
    labels: Labels | None = None,
    target: Target | None = None,
    predict: bool = False,
    chunk_rows: int | None = None,
) -> HeadLoss:
    """Sum of w · CE(student, label) + v · divergence(student, teacher) over the rows of ``hidden`` (n, d).

    Gradients flow to ``hidden``, ``head.weight`` and ``head.bias`` where they ask for them; equal to those of the dense
    computation. No rows give 0. The gradient cannot be differentiated again.

    Args:
        hidden: the student's last hidden states at the answer rows.
        head: the student's head, cut to the columns that count.
        labels: gold ids, for the cross-entropy.
        target: the teacher, for the divergence.
        predict: return each row's likeliest id too.
        chunk_rows: rows at a time (default: about 32 MiB of float32 logits).

    Raises:
        InputError: when rows, columns or labels do not fit together.
    """
    _check(hidden, head, labels, target)
    if target is not None and isinstance(target.teacher, Projected):
        # Rounded or widened once instead of at every chunk.
        target = replace(target, teacher=target.teacher.head.detached().operands(target.teacher.hidden.detach()))
    mine = head.detached().operands(hidden.detach())
    job = _Job(mine, labels, target, predict, rows_at_once(head, chunk_rows), torch.is_grad_enabled())
    # Autocast would round what a divergence multiplies, however wide it is.
    with torch.autocast(hidden.device.type, enabled=False):
        total, cross_entropy, divergence, predicted = _Chunks.apply(hidden, head.weight, head.bias, job)
    return HeadLoss(total, cross_entropy, divergence, predicted if predict else None)


def likeliest(hidden: Tensor, head: Head, chunk_rows: int | None = None) -> Tensor:
    """Ids (n,) with the largest logit of each row, ``chunk_rows`` rows at a time, without gradient."""
    rows = rows_at_once(head, chunk_rows)
    with torch.no_grad():
        mine = head.operands(hidden)
        # No rows are one part of none.
        starts = range(0, max(1, len(hidden)), rows)
        return torch.cat([mine.logits(slice(start, start + rows)).argmax(-1) for start in starts])


@dataclass(frozen=True, eq=False)
class _Job:
    """What `_Chunks` does besides differentiating; all of it is detached."""

    mine: Operands
    labels: Labels | None
    target: Target | None
    predict: bool
    rows: int
    differentiate: bool


class KeptGradients(torch.autograd.Function):
    """A sum over a head's rows whose forward pass has saved its gradients, and in ``ctx.dtypes`` their formats.

    They are those of hidden rows, weight and bias (None where none is needed); what else goes in has none. So the
    backward pass only multiplies.
    """

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - the decorator hides the name of ctx
        ctx: Any, *upstream: Tensor
    ) -> tuple[Tensor | None, ...]:
        """The kept gradients times that of the sum."""
        kept = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return (
            *(None if gradient is None else (gradient * upstream[0]).to(dtype) for gradient, dtype in kept),
            None,
        )


class _Chunks(KeptGradients):
    """Values and gradients of all chunks in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, job: _Job
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The weighted sum, and for the record both terms and the prediction of each row."""
        needs = [job.differentiate and need for need in ctx.needs_input_grad[:3]]
        mine, wide = job.mine, torch.promote_types(job.mine.weight.dtype, torch.float32)
        gradients = [
            torch.zeros_like(like, dtype=wide) if need and like is not None else None
            for need, like in zip(needs, (hidden, weight, bias), strict=True)
        ]
        total = hidden.new_zeros((), dtype=wide)
        cross_entropy, divergence = total.new_zeros(len(hidden)), total.new_zeros(len(hidden))
        predicted = torch.zeros(len(hidden) if job.predict else 0, dtype=torch.long, device=hidden.device)
        # Float32 on a processor keeps the last digits that autograd gives.
        known = job.target is None or isinstance(job.target.divergence, ClosedForm)
        terms = _closed_terms if known and (mine.half or hidden.is_cuda) else _recorded_terms
        for start in range(0, len(hidden), job.rows):
            rows = slice(start, start + job.rows)
            products = product(mine.states[rows], mine.weight.T)
            if job.predict:
                predicted[rows] = mine.head.finish(products).argmax(-1)
            summed, cross_entropy[rows], divergence[rows], slope = terms(
                products, mine.head, job.labels, job.target, rows, differentiate=any(needs)
            )
            total += summed
            if slope is not None:
                accumulate(gradients, slope, mine, rows)
        ctx.save_for_backward(*gradients)
        ctx.dtypes = [None if like is None else like.dtype for like in (hidden, weight, bias)]
        ctx.mark_non_differentiable(cross_entropy, divergence, predicted)
        return total, cross_entropy, divergence, predicted


# A chunk's weighted sum, its two terms row by row, and the gradient of the sum by the products.
Terms = tuple[Tensor, Tensor | float, Tensor | float, Tensor | None]


def _closed_terms(
    products: Tensor, head: Head, labels: Labels | None, target: Target | None, rows: slice, *, differentiate: bool
) -> Terms:
    """The terms by closed forms; products are not needed afterwards."""
    if not differentiate:
        return _recorded_terms(products, head, labels, target, rows, differentiate=False)
    logits = head.finish(products)
    summed, slope = logits.new_zeros(()), None
    cross_entropy: Tensor | float = 0.0
    divergence: Tensor | float = 0.0
    if target is not None and isinstance(target.divergence, ClosedForm):
        weights, given = _of_rows(target.weights, rows, logits), target.teacher.logits(rows)
        divergence, slope = _fused(closed_form.distance, head)(
            target.divergence, logits, given, weights, target.temperature, t2_scale=target.t2_scale
        )
        summed += (divergence * weights).sum()
    if labels is not None:
        weights = _of_rows(labels.weights, rows, logits)
        cross_entropy, added = _fused(closed_form.cross_entropy, head)(logits, labels.ids[rows], weights)
        summed += (cross_entropy * weights).sum()
        slope = added if slope is None else slope.add_(added)
    if slope is not None:
        slope = closed_form.through_head(slope, logits, head.scale, head.cap)
    return summed, cross_entropy, divergence, slope


def _fused(terms: Callable[..., Any], head: Head) -> Callable[..., Any]:
    return closed_form.compiled(terms) if head.fused else terms


def _recorded_terms(
    products: Tensor, head: Head, labels: Labels | None, target: Target | None, rows: slice, *, differentiate: bool
) -> Terms:
    """The terms by autograd, for any divergence."""
    products.requires_grad_(differentiate)
    summed = products.new_zeros(())
    cross_entropy: Tensor | float = 0.0
    divergence: Tensor | float = 0.0
    with torch.set_grad_enabled(differentiate):
        logits = head.finish(products)
        if labels is not None:
            values = torch.nn.functional.cross_entropy(logits, labels.ids[rows], ignore_index=IGNORED, reduction="none")
            summed = summed + (values * _of(labels.weights, rows)).sum()
            cross_entropy = values.detach()
        if target is not None:
            with torch.no_grad():
                given = target.teacher.logits(rows)
            values = divergence_rows(
                target.divergence, logits, given, temperature=target.temperature, t2_scale=target.t2_scale
            )
            summed = summed + (values * _of(target.weights, rows)).sum()
            divergence = values.detach()
    slope = torch.autograd.grad(summed, products)[0] if summed.requires_grad else None
    return summed.detach(), cross_entropy, divergence, slope


def accumulate(gradients: list[Tensor | None], slope: Tensor, mine: Operands, rows: slice) -> None:
    """Add one chunk's part to the gradients of hidden rows, weight and bias; ``slope`` is that of the products."""
    of_hidden, of_weight, of_bias = gradients
    if of_bias is not None:
        # The bias is added to the products before anything else happens to them.
        of_bias += slope.sum(0)
    if mine.half:
        slope = operand(slope, half=True)
    if of_hidden is not None:
        width = of_hidden.shape[1]
        of_hidden[rows] = product(slope, mine.weight[:, :width])
        if mine.weight.shape[1] > width:
            # The rest of a weight in halves.
            of_hidden[rows] += product(slope, mine.weight[:, -width:])
    if of_weight is None:
        return
    if slope.dtype == torch.bfloat16:
        of_weight += product(slope.T, mine.states[rows, : of_weight.shape[1]])
    else:
        of_weight.addmm_(slope.T, mine.states[rows])


def _of(weights: Tensor | float, rows: slice) -> Tensor | float:
    return weights[rows].detach() if isinstance(weights, Tensor) else weights


def _of_rows(weights: Tensor | float, rows: slice, like: Tensor) -> Tensor:
    """(n,) in any case."""
    return weights[rows].detach() if isinstance(weights, Tensor) else like.new_full((len(like),), weights)


def rows_at_once(head: Head, asked: int | None = None) -> int:
    """Rows of a chunk: as many as asked for, else what its logits have room for."""
    if asked:
        return asked
    if head.weight.is_cuda:
        memory = torch.cuda.get_device_properties(head.weight.device).total_memory
        # A multiple of 128, as its matrix units like it.
        return max(128, memory // MEMORY_PART // (4 * head.size) // 128 * 128)
    return max(FEWEST_ROWS, CHUNK_ELEMENTS // head.size)


def refuse_beyond(ids: Tensor, head: Head) -> None:
    """Raise `InputError` for labels that are no column of this head."""
    beyond = int((ids >= head.size).sum())
    if beyond:
        raise InputError(
            f"{beyond} labels lie beyond the head's {head.size} columns: tokens that teacher and student do not share "
            "cannot be learned here"
        )


def _check(hidden: Tensor, head: Head, labels: Labels | None, target: Target | None) -> None:
    _check_width("the student's", hidden, head)
    counts = {"hidden rows": len(hidden)}
    if labels is not None:
        counts["labels"] = len(labels.ids)
        # On a GPU this would wait for all that was asked of it before; there the trainer looks beforehand.
        if not labels.ids.is_cuda:
            refuse_beyond(labels.ids, head)
    if target is not None:
        if isinstance(target.teacher, Projected):
            _check_width("the teacher's", target.teacher.hidden, target.teacher.head)
        counts["teacher rows"] = len(target.teacher)
        if target.teacher.columns != head.size and not target.divergence.crosses:
            raise InputError(
                f"{target.divergence.name} compares the same tokens, but the student has {head.size} and the teacher "
                f"{target.teacher.columns}: cut both heads to the ids they share (telbench kd vocab)"
            )
    for term in (labels, target):
        if term is not None and isinstance(term.weights, Tensor):
            counts[f"weights of {type(term).__name__.lower()}"] = len(term.weights)
    if len(set(counts.values())) > 1:
        raise InputError("rows do not match: " + ", ".join(f"{count} {what}" for what, count in counts.items()))


def _check_width(whose: str, hidden: Tensor, head: Head) -> None:
    if hidden.dim() != 2 or hidden.shape[1] != head.weight.shape[1]:
        raise InputError(
            f"{whose} hidden rows of shape {tuple(hidden.shape)} do not fit a head of shape {tuple(head.weight.shape)}"
        )
