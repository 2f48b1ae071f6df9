"""The chunked loss equals the dense one, in value and gradient, and never makes the tensor that it avoids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from telbench.errors import InputError
from telbench.kd.batches import IGNORED
from telbench.kd.losses.chunked_head import Given, Labels, Projected, Target, chunked_loss, likeliest
from telbench.kd.losses.divergences import GROUP, Divergence, divergence_named, divergence_rows
from telbench.kd.losses.heads import Head
from telbench.registry import listed

ROWS, WIDTH, TEACHER_WIDTH, TOKENS = 13, 6, 9, 31
EVERY = [divergence_named(name) for name in listed(GROUP)]


def randoms(*sizes: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*sizes, dtype=dtype)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(5)


def heads(dtype: torch.dtype = torch.float64, **changes: Any) -> tuple[Tensor, Head, Projected]:
    """Student rows, student head, teacher."""
    hidden = randoms(ROWS, WIDTH, dtype=dtype).requires_grad_()
    student = Head(
        randoms(TOKENS, WIDTH, dtype=dtype).requires_grad_(), randoms(TOKENS, dtype=dtype).requires_grad_(), **changes
    )
    teacher = Head(randoms(TOKENS, TEACHER_WIDTH, dtype=dtype).requires_grad_())
    return hidden, student, Projected(randoms(ROWS, TEACHER_WIDTH, dtype=dtype).requires_grad_(), teacher)


def some_labels() -> Tensor:
    ids = torch.randint(TOKENS, (ROWS,))
    ids[3] = IGNORED
    return ids


def dense(hidden: Tensor, head: Head, labels: Labels | None, target: Target | None) -> Tensor:
    logits = head.logits(hidden)
    total = logits.new_zeros(())
    if labels is not None:
        loss = torch.nn.functional.cross_entropy(logits, labels.ids, reduction="none", ignore_index=IGNORED)
        total = total + (loss * labels.weights).sum()
    if target is not None:
        rows = divergence_rows(
            target.divergence,
            logits,
            target.teacher.logits(slice(None)),
            temperature=target.temperature,
            t2_scale=target.t2_scale,
        )
        total = total + (rows * target.weights).sum()
    return total


def gradients(loss: Tensor, hidden: Tensor, head: Head) -> list[Tensor]:
    assert head.bias is not None
    return list(torch.autograd.grad(loss, [hidden, head.weight, head.bias]))


@pytest.mark.parametrize("divergence", EVERY, ids=lambda divergence: divergence.name)
@pytest.mark.parametrize("chunk", [1, 5, 13, 100])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_chunked_equals_dense_in_value_and_gradients(
    divergence: Divergence, chunk: int, dtype: torch.dtype, tolerance: float
) -> None:
    hidden, head, teacher = heads(dtype, scale=0.5, cap=8.0)
    labels = Labels(some_labels(), 0.5 / ROWS)
    target = Target(teacher, divergence, torch.rand(ROWS, dtype=dtype) / ROWS, temperature=2.0, t2_scale=True)
    found = chunked_loss(hidden, head, labels=labels, target=target, chunk_rows=chunk)
    expected = dense(hidden, head, labels, target)
    assert found.total.item() == pytest.approx(expected.item(), rel=tolerance, abs=tolerance)
    pairs = zip(gradients(found.total, hidden, head), gradients(expected, hidden, head), strict=True)
    for ours, theirs in pairs:
        assert torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance)


# Adaptive KL is left out: by definition its weight has no gradient, which finite differences would see.
@pytest.mark.parametrize(
    "divergence", [each for each in EVERY if each.name != "adaptive_kl"], ids=lambda divergence: divergence.name
)
def test_the_gradient_is_that_of_finite_differences(divergence: Divergence) -> None:
    hidden, head, teacher = heads(cap=6.0)
    assert head.bias is not None
    labels, target = Labels(some_labels(), 0.3), Target(teacher, divergence, 0.7)

    def total(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        changed = replace(head, weight=weight, bias=bias)
        return chunked_loss(hidden, changed, labels=labels, target=target, chunk_rows=4).total

    assert torch.autograd.gradcheck(total, (hidden, head.weight, head.bias), fast_mode=True)


def test_a_teacher_by_its_logits_is_the_same_teacher() -> None:
    hidden, head, teacher = heads()
    kl = divergence_named("forward_kl")
    by_rows = chunked_loss(hidden, head, target=Target(teacher, kl, 1.0), chunk_rows=4)
    given = Given(teacher.logits(slice(None)))
    by_logits = chunked_loss(hidden, head, target=Target(given, kl, 1.0), chunk_rows=4)
    assert torch.allclose(by_rows.divergence, by_logits.divergence)
    assert by_rows.total.item() == pytest.approx(by_rows.divergence.sum().item())


def test_no_gradient_reaches_the_teacher_or_a_detached_head() -> None:
    hidden, head, teacher = heads()
    loss = chunked_loss(hidden, head.detached(), target=Target(teacher, divergence_named("reverse_kl"), 1.0))
    loss.total.backward()
    assert hidden.grad is not None
    assert [head.weight.grad, teacher.hidden.grad, teacher.head.weight.grad] == [None, None, None]


def test_a_model_against_itself_is_0_with_zero_gradient() -> None:
    hidden, head, _ = heads()
    loss = chunked_loss(hidden, head, target=Target(Projected(hidden, head), divergence_named("forward_kl"), 1.0))
    loss.total.backward()
    assert abs(loss.total.item()) < 1e-12
    assert hidden.grad is not None
    assert head.weight.grad is not None
    assert max(hidden.grad.abs().max(), head.weight.grad.abs().max()) < 1e-12


def test_a_tied_head_adds_its_gradient_to_that_of_the_embedding() -> None:
    weight = randoms(TOKENS, WIDTH).requires_grad_()
    ids = torch.randint(TOKENS, (ROWS,))
    labels = Labels(some_labels(), 1.0)
    chunked = chunked_loss(weight[ids].tanh(), Head(weight), labels=labels, chunk_rows=4).total
    whole = dense(weight[ids].tanh(), Head(weight), labels, None)
    ours, theirs = (torch.autograd.grad(loss, weight)[0] for loss in (chunked, whole))
    assert torch.allclose(ours, theirs)


def test_padding_columns_of_either_head_change_nothing_once_cut() -> None:
    hidden, head, teacher = heads()
    target = Target(teacher, divergence_named("forward_kl"), 1.0)
    labels = Labels(some_labels(), 1.0)
    expected = chunked_loss(hidden, head, labels=labels, target=target)
    assert head.bias is not None
    wide = Head(torch.cat([head.weight, randoms(4, WIDTH)]), torch.cat([head.bias, randoms(4)]))
    padded = Projected(teacher.hidden, Head(torch.cat([teacher.head.weight, randoms(9, TEACHER_WIDTH)]).detach()))
    cut = Projected(padded.hidden, padded.head.first(TOKENS))
    found = chunked_loss(hidden, wide.first(TOKENS), labels=labels, target=replace(target, teacher=cut))
    assert torch.allclose(found.total, expected.total)
    with pytest.raises(InputError, match="cut both heads"):
        chunked_loss(hidden, wide, labels=labels, target=replace(target, teacher=padded))


def test_chosen_tokens_send_their_gradient_to_their_rows_only() -> None:
    hidden, head, teacher = heads()
    ours, theirs = torch.tensor([4, 9, 2]), torch.tensor([1, 0, 7])
    target = Target(Projected(teacher.hidden, teacher.head.chosen(theirs)), divergence_named("forward_kl"), 1.0)
    chunked_loss(hidden, head.chosen(ours), target=target, chunk_rows=4).total.backward()
    assert head.weight.grad is not None
    touched = head.weight.grad.abs().sum(1).nonzero().flatten()
    assert set(touched.tolist()) == {4, 9, 2}


@pytest.mark.parametrize("parts", [(13,), (1, 12), (4, 4, 5)])
def test_splitting_the_rows_into_micro_batches_does_not_change_loss_or_gradients(parts: tuple[int, ...]) -> None:
    hidden, head, teacher = heads()
    ids, kl = some_labels(), divergence_named("generalised_jsd")
    whole = chunked_loss(hidden, head, labels=Labels(ids, 0.5 / ROWS), target=Target(teacher, kl, 0.5 / ROWS)).total
    split = torch.zeros((), dtype=torch.float64)
    pieces = zip(hidden.split(parts), ids.split(parts), teacher.hidden.split(parts), strict=True)
    for states, gold, taught in pieces:
        target = Target(Projected(taught, teacher.head), kl, 0.5 / ROWS)
        split = split + chunked_loss(states, head, labels=Labels(gold, 0.5 / ROWS), target=target).total
    assert torch.allclose(whole, split)
    for one, other in zip(gradients(whole, hidden, head), gradients(split, hidden, head), strict=True):
        assert torch.allclose(one, other)


def test_half_precision_products_are_not_rounded_before_the_softmax() -> None:
    hidden, head, teacher = heads(torch.bfloat16)
    target = Target(teacher, divergence_named("generalised_jsd"), 1.0)
    found = chunked_loss(hidden, head, target=target, chunk_rows=4)
    wide = [
        tensor.detach().double().requires_grad_() for tensor in (hidden, head.weight, head.bias) if tensor is not None
    ]
    exact_teacher = Projected(teacher.hidden.double(), Head(teacher.head.weight.double()))
    exact = dense(wide[0], Head(wide[1], wide[2]), None, replace(target, teacher=exact_teacher))
    assert found.total.dtype == torch.float32
    assert found.total.item() == pytest.approx(exact.item(), rel=1e-5)
    for ours, theirs in zip(gradients(found.total, hidden, head), torch.autograd.grad(exact, wide), strict=True):
        assert ours.dtype == torch.bfloat16
        # That by the logits is rounded where it is multiplied, and the product of it once more.
        assert (ours.double() - theirs).norm() < 3e-3 * theirs.norm()


def test_autocast_rounds_what_is_multiplied_and_no_logit() -> None:
    hidden, head, teacher = heads(torch.float32)
    target = Target(teacher, divergence_named("forward_kl"), 1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = chunked_loss(hidden, head, target=target)
        said = likeliest(hidden, head)
    narrow = Head(head.weight.detach().bfloat16(), head.bias)
    taught = Projected(teacher.hidden.bfloat16(), Head(teacher.head.weight.bfloat16()))
    expected = chunked_loss(hidden.bfloat16(), narrow, target=replace(target, teacher=taught))
    assert torch.equal(said, narrow.logits(hidden.bfloat16()).argmax(-1))
    assert torch.equal(inside.total, expected.total)
    assert not torch.equal(inside.divergence, inside.divergence.bfloat16().float())
    with torch.autocast("cpu", dtype=torch.float16):
        outside = chunked_loss(hidden, head, target=target)
    assert torch.equal(outside.total, chunked_loss(hidden, head, target=target).total)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return result


@pytest.mark.parametrize("divergence", EVERY, ids=lambda divergence: divergence.name)
def test_no_operation_ever_makes_a_tensor_of_all_rows_and_tokens(divergence: Divergence) -> None:
    hidden, weight, taught = randoms(256, 4).requires_grad_(), randoms(300, 4).requires_grad_(), randoms(256, 5)
    target = Target(Projected(taught, Head(randoms(300, 5))), divergence, 1.0)
    labels = Labels(torch.randint(300, (256,)), 1.0)
    with Largest() as seen:
        chunked_loss(hidden, Head(weight), labels=labels, target=target, chunk_rows=8).total.backward()
    # Concatenated mixtures take two chunks at most.
    assert seen.elements <= 2 * 8 * 300
    with Largest() as seen:
        dense(hidden, Head(weight), labels, target).backward()
    assert seen.elements >= 256 * 300


def test_predictions_are_the_likeliest_ids() -> None:
    hidden, head, _ = heads(cap=5.0)
    expected = head.logits(hidden).argmax(-1)
    loss = chunked_loss(hidden, head, labels=Labels(some_labels(), 1.0), predict=True, chunk_rows=4)
    assert loss.predicted is not None
    assert torch.equal(loss.predicted, expected)
    assert torch.equal(likeliest(hidden, head, chunk_rows=4), expected)


def test_without_gradients_only_values_are_computed() -> None:
    hidden, head, teacher = heads()
    target = Target(teacher, divergence_named("forward_kl"), 1.0)
    with torch.no_grad():
        loss = chunked_loss(hidden, head, target=target)
    assert not loss.total.requires_grad
    assert loss.total.item() == pytest.approx(dense(hidden, head, None, target).item())


def test_no_rows_give_0_and_zero_gradients() -> None:
    hidden, head, teacher = heads()
    target = Target(Projected(teacher.hidden[:0], teacher.head), divergence_named("forward_kl"), 1.0)
    none = torch.zeros(0, dtype=torch.long)
    loss = chunked_loss(hidden[:0], head, labels=Labels(none, 1.0), target=target, predict=True)
    loss.total.backward()
    assert loss.total.item() == 0
    assert head.weight.grad is not None
    assert head.weight.grad.abs().sum() == 0
    assert len(likeliest(hidden[:0], head)) == 0


def test_an_infinite_logit_is_not_hidden() -> None:
    hidden, head, teacher = heads()
    with torch.no_grad():
        hidden[2, 0] = torch.inf
    loss = chunked_loss(hidden, head, target=Target(teacher, divergence_named("forward_kl"), 1.0))
    assert not loss.total.isfinite()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": Labels(torch.full((ROWS,), TOKENS), 1.0)}, "13 labels lie beyond the head's 31 columns"),
        ({"labels": Labels(torch.zeros(2, dtype=torch.long), 1.0)}, "13 hidden rows, 2 labels"),
        ({"labels": Labels(torch.zeros(ROWS, dtype=torch.long), torch.ones(3))}, "3 weights of labels"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    hidden, head, _ = heads()
    with pytest.raises(InputError, match=message) as caught:
        chunked_loss(hidden, head, **change)
    assert "\n" not in str(caught.value)


def test_hidden_rows_of_another_model_are_refused() -> None:
    hidden, head, teacher = heads()
    with pytest.raises(InputError, match="the student's hidden rows of shape"):
        chunked_loss(teacher.hidden, head)
    wrong = Target(Projected(hidden, teacher.head), divergence_named("forward_kl"), 1.0)
    with pytest.raises(InputError, match="the teacher's hidden rows of shape"):
        chunked_loss(hidden, head, target=wrong)
