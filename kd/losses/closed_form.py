"""Values and gradients of a chunk's terms without autograd: no graph over (rows, vocabulary) is recorded.

With u the logits and g the gradient of a row's value by the student's log-probabilities log q, that by u is
(g - q · sum g) / T. This module needs torch to be imported.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..batches import IGNORED
from .divergences import ClosedForm, log_probabilities


def cross_entropy(logits: Tensor, ids: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """-log q[id] of each row, and the gradient (rows, vocabulary) of their sum times ``weights``; 0 for `IGNORED`."""
    counted = ids != IGNORED
    places = torch.arange(len(ids), device=ids.device), ids.clamp_min(0)
    slope = logits.log_softmax(-1)
    values = -slope[places] * counted
    weights = weights * counted
    slope.exp_().mul_(weights[:, None])
    # One place a row, so that nothing is added up in an order that may change.
    slope[places] -= weights
    return values, slope


def distance(
    divergence: ClosedForm, logits: Tensor, teacher: Tensor, weights: Tensor, temperature: float, *, t2_scale: bool
) -> tuple[Tensor, Tensor]:
    """The divergence of each row at this temperature, and the gradient by the logits of their sum times ``weights``."""
    student = log_probabilities(logits, temperature)
    values, slope = divergence.gradient(student, log_probabilities(teacher, temperature))
    total = slope.sum(-1, keepdim=True)
    slope.addcmul_(student.exp_(), total, value=-1)
    scale = temperature**2 if t2_scale else 1.0
    return values * scale, slope.mul_((weights * (scale / temperature))[:, None])


@cache
def compiled(terms: Callable[..., Any]) -> Callable[..., Any]:
    """One of these functions with its operations fused; rows may be of any number."""
    return torch.compile(terms, dynamic=None)


def through_head(slope: Tensor, logits: Tensor, scale: float, cap: float | None) -> Tensor:
    """The gradient by a head's bare products from that by its logits, which it may overwrite."""
    if cap is not None:
        slope.mul_(1 - (logits / cap).square())
    return slope if scale == 1 else slope.mul_(scale)
