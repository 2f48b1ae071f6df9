"""Approximate likelihood matching against its equation in numpy, run by run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from telbench.kd.losses import alm as module
from telbench.kd.losses.alm import LEAST, alm
from telbench.kd.losses.chunked_head import Projected
from telbench.kd.losses.heads import Head
from telbench.kd.losses.mixture import Mixture, Pairs

WIDE = torch.float64
# Two runs of one row and one of three on the student's side; a row between them belongs to none.
RUNS = [(0, 0, 0, 1), (2, 4, 2, 2), (5, 5, 3, 5)]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(6)


def side(rows: int, tokens: int) -> Projected:
    head = Head(torch.randn(tokens, 5, dtype=WIDE).requires_grad_())
    return Projected(torch.randn(rows, 5, dtype=WIDE).requires_grad_(), head)


def pairs() -> Pairs:
    first, last, other, end = torch.tensor(RUNS).unbind(1)
    return Pairs(last, end, 6, (first, other))


def likelihoods(model: Projected, said: torch.Tensor, rows: list[tuple[int, int]], tau: float) -> Any:
    logits = (model.hidden @ model.head.weight.T).detach().numpy()
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.exp([sum(log_p[k, said[k]] for k in range(first, last + 1)) / tau - LEAST for first, last in rows])


def by_hand(student: Projected, teacher: Projected, said: Any, tau: float) -> float:
    a = likelihoods(teacher, said[1], [(c, d) for _, _, c, d in RUNS], tau)
    b = likelihoods(student, said[0], [(first, last) for first, last, _, _ in RUNS], tau)
    entropy = -(a * np.log(a) + (1 - a) * np.log(1 - a)).sum()
    # Binary cross-entropy, as the authors' code has it, less its least value.
    return float(-(a * np.log(b) + (1 - a) * np.log(1 - b)).sum() - entropy)


@pytest.mark.parametrize("tau", [1.0, 4.0, 100.0])
@pytest.mark.parametrize("most", [1, 100])
def test_value_and_gradient_are_those_of_the_binary_cross_entropy_of_runs(
    tau: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "rows_at_once", lambda head: most)
    student, teacher = side(6, 11), side(6, 13)
    said = torch.randint(11, (6,)), torch.randint(13, (6,))
    found = alm(student, teacher, said, pairs(), 0.0, 0.5, Mixture(rate=0.8), tau)
    assert found.total.item() == pytest.approx(0.4 * by_hand(student, teacher, said, tau), rel=1e-8)
    found.total.backward()
    assert teacher.hidden.grad is None
    mine, step = student.hidden.grad, 1e-6
    assert mine is not None
    for row, column in ((0, 1), (3, 2), (5, 4)):
        values = []
        for sign in (1, -1):
            moved = student.hidden.detach().clone()
            moved[row, column] += sign * step
            values.append(0.4 * by_hand(Projected(moved, student.head), teacher, said, tau))
        assert mine[row, column].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4, abs=1e-9)
    assert torch.equal(mine[1], torch.zeros(5, dtype=WIDE))


def test_a_student_as_likely_as_its_teacher_is_no_distance_away_and_certainty_is_finite() -> None:
    model = side(6, 11)
    said = torch.randint(11, (2, 6))
    first, last, _, _ = torch.tensor(RUNS).unbind(1)
    same = Pairs(last, last, 6, (first, first))
    found = alm(model, model, (said[0], said[0]), same, 0.0, 1.0, Mixture(rate=1.0))
    assert found.total.item() == pytest.approx(0, abs=1e-12)
    sure = Projected((40 * torch.eye(11, 5, dtype=WIDE)[:6]).requires_grad_(), Head(torch.eye(11, 5, dtype=WIDE)))
    labels = torch.arange(6).clamp_max(4)
    found = alm(sure, model, (labels, said[0]), same, 0.1, 1.0, Mixture(rate=1.0))
    found.total.backward()
    assert found.total.isfinite()
    assert sure.hidden.grad is not None
    assert sure.hidden.grad.isfinite().all()


def test_labels_count_beside() -> None:
    student, teacher = side(6, 11), side(6, 13)
    said = torch.randint(11, (6,)), torch.randint(13, (6,))
    found = alm(student, teacher, said, pairs(), 1 / 6, 1 / 3, Mixture(rate=0.25), 2.0)
    gold = torch.nn.functional.cross_entropy(student.hidden @ student.head.weight.T, said[0]).item()
    assert found.total.item() == pytest.approx(0.75 * gold + 0.25 / 3 * by_hand(student, teacher, said, 2.0))
