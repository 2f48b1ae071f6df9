"""Some tokens of each teacher row: against the dense divergence, by hand, and the mean over many draws."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from telbench.errors import InputError
from telbench.kd.losses import sparse as module
from telbench.kd.losses.chunked_head import Projected
from telbench.kd.losses.divergences import (
    Divergence,
    ForwardKL,
    GeneralisedJSD,
    ReverseKL,
    TotalVariation,
    divergence_named,
)
from telbench.kd.losses.heads import Head
from telbench.kd.losses.mixture import Mixture
from telbench.kd.losses.sparse import Sparse, sparse_kd
from telbench.kd.losses.token_kd import vanilla_kd
from telbench.kd.teacher.sparse import Form, packed

WIDE, ROWS, TOKENS = torch.float64, 6, 23
NAMES = ("forward_kl", "reverse_kl", "skewed_forward_kl", "skewed_reverse_kl", "generalised_jsd", "total_variation")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(4)


def side(tokens: int = TOKENS, width: int = 5) -> Projected:
    head = Head(torch.randn(tokens, width, dtype=WIDE).requires_grad_())
    return Projected(torch.randn(ROWS, width, dtype=WIDE).requires_grad_(), head)


def top(teacher: Projected, k: int, temperature: float = 1.0) -> Sparse:
    log_p = (teacher.logits(slice(None)).detach() / temperature).log_softmax(-1)
    values, ids = log_p.topk(k, -1)
    return Sparse(ids, values, None, temperature)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_all_tokens_but_one_are_the_dense_loss_and_its_gradient(name: str, temperature: float) -> None:
    student, teacher, labels = side(), side(), torch.randint(TOKENS, (ROWS,))
    mixture = Mixture(rate=0.7, divergence=divergence_named(name), temperature=temperature, t2_scale=True)
    expected = vanilla_kd(student, teacher, labels, 1 / ROWS, mixture)
    expected.total.backward()
    wanted = [student.hidden.grad, student.head.weight.grad]
    student.hidden.grad = student.head.weight.grad = None
    found = sparse_kd(student, top(teacher, TOKENS - 1, temperature), labels, 1 / ROWS, mixture)
    found.total.backward()
    assert found.total.item() == pytest.approx(expected.total.item(), rel=1e-6)
    assert found.sums["ce"].item() == pytest.approx(expected.sums["ce"].item())
    assert found.sums["kd"].item() == pytest.approx(expected.sums["kd"].item(), rel=1e-6)
    for mine, other in zip([student.hidden.grad, student.head.weight.grad], wanted, strict=True):
        assert mine is not None
        assert other is not None
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("most", [1, 4, 100])
def test_the_rest_is_one_more_token(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "rows_at_once", lambda head: most)
    student, teacher, labels = side(), side(), torch.randint(TOKENS, (ROWS,))
    given = top(teacher, 4)
    found = sparse_kd(student, given, labels, 0.1, Mixture(rate=0.7, divergence=ReverseKL(), temperature=1.0))
    q = student.logits(slice(None)).softmax(-1)
    mine = q.gather(-1, given.ids)
    theirs = given.log_p.exp()
    mine, theirs = (torch.cat([each, 1 - each.sum(-1, keepdim=True)], -1) for each in (mine, theirs))
    distance = (mine * (mine.log() - theirs.log())).sum()
    gold = cross_entropy(student.logits(slice(None)), labels, reduction="sum")
    expected = 0.1 * (0.3 * gold + 0.7 * distance)
    assert found.total.item() == pytest.approx(expected.item())
    (slope,) = torch.autograd.grad(expected, student.hidden)
    found.total.backward()
    assert student.hidden.grad is not None
    assert torch.allclose(student.hidden.grad, slope)


@pytest.mark.parametrize("divergence", [ForwardKL(), ReverseKL(), GeneralisedJSD(), TotalVariation()])
def test_more_tokens_tell_more_and_never_more_than_all(divergence: Divergence) -> None:
    student, teacher, labels = side(), side(), torch.randint(TOKENS, (ROWS,))
    mixture = replace(Mixture(rate=1.0, temperature=1.0), divergence=divergence)
    values = [sparse_kd(student, top(teacher, k), labels, 1.0, mixture).total.item() for k in (1, 3, 9, TOKENS - 1)]
    whole = vanilla_kd(student, teacher, labels, 1.0, mixture).total.item()
    assert values == sorted(values)
    assert values[-1] == pytest.approx(whole, rel=1e-6)
    assert 0 < values[0] < whole


def test_tokens_beyond_the_students_go_to_the_rest() -> None:
    student, teacher, labels = side(TOKENS), side(TOKENS + 5), torch.randint(TOKENS, (ROWS,))
    given = top(teacher, 12)
    assert (given.ids >= TOKENS).any()
    found = sparse_kd(student, given, labels, 1.0, Mixture(rate=1.0, temperature=1.0))
    q, expected = student.logits(slice(None)).softmax(-1), 0.0
    for row in range(ROWS):
        ids = [index for index in given.ids[row].tolist() if index < TOKENS]
        p = [
            value
            for index, value in zip(given.ids[row].tolist(), given.log_p[row].exp().tolist(), strict=True)
            if index < TOKENS
        ]
        mine = [*q[row, ids].tolist(), 1 - q[row, ids].sum().item()]
        theirs = torch.tensor([*p, 1 - sum(p)], dtype=WIDE)
        expected += (theirs * (theirs / torch.tensor(mine, dtype=WIDE)).log()).sum().item()
    assert found.total.item() == pytest.approx(expected)


def draws(teacher: Projected, form: Form, name: str) -> Sparse:
    return form.unpacked(packed(teacher.hidden.detach(), teacher.head.detached(), form, name))


def slope_of(loss: Tensor, student: Projected) -> Tensor:
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, [student.hidden, student.head.weight])])


@pytest.mark.parametrize(("exponent", "temperature"), [(1.0, 1.0), (0.7, 1.0), (1.2, 2.0)])
def test_the_mean_over_many_draws_is_the_exact_value_and_gradient(exponent: float, temperature: float) -> None:
    """Every number lies within five of its own standard errors, and the average of all within a hundredth."""
    student, teacher, labels = side(), side(), torch.randint(TOKENS, (ROWS,))
    mixture = Mixture(rate=1.0, temperature=temperature)
    exact = vanilla_kd(student, teacher, labels, 1.0, mixture).total
    wanted, form, count = slope_of(exact, student), Form("sampled", 12, temperature, exponent), 600
    values, slopes = [], []
    for number in range(count):
        found = sparse_kd(student, draws(teacher, form, f"draw {number}"), labels, 1.0, mixture)
        values.append(found.total.item())
        slopes.append(slope_of(found.total, student))
    value, slope = torch.tensor(values, dtype=WIDE), torch.stack(slopes)
    assert abs(value.mean() - exact.item()) < 5 * value.std() / count**0.5
    error = slope.std(0) / count**0.5
    assert ((slope.mean(0) - wanted).abs() < 5 * error + 1e-9).all()
    assert (slope.mean(0) - wanted).norm() < 0.05 * wanted.norm()


def test_the_likeliest_tokens_alone_taken_for_all_are_off_by_far_more() -> None:
    """What the test above would find of a biased form: probabilities of the largest, renormalised."""
    student, teacher, labels = side(), side(), torch.randint(TOKENS, (ROWS,))
    mixture = Mixture(rate=1.0, temperature=1.0)
    wanted = slope_of(vanilla_kd(student, teacher, labels, 1.0, mixture).total, student)
    given = top(teacher, 3)
    p = given.log_p.exp()
    biased = replace(given, weights=p / p.sum(-1, keepdim=True))
    slope = slope_of(sparse_kd(student, biased, labels, 1.0, mixture).total, student)
    assert (slope - wanted).norm() > 0.1 * wanted.norm()


def test_draws_are_the_same_each_time_and_others_for_another_item_or_seed() -> None:
    teacher, form = side(), Form("sampled", 5)
    one, again = draws(teacher, form, "a"), draws(teacher, form, "a")
    assert torch.equal(one.ids, again.ids)
    assert not torch.equal(one.ids, draws(teacher, form, "b").ids)
    assert not torch.equal(one.ids, draws(teacher, replace(form, seed=1), "a").ids)


def test_what_does_not_fit_is_refused() -> None:
    student, teacher, labels = side(), side(), torch.randint(TOKENS, (ROWS,))
    with pytest.raises(InputError, match="at temperature 1, not 2: pass --temperature 1"):
        sparse_kd(student, top(teacher, 3), labels, 1.0, Mixture(temperature=2.0))
    sampled = draws(teacher, Form("sampled", 5), "a")
    with pytest.raises(InputError, match="sampled logits give forward_kl alone, not reverse_kl"):
        sparse_kd(student, sampled, labels, 1.0, Mixture(divergence=ReverseKL(), temperature=1.0))
    with pytest.raises(InputError, match="rows do not match: 6 hidden, 6 labels, 2 of the teacher"):
        sparse_kd(student, sampled.at(slice(2)), labels, 1.0, Mixture(temperature=1.0))
    with pytest.raises(InputError, match="the teacher has 23 tokens, and some must be left over"):
        draws(teacher, Form("top_k", TOKENS), "a")


def test_a_teacher_that_leaves_nothing_over_gives_a_finite_loss() -> None:
    student, labels = side(), torch.randint(TOKENS, (ROWS,))
    sure = Sparse(torch.zeros(ROWS, 1, dtype=torch.long), torch.zeros(ROWS, 1))
    for name in NAMES:
        mixture = Mixture(rate=1.0, divergence=divergence_named(name), temperature=1.0)
        found = sparse_kd(student, sure, labels, 1.0, mixture)
        found.total.backward()
        assert found.total.isfinite()
        assert student.hidden.grad is not None
        assert student.hidden.grad.isfinite().all()
