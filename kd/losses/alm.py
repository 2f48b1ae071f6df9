"""Approximate likelihood matching: how likely both models find the same piece of text, and nothing else.

This module needs torch to be imported.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .chunked_head import Projected, chunked_loss, rows_at_once
from .chunked_terms import chunked_terms
from .divergences import log_probabilities
from .gold import run_parts, summed_over_runs
from .mixture import Loss, Mixture, Pairs

# Taken off every logarithm, so that no piece of text is certain: the logarithm of its complement is finite.
LEAST = 1e-6


def alm(
    student: Projected,
    teacher: Projected,
    said: tuple[Tensor, Tensor],
    pairs: Pairs,
    per_label: float,
    per_pair: float,
    mixture: Mixture,
    tau: float = 100.0,
) -> Loss:
    """(1 - rate) · CE + rate · mean over runs of KL(a, b) + KL(1 - a, 1 - b), a = p^(1/tau) and b = q^(1/tau).

    p and q are the probabilities of a run's tokens by the teacher and by the student: whether they are said or not is
    all that is compared. Source: Minixhofer et al., Universal Cross-Tokenizer Distillation via Approximate Likelihood
    Matching, 2025 (arXiv 2503.20083), with their binary cross-entropy less its value at p = q.

    Args:
        student: its rows.
        teacher: its rows, without gradient.
        said: the token that each row of the student (n,), and of the teacher (m,), says; the first are the labels.
        pairs: runs of both, with ``firsts``.
        per_label: 1 over the student's answer tokens of the whole step.
        per_pair: 1 over the runs of the whole step.
        mixture: the rate.
        tau: softens the likelihoods, which differ by orders of magnitude.
    """
    alone = chunked_loss(student.hidden, student.head, labels=mixture.labels(said[0], per_label))
    parts = run_parts(pairs, min(rows_at_once(student.head), rows_at_once(teacher.head)))

    def term(number: int, logits: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        part = parts[number]
        with torch.no_grad():
            others = teacher.head.logits(teacher.hidden[part.theirs])
            taught = _likelihood(others, said[1][part.theirs], part.their_runs, tau)
        ours = _likelihood(logits, said[0][part.ours], part.our_runs, tau)
        no, never = (-torch.expm1(taught)).log(), (-torch.expm1(ours)).log()
        distance = (taught.exp() * (taught - ours) - torch.expm1(taught) * (no - never)).sum()
        return distance * (mixture.rate * per_pair), {"kd": distance}

    total, sums = chunked_terms(student, [part.ours for part in parts], term)
    return Loss(alone.total + total, {"ce": alone.cross_entropy.sum(), **sums})


def _likelihood(logits: Tensor, said: Tensor, runs: tuple[Tensor, Tensor], tau: float) -> Tensor:
    """(runs,): the log-likelihood of what each says, over tau."""
    each = log_probabilities(logits).gather(-1, said[:, None])[:, 0]
    return summed_over_runs(each, *runs) / tau - LEAST
