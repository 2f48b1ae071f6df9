"""Closed forms give what autograd gives, and half precision rounds operands and nothing else."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from telbench.kd.batches import IGNORED
from telbench.kd.losses import chunked_head
from telbench.kd.losses.chunked_head import HeadLoss, Labels, Projected, Target, chunked_loss, likeliest
from telbench.kd.losses.divergences import GROUP, ClosedForm, Divergence, ForwardKL, divergence_named
from telbench.kd.losses.heads import Head
from telbench.registry import listed

EVERY = [divergence_named(name) for name in listed(GROUP)]
ROWS, TOKENS = 48, 331


def named(divergence: Divergence) -> str:
    return divergence.name


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize(
    ("divergence", "teachers"),
    [(each, TOKENS) for each in EVERY]
    + [(each, TOKENS + more) for each in EVERY if each.crosses for more in (-40, 40)],
    ids=lambda value: value if isinstance(value, int) else value.name,
)
@pytest.mark.parametrize("sharpness", [0.3, 3.0, 30.0])
def test_every_divergence_knows_its_gradient(divergence: Divergence, sharpness: float, teachers: int) -> None:
    assert isinstance(divergence, ClosedForm)
    student, teacher = (
        (sharpness * torch.randn(ROWS, tokens, dtype=torch.float64)).log_softmax(-1) for tokens in (TOKENS, teachers)
    )
    recorded = student.clone().requires_grad_()
    values = divergence.rows(recorded, teacher)
    (expected,) = torch.autograd.grad(values.sum(), recorded)
    kept = student.clone()
    found, gradient = divergence.gradient(student, teacher.clone())
    assert torch.equal(student, kept)
    assert torch.allclose(found, values, rtol=1e-10, atol=1e-12)
    assert torch.allclose(gradient, expected, rtol=1e-10, atol=1e-12)


def case(dtype: torch.dtype = torch.float64, **changes: Any) -> tuple[Tensor, Head, Projected, Labels]:
    hidden, weight = (torch.randn(size, 16, dtype=dtype).requires_grad_() for size in (ROWS, TOKENS))
    head = Head(weight, torch.randn(TOKENS, dtype=dtype).requires_grad_())
    ids = torch.randint(TOKENS, (ROWS,))
    ids[5] = IGNORED
    teacher = Projected(torch.randn(ROWS, 24, dtype=dtype), Head(torch.randn(TOKENS, 24, dtype=dtype)))
    return hidden, replace(head, **changes), teacher, Labels(ids, torch.rand(ROWS, dtype=dtype))


def slopes(loss: HeadLoss, hidden: Tensor, head: Head) -> list[Tensor]:
    assert head.bias is not None
    return list(torch.autograd.grad(loss.total, [hidden, head.weight, head.bias]))


@pytest.mark.parametrize("divergence", EVERY, ids=named)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("t2_scale", [False, True])
@pytest.mark.parametrize("changes", [{}, {"scale": 0.5}, {"scale": 0.7, "cap": 5.0}], ids=["bare", "scale", "cap"])
def test_closed_and_recorded_terms_are_one_loss(
    divergence: Divergence, temperature: float, t2_scale: bool, changes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, head, teacher, labels = case(**changes)
    target = Target(teacher, divergence, torch.rand(ROWS, dtype=torch.float64), temperature, t2_scale)

    def lost() -> HeadLoss:
        return chunked_loss(hidden, head, labels=labels, target=target, chunk_rows=7)

    recorded = lost()
    monkeypatch.setattr(chunked_head, "_recorded_terms", chunked_head._closed_terms)
    closed = lost()
    for name in ("total", "cross_entropy", "divergence"):
        assert torch.allclose(getattr(closed, name), getattr(recorded, name), rtol=1e-10, atol=1e-12)
    for one, other in zip(slopes(closed, hidden, head), slopes(recorded, hidden, head), strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


# By definition the weight of adaptive KL has no gradient, which finite differences would see.
@pytest.mark.parametrize("divergence", [each for each in EVERY if each.name != "adaptive_kl"], ids=named)
def test_the_closed_gradient_is_that_of_finite_differences(
    divergence: Divergence, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, head, teacher, labels = case(cap=6.0)
    assert head.bias is not None
    closed = chunked_head._closed_terms
    monkeypatch.setattr(chunked_head, "_recorded_terms", closed)

    def total(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        changed = replace(head, weight=weight, bias=bias)
        target = Target(teacher, divergence, 0.7)
        return chunked_loss(hidden, changed, labels=labels, target=target, chunk_rows=20).total

    assert torch.autograd.gradcheck(total, (hidden, head.weight, head.bias), fast_mode=True)


def half() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def apart(one: Tensor, other: Tensor) -> float:
    found, exact = one.detach().double(), other.detach().double()
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("divergence", EVERY, ids=named)
@pytest.mark.parametrize("way", ["autocast", "weights"])
def test_half_precision_gradients_are_within_3e_3_of_float32(divergence: Divergence, way: str) -> None:
    hidden, head, teacher, labels = case(torch.float32, scale=0.5)
    teacher = replace(teacher, head=replace(teacher.head, scale=0.5))
    target = Target(teacher, divergence, 0.5 / ROWS)
    labels = replace(labels, weights=0.5 / ROWS)
    exact = chunked_loss(hidden, head, labels=labels, target=target)
    wanted = slopes(exact, hidden, head)
    if way == "autocast":
        with half():
            found = chunked_loss(hidden, head, labels=labels, target=target)
        got = slopes(found, hidden, head)
    else:
        assert head.bias is not None
        rows = hidden.detach().bfloat16().requires_grad_()
        weight, bias = head.weight.detach().bfloat16().requires_grad_(), head.bias.detach().requires_grad_()
        narrow = replace(head, weight=weight, bias=bias)
        taught = Projected(teacher.hidden.bfloat16(), Head(teacher.head.weight.bfloat16(), scale=0.5))
        found = chunked_loss(rows, narrow, labels=labels, target=replace(target, teacher=taught))
        got = slopes(found, rows, narrow)
    assert found.total.dtype == torch.float32
    assert apart(found.total, exact.total) < 1e-3
    # ULD's gradient are signs, which rounding turns where two probabilities are nearly the same.
    most = 1e-2 if divergence.name == "uld" else 3e-3
    # Gradients of bfloat16 weights are rounded once more.
    most += 0 if way == "autocast" else 1e-3
    assert max(apart(one, other) for one, other in zip(got, wanted, strict=True)) < most


def test_operands_are_rounded_once_and_sums_are_not() -> None:
    hidden, head, teacher, labels = case(torch.float32)
    target = Target(teacher, ForwardKL(), 0.5)
    with half():
        found = chunked_loss(hidden, head, labels=labels, target=target, predict=True)
        said = likeliest(hidden, head)

    def rounded(values: Tensor) -> Tensor:
        return values.detach().bfloat16().float()

    exact = replace(target, teacher=Projected(rounded(teacher.hidden), Head(rounded(teacher.head.weight))))
    expected = chunked_loss(rounded(hidden), replace(head, weight=rounded(head.weight)), labels=labels, target=exact)
    assert torch.allclose(found.total, expected.total, rtol=1e-6)
    assert torch.allclose(found.divergence, expected.divergence, rtol=1e-5, atol=1e-6)
    assert found.predicted is not None
    assert torch.equal(found.predicted, said)


def test_an_exact_head_is_not_rounded_by_autocast() -> None:
    hidden, head, teacher, labels = case(torch.float32, exact=True)
    exact = replace(teacher, head=replace(teacher.head, exact=True))
    outside = chunked_loss(hidden, head, labels=labels, target=Target(exact, ForwardKL(), 0.5))
    with half():
        inside = chunked_loss(hidden, head, labels=labels, target=Target(exact, ForwardKL(), 0.5))
        assert torch.equal(likeliest(hidden, head), head.logits(hidden).argmax(-1))
    assert torch.equal(inside.total, outside.total)
    for one, other in zip(slopes(inside, hidden, head), slopes(outside, hidden, head), strict=True):
        assert torch.equal(one, other)


@dataclass(frozen=True)
class Squares:
    """A divergence of somebody else's: no closed form."""

    name: ClassVar[str] = "squares"
    crosses: ClassVar[bool] = False

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (student.exp() - teacher.exp()).square().sum(-1)


def test_a_divergence_without_a_closed_form_trains_in_half_precision_too() -> None:
    hidden, head, teacher, labels = case(torch.float32)
    target = Target(teacher, Squares(), 1.0)
    exact = slopes(chunked_loss(hidden, head, labels=labels, target=target), hidden, head)
    with half():
        found = slopes(chunked_loss(hidden, head, labels=labels, target=target), hidden, head)
    assert max(apart(one, other) for one, other in zip(found, exact, strict=True)) < 5e-3


def test_half_precision_records_nothing_where_there_is_a_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, head, teacher, labels = case(torch.float32)

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("autograd was asked")

    monkeypatch.setattr(chunked_head, "_recorded_terms", never)
    with half():
        chunked_loss(hidden, head, labels=labels, target=Target(teacher, ForwardKL(), 1.0)).total.backward()
    assert hidden.grad is not None
    with pytest.raises(AssertionError, match="autograd was asked"):
        chunked_loss(hidden, head, labels=labels, target=Target(teacher, ForwardKL(), 1.0))


def test_every_divergence_of_telbench_is_a_closed_form() -> None:
    assert all(dataclasses.is_dataclass(each) and isinstance(each, ClosedForm) for each in EVERY)
