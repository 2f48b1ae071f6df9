"""Distributions over different vocabularies, compared where both models have said the same text.

A run of rows that covers one piece of text is merged into one distribution by the chain rule: that of its last row,
times the probabilities of the tokens said before it. Tokens of the same text in both vocabularies are then compared
directly, the others by rank. Source: Patiño et al., Unlocking On-Policy Distillation for Any Model Family, Hugging
Face 2025 (GOLD), after Boizard et al. 2024 (arXiv 2402.12030). This module needs torch to be imported.
"""

from __future__ import annotations

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
    alone = chunked_loss(student.hidden, student.head, labels=mixture.labels(said[0], per_label))
    rest = tuple(_others(ids, side.columns) for ids, side in ((shared.student, student), (shared.teacher, teacher)))
    matched, unmatched = shares.of(len(shared.teacher), teacher.columns)
    parts = run_parts(pairs, min(rows_at_once(student.head), rows_at_once(teacher.head)))
    ranks, scale = UniversalLogit(), mixture.temperature**2 if mixture.t2_scale else 1.0

    def term(number: int, logits: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        part, temperature = parts[number], mixture.temperature
        with torch.no_grad():
            others = teacher.head.logits(teacher.hidden[part.theirs])
            p = _merged(log_probabilities(others, temperature), said[1][part.theirs], *part.their_runs)
        q = _merged(log_probabilities(logits, temperature), said[0][part.ours], *part.our_runs)
        direct = mixture.divergence.rows(q[:, shared.student], p[:, shared.teacher]) * scale
        ranked = ranks.rows(q[:, rest[0]], p[:, rest[1]]) * scale
        distance = (matched * direct + unmatched * ranked).sum()
        sums = {"kd": distance, "matched": direct.sum(), "unmatched": ranked.sum()}
        return distance * (mixture.rate * per_pair), sums

    total, sums = chunked_terms(student, [part.ours for part in parts], term)
    return Loss(alone.total + total, {"ce": alone.cross_entropy.sum(), **sums})


def summed_over_runs(values: Tensor, firsts: Tensor, lasts: Tensor) -> Tensor:
    """(runs,): the sum of the rows' values (n,) from each first row to each last; runs ascend and share no row."""
    rows = torch.arange(len(values), device=values.device)
    # A row belongs to the first run that does not end before it.
    run = torch.searchsorted(lasts.contiguous(), rows).clamp_max(len(lasts) - 1)
    # Those of no run add nothing to one: to leave them out, a GPU would have to tell how many they are.
    inside = (firsts[run] <= rows) & (rows <= lasts[run])
    return values.new_zeros(len(lasts)).index_add(0, run, values.where(inside, 0))


def _merged(log_p: Tensor, said: Tensor, firsts: Tensor, lasts: Tensor) -> Tensor:
    """(runs, vocabulary): log p of each run's last row, plus log p of what its other rows say."""
    each = log_p.gather(-1, said[:, None])[:, 0]
    return log_p[lasts] + (summed_over_runs(each, firsts, lasts) - each[lasts])[:, None]


def _others(ids: Tensor, columns: int) -> Tensor:
    """All columns but these, which differ: sorted to the front, since a GPU would have to be asked how many remain."""
    left = torch.ones(columns, dtype=torch.int8, device=ids.device).index_fill(0, ids, 0)
    return left.argsort(descending=True, stable=True)[: columns - len(ids)]


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of both models that hold some runs whole, and first and last rows of these, counted within them."""

    ours: slice
    theirs: slice
    our_runs: tuple[Tensor, Tensor]
    their_runs: tuple[Tensor, Tensor]


def run_parts(pairs: Pairs, most: int) -> list[Part]:
    """All runs, cut into parts of at most ``most`` rows of either model, but for a longer run.

    Raises:
        InputError: for pairs that are no runs.
    """
    if pairs.firsts is None:
        raise InputError("runs of rows are merged here: pair them as spans")
    firsts, lasts = torch.stack([*pairs.firsts], 1), torch.stack([pairs.student, pairs.teacher], 1)
    begins, ends = firsts.tolist(), lasts.tolist()
    parts: list[Part] = []
    start = 0
    for run in range(1, len(begins) + 1):
        if run < len(begins) and all(ends[run][side] - begins[start][side] < most for side in (0, 1)):
            continue
        rows = [slice(begins[start][side], ends[run - 1][side] + 1) for side in (0, 1)]
        ours, theirs = (
            (firsts[start:run, side] - rows[side].start, lasts[start:run, side] - rows[side].start) for side in (0, 1)
        )
        parts.append(Part(rows[0], rows[1], ours, theirs))
        start = run
    return parts
