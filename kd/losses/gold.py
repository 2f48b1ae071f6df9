"""Distributions over different vocabularies, compared where both models have said the same text.

A run of rows that covers one piece of text is merged into one distribution by the chain rule: that of its last row,
times the probabilities of the tokens said before it. Tokens of the same text in both vocabularies are then compared
directly, the others by rank. Source: Patiño et al., Unlocking On-Policy Distillation for Any Model Family, Hugging
Face 2025 (GOLD), after Boizard et al. 2024 (arXiv 2402.12030). This module needs torch to be imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from telbench.errors import InputError

from .chunked_head import Projected, chunked_loss, rows_at_once
from .chunked_terms import chunked_terms
from .divergences import log_probabilities
from .mixture import Loss, Mixture, Pairs, SharedIds
from .uld import UniversalLogit


@dataclass(frozen=True)
class Shares:
    """What the two parts weigh; None: the teacher's share of tokens that the student has too, and the rest."""

    matched: float | None = None
    unmatched: float | None = None

    def of(self, shared: int, tokens: int) -> tuple[float, float]:
        """Both weights, for ``shared`` of the teacher's ``tokens``."""
        share = shared / tokens
        return (
            share if self.matched is None else self.matched,
            1 - share if self.unmatched is None else self.unmatched,
        )


def gold(
    student: Projected,
    teacher: Projected,
    said: tuple[Tensor, Tensor],
    pairs: Pairs,
    shared: SharedIds,
    per_label: float,
    per_pair: float,
    mixture: Mixture,
    shares: Shares = Shares(),
) -> Loss:
    """(1 - rate) · CE + rate · Σ over runs of (matched · divergence + unmatched · Σ abs(p₍ₖ₎ - q₍ₖ₎)).

    Merged distributions do not sum to 1: their sum is the probability of what was said before.

    Args:
        student: its rows.
        teacher: its rows, without gradient.
        said: the token that each row of the student (n,), and of the teacher (m,), says; the first are the labels.
        pairs: runs of both, with ``firsts``.
        shared: ids of the same text.
        per_label: 1 over the student's answer tokens of the whole step.
        per_pair: 1 over the runs of the whole step.
        mixture: rate, divergence of the matched part, temperature.
        shares: what the parts weigh.
    """
    if pairs.firsts is None:
        raise InputError("runs of rows are merged here: pair them as spans")
    alone = chunked_loss(student.hidden, student.head, labels=mixture.labels(said[0], per_label))
    firsts, lasts = torch.stack([*pairs.firsts], 1), torch.stack([pairs.student, pairs.teacher], 1)
    rest = tuple(_others(ids, side.columns) for ids, side in ((shared.student, student), (shared.teacher, teacher)))
    matched, unmatched = shares.of(len(shared.teacher), teacher.columns)
    most = min(rows_at_once(student.head), rows_at_once(teacher.head))
    parts = _parts(firsts.tolist(), lasts.tolist(), most)
    ranks, scale = UniversalLogit(), mixture.temperature**2 if mixture.t2_scale else 1.0

    def merged(side: int, logits: Tensor, runs: slice, start: int) -> Tensor:
        log_p = log_probabilities(logits, mixture.temperature)
        return _merged(
            log_p, said[side][start : start + len(log_p)], firsts[runs, side] - start, lasts[runs, side] - start
        )

    def term(number: int, logits: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        runs, ours, theirs = parts[number]
        with torch.no_grad():
            p = merged(1, teacher.head.logits(teacher.hidden[theirs]), runs, theirs.start)
        q = merged(0, logits, runs, ours.start)
        direct = mixture.divergence.rows(q[:, shared.student], p[:, shared.teacher]) * scale
        ranked = ranks.rows(q[:, rest[0]], p[:, rest[1]]) * scale
        distance = (matched * direct + unmatched * ranked).sum()
        sums = {"kd": distance, "matched": direct.sum(), "unmatched": ranked.sum()}
        return distance * (mixture.rate * per_pair), sums

    total, sums = chunked_terms(student, [ours for _, ours, _ in parts], term)
    return Loss(alone.total + total, {"ce": alone.cross_entropy.sum(), **sums})


def _merged(log_p: Tensor, said: Tensor, firsts: Tensor, lasts: Tensor) -> Tensor:
    """(runs, vocabulary): log p of each run's last row, plus log p of what its other rows say."""
    each = log_p.gather(-1, said[:, None])[:, 0]
    rows = torch.arange(len(log_p), device=log_p.device)
    # A row belongs to the first run that does not end before it.
    run = torch.searchsorted(lasts, rows).clamp_max(len(lasts) - 1)
    before = (firsts[run] <= rows) & (rows < lasts[run])
    ahead = log_p.new_zeros(len(lasts)).index_add(0, run[before], each[before])
    return log_p[lasts] + ahead[:, None]


def _others(ids: Tensor, columns: int) -> Tensor:
    """All columns but these."""
    return torch.ones(columns, dtype=torch.bool, device=ids.device).index_fill(0, ids, False).nonzero()[:, 0]


def _parts(
    firsts: Sequence[Sequence[int]], lasts: Sequence[Sequence[int]], most: int
) -> list[tuple[slice, slice, slice]]:
    """Runs, the student's rows and the teacher's of each part: neither has more than ``most``, but for a longer run."""
    parts: list[tuple[slice, slice, slice]] = []
    start = 0
    for run in range(1, len(firsts) + 1):
        if run < len(firsts) and all(lasts[run][side] - firsts[start][side] < most for side in (0, 1)):
            continue
        rows = [slice(firsts[start][side], lasts[run - 1][side] + 1) for side in (0, 1)]
        parts.append((slice(start, run), rows[0], rows[1]))
        start = run
    return parts
