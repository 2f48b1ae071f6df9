"""Losses over answer rows against their definitions written out densely."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from telbench.errors import InputError
from telbench.kd.losses.chunked_head import Projected
from telbench.kd.losses.divergences import ReverseKL
from telbench.kd.losses.heads import Head
from telbench.kd.losses.mixture import Mixture, Pairs, SharedIds
from telbench.kd.losses.token_kd import simple_ctkd, supervised, uld_kd, vanilla_kd
from telbench.kd.losses.uld import rows_by_index

ROWS, WIDTH, TOKENS, CPU = 7, 5, 19, torch.device("cpu")


def model(rows: int, width: int, tokens: int) -> Projected:
    hidden = torch.randn(rows, width, dtype=torch.float64).requires_grad_()
    return Projected(hidden, Head(torch.randn(tokens, width, dtype=torch.float64).requires_grad_()))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(2)


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p.log() - q.log())).sum(-1)


def logits(side: Projected) -> Tensor:
    return side.hidden @ side.head.weight.T


def test_vanilla_kd_is_half_cross_entropy_and_half_forward_kl_at_temperature_2_without_a_factor() -> None:
    student, teacher, labels = model(ROWS, WIDTH, TOKENS), model(ROWS, 4, TOKENS), torch.randint(TOKENS, (ROWS,))
    loss = vanilla_kd(student, teacher, labels, 1 / ROWS)
    p, q = (logits(side).div(2).softmax(-1) for side in (teacher, student))
    expected = 0.5 * cross_entropy(logits(student), labels) + 0.5 * kl(p, q).mean()
    assert loss.total.item() == pytest.approx(expected.item())
    assert loss.sums["kd"].item() == pytest.approx(kl(p, q).sum().item())
    assert loss.sums["ce"].item() == pytest.approx(cross_entropy(logits(student), labels, reduction="sum").item())


def test_rate_divergence_and_factor_are_what_the_mixture_says() -> None:
    student, teacher, labels = model(ROWS, WIDTH, TOKENS), model(ROWS, 4, TOKENS), torch.randint(TOKENS, (ROWS,))
    mixture = Mixture(rate=0.9, divergence=ReverseKL(), temperature=3.0, t2_scale=True)
    loss = vanilla_kd(student, teacher, labels, 1 / ROWS, mixture)
    p, q = (logits(side).div(3).softmax(-1) for side in (teacher, student))
    expected = 0.1 * cross_entropy(logits(student), labels) + 0.9 * 9 * kl(q, p).mean()
    assert loss.total.item() == pytest.approx(expected.item())


def test_rate_0_is_supervised_training_and_rate_1_needs_no_label() -> None:
    student, teacher, labels = model(ROWS, WIDTH, TOKENS), model(ROWS, 4, TOKENS), torch.randint(TOKENS, (ROWS,))
    alone = supervised(student, labels, 1 / ROWS).total
    assert torch.allclose(vanilla_kd(student, teacher, labels, 1 / ROWS, Mixture(rate=0)).total, alone)
    others = (labels + 1) % TOKENS
    one, two = (vanilla_kd(student, teacher, gold, 1 / ROWS, Mixture(rate=1)).total for gold in (labels, others))
    assert torch.equal(one, two)


def test_uld_pairs_rows_by_index_and_leaves_the_longer_answers_rest_to_the_labels() -> None:
    student, teacher, labels = model(7, WIDTH, TOKENS), model(6, 4, 23), torch.randint(TOKENS, (7,))
    ours, theirs = rows_by_index([3, 4], [5, 1])
    loss = uld_kd(student, teacher, labels, Pairs.of(ours, theirs, 7, CPU), 1 / 7)
    assert (ours, theirs) == ([0, 1, 2, 3], [0, 1, 2, 5])
    p = logits(teacher).softmax(-1)[theirs].sort(descending=True).values
    q = logits(student).softmax(-1)[ours].sort(descending=True).values
    distance = (p - torch.nn.functional.pad(q, (0, 4))).abs().sum()
    expected = 0.5 * cross_entropy(logits(student), labels) + 0.5 * distance / 7
    assert loss.total.item() == pytest.approx(expected.item())
    assert loss.sums["kd"].item() == pytest.approx(distance.item())


def test_simple_ctkd_compares_shared_tokens_on_aligned_rows() -> None:
    student, teacher, labels = model(7, WIDTH, TOKENS), model(6, 4, 23), torch.randint(TOKENS, (7,))
    ours, theirs = [0, 2, 5], [1, 2, 4]
    shared = SharedIds(teacher=torch.tensor([3, 0, 22, 7]), student=torch.tensor([1, 2, 3, 18]))
    loss = simple_ctkd(student, teacher, labels, Pairs.of(ours, theirs, 7, CPU), shared, 1 / 7, 1 / 3)
    p = logits(teacher)[theirs][:, shared.teacher].div(2).softmax(-1)
    q = logits(student)[ours][:, shared.student].div(2).softmax(-1)
    expected = 0.5 * cross_entropy(logits(student), labels) + 0.5 * kl(p, q).mean()
    assert loss.total.item() == pytest.approx(expected.item())
    loss.total.backward()
    assert student.hidden.grad is not None
    assert teacher.hidden.grad is None
    assert teacher.head.weight.grad is None


def test_one_vocabulary_in_another_order_is_the_same_distillation() -> None:
    student, teacher, labels = model(ROWS, WIDTH, TOKENS), model(ROWS, 4, TOKENS), torch.randint(TOKENS, (ROWS,))
    order = torch.randperm(TOKENS)
    shuffled = Projected(teacher.hidden, teacher.head.chosen(order))
    shared = SharedIds(teacher=torch.arange(TOKENS), student=order)
    every = Pairs.all(ROWS, CPU)
    crossed = simple_ctkd(student, shuffled, labels, every, shared, 1 / ROWS, 1 / ROWS)
    assert torch.allclose(crossed.total, vanilla_kd(student, teacher, labels, 1 / ROWS).total)


@pytest.mark.parametrize("change", [{"rate": -0.1}, {"rate": 1.5}, {"rate": float("nan")}, {"temperature": 0.0}])
def test_a_mixture_that_is_none_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError):
        replace(Mixture(), **change)


def test_teacher_rows_that_do_not_match_are_refused() -> None:
    with pytest.raises(InputError, match="7 hidden rows, 7 labels, 6 teacher rows"):
        vanilla_kd(model(7, WIDTH, TOKENS), model(6, 4, TOKENS), torch.zeros(7, dtype=torch.long), 1.0)


def test_how_two_terms_are_mixed_is_checked_without_torch():
    program = (
        "import sys; from telbench.kd.losses.mixture import Mixture; Mixture(rate=1.0, temperature=3.0); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
