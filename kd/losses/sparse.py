"""A teacher known by some tokens of each row: its likeliest ones with what is left over, or a weighted sample.

Both forms are losses without the teacher's weights. This module needs torch to be imported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from telbench.errors import InputError

from ..batches import IGNORED
from .chunked_head import Projected, rows_at_once
from .chunked_terms import chunked_terms
from .divergences import widened
from .mixture import LINEAR, Loss, Mixture

# Log-probability of a place that holds nothing: it adds nothing to any divergence, where -inf would give NaN.
NOTHING = -60.0
# What is left over by the likeliest tokens is known to the digits of a sum of float32 numbers.
LEAST_TAIL = 1e-9


@dataclass(frozen=True, eq=False)
class Sparse:
    """Tokens ``ids`` (n, k) of each row and their ``log_p`` (n, k) over the teacher's whole vocabulary.

    Without ``weights`` these are the k likeliest. With them they are draws: the sum of weight times any function of
    the token has the teacher's own mean of it as its mean. ``temperature``: of the probabilities.
    """

    ids: Tensor
    log_p: Tensor
    weights: Tensor | None = None
    temperature: float = 1.0

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, index: Tensor | slice) -> Sparse:
        """Only these rows."""
        weights = None if self.weights is None else self.weights[index]
        return replace(self, ids=self.ids[index], log_p=self.log_p[index], weights=weights)

    def within(self, columns: int) -> Sparse:
        """Places of tokens beyond the first ``columns`` hold nothing: the student cannot say them."""
        beyond = self.ids >= columns
        weights = None if self.weights is None else self.weights.masked_fill(beyond, 0)
        ids, log_p = self.ids.masked_fill(beyond, 0), self.log_p.masked_fill(beyond, NOTHING)
        return replace(self, ids=ids, log_p=log_p, weights=weights)


def sparse_kd(student: Projected, given: Sparse, labels: Tensor, per_label: float, mixture: Mixture) -> Loss:
    """(1 - rate) · CE + rate · distance, row by row over one vocabulary, from some tokens of each teacher row.

    Of the k likeliest tokens: the divergence over k + 1 parts, the last being all other tokens together. It is never
    more than that over all tokens, for divergences that merging cannot raise. Of a sample: the sum over draws of
    weight · (log p - log q), whose mean, and whose gradient's, are those of forward KL. Source of the sample: Anshumann
    et al., Sparse Logit Sampling, 2025 (arXiv 2503.16870).

    Raises:
        InputError: for another temperature than that of what is known, or a divergence that no sample gives.
    """
    if mixture.temperature != given.temperature:
        raise InputError(
            f"the teacher's probabilities are those at temperature {given.temperature:g}, not "
            f"{mixture.temperature:g}: pass --temperature {given.temperature:g}"
        )
    if given.weights is not None and mixture.divergence.name != LINEAR:
        raise InputError(f"sampled logits give {LINEAR} alone, not {mixture.divergence.name}: leave --divergence out")
    if len(given) != len(student) or len(labels) != len(student):
        raise InputError(f"rows do not match: {len(student)} hidden, {len(labels)} labels, {len(given)} of the teacher")
    given, most = given.within(student.columns), rows_at_once(student.head)
    parts = [slice(start, start + most) for start in range(0, len(student), most)]
    scale = mixture.temperature**2 if mixture.t2_scale else 1.0

    def term(number: int, logits: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        ids, taught = labels[parts[number]], given.at(parts[number])
        gold = torch.nn.functional.cross_entropy(logits, ids, ignore_index=IGNORED, reduction="sum")
        distance = _distance(logits / mixture.temperature, taught, mixture).sum() * scale
        value = per_label * ((1 - mixture.rate) * gold + mixture.rate * distance)
        return value, {"ce": gold, "kd": distance}

    total, sums = chunked_terms(student, parts, term)
    return Loss(total, sums)


def _distance(logits: Tensor, taught: Sparse, mixture: Mixture) -> Tensor:
    norm = logits.logsumexp(-1, keepdim=True)
    log_q = logits.gather(-1, taught.ids) - norm
    log_p = widened(taught.log_p).to(logits.dtype)
    if taught.weights is not None:
        return (taught.weights * (log_p - log_q)).sum(-1)
    nothing = taught.log_p == NOTHING
    # Of two places with one token, one of which holds nothing, the other counts.
    listed = torch.zeros(logits.shape, dtype=torch.uint8, device=logits.device)
    listed.scatter_reduce_(-1, taught.ids, (~nothing).to(torch.uint8), "amax")
    others = logits.masked_fill(listed.bool(), -math.inf).logsumexp(-1, keepdim=True) - norm
    held = taught.log_p.double().exp().masked_fill(nothing, 0).sum(-1, keepdim=True)
    left = (1 - held).clamp_min(LEAST_TAIL).log().to(logits.dtype)
    student = torch.cat([log_q.masked_fill(nothing, NOTHING), others], -1)
    return mixture.divergence.rows(student, torch.cat([log_p, left], -1))
