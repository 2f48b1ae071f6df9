"""Any term of a student's logits, some rows at a time: as in `chunked_head`, (rows, vocabulary) never exists whole.

For terms that `chunked_head.chunked_loss` cannot say: a value that depends on several rows at once, or a teacher that
is no head. This module needs torch to be imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .chunked_head import KeptGradients, Projected, accumulate
from .heads import Operands, product

# From a part's number and its rows' logits to the weighted sum of its term, and sums for the record.
Term = Callable[[int, Tensor], tuple[Tensor, dict[str, Tensor]]]


def chunked_terms(student: Projected, parts: Sequence[slice], term: Term) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of ``term`` over parts of the student's rows, and the sums of what it records.

    Each part's gradient is computed while its logits are there, and flows to the hidden rows and the head. It cannot
    be differentiated again.

    Args:
        student: hidden rows (n, d) and head.
        parts: which rows are needed at once; no row is in two of them.
        term: called once for each, with logits (rows of the part, vocabulary) in float32 or wider.
    """
    head = student.head
    mine = head.detached().operands(student.hidden.detach())
    job = _Job(mine, parts, term, torch.is_grad_enabled())
    # Autocast would round what a term multiplies, however wide it is.
    with torch.autocast(student.hidden.device.type, enabled=False):
        total: Tensor = _Parts.apply(student.hidden, head.weight, head.bias, job)
    return total, job.sums


@dataclass(frozen=True, eq=False)
class _Job:
    mine: Operands
    parts: Sequence[slice]
    term: Term
    differentiate: bool
    sums: dict[str, Tensor] = field(default_factory=dict)


class _Parts(KeptGradients):
    """Values and gradients of all parts in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, job: _Job) -> Tensor:
        """The weighted sum; sums for the record go into the job."""
        needs = [job.differentiate and need for need in ctx.needs_input_grad[:3]]
        mine, wide = job.mine, torch.promote_types(job.mine.weight.dtype, torch.float32)
        gradients = [
            torch.zeros_like(like, dtype=wide) if need and like is not None else None
            for need, like in zip(needs, (hidden, weight, bias), strict=True)
        ]
        total = hidden.new_zeros((), dtype=wide)
        for number, rows in enumerate(job.parts):
            products = product(mine.states[rows], mine.weight.T).requires_grad_(any(needs))
            with torch.set_grad_enabled(any(needs)):
                value, sums = job.term(number, mine.head.finish(products))
            total += value.detach()
            for name, each in sums.items():
                job.sums[name] = job.sums.get(name, 0) + each.detach()
            if value.requires_grad:
                accumulate(gradients, torch.autograd.grad(value, products)[0], mine, rows)
        ctx.save_for_backward(*gradients)
        ctx.dtypes = [None if like is None else like.dtype for like in (hidden, weight, bias)]
        return total
