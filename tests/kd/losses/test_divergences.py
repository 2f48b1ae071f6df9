"""Divergences against exhaustive sums, an independent implementation, and distributions that break naive formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from telbench.errors import InputError
from telbench.kd.losses import divergences
from telbench.kd.losses.divergences import (
    GROUP,
    Divergence,
    GeneralisedJSD,
    divergence_named,
    divergence_rows,
    log_probabilities,
)
from telbench.kd.losses.uld import UniversalLogit
from telbench.registry import listed

EVERY: list[Divergence] = [*(divergence_named(name) for name in listed(GROUP)), GeneralisedJSD(0.1)]
SAME = [divergence for divergence in EVERY if not divergence.crosses]


def name_of(divergence: Any) -> str:
    return repr(divergence)


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def mix(p: list[float], q: list[float], share: float) -> list[float]:
    return [share * a + (1 - share) * b for a, b in zip(p, q, strict=True)]


def adaptive(p: list[float], q: list[float]) -> float:
    tail, mass = [], 0.0
    for index in sorted(range(len(p)), key=lambda index: p[index]):
        mass += p[index]
        if mass <= 0.5:
            tail.append(index)
    gaps = [abs(a - b) for a, b in zip(p, q, strict=True)]
    share = 1 - sum(gaps[index] for index in tail) / sum(gaps)
    return share * kl(p, q) + (1 - share) * kl(q, p)


# (p: teacher, q: student), by the formulas in plain Python.
BY_HAND: dict[str, Callable[[list[float], list[float]], float]] = {
    "forward_kl": kl,
    "reverse_kl": lambda p, q: kl(q, p),
    "skewed_forward_kl": lambda p, q: kl(p, mix(p, q, 0.1)),
    "skewed_reverse_kl": lambda p, q: kl(q, mix(q, p, 0.1)),
    "generalised_jsd": lambda p, q: 0.5 * kl(p, mix(p, q, 0.5)) + 0.5 * kl(q, mix(p, q, 0.5)),
    "adaptive_kl": adaptive,
    "total_variation": lambda p, q: sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2,
    "uld": lambda p, q: sum(abs(a - b) for a, b in zip(sorted(p, reverse=True), sorted(q, reverse=True), strict=True)),
}


def softmax(logits: list[float], temperature: float) -> list[float]:
    weights = [math.exp(value / temperature) for value in logits]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("name", listed(GROUP))
@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.7])
def test_every_row_equals_the_formula_summed_by_hand(name: str, temperature: float) -> None:
    draw = torch.Generator().manual_seed(3)
    student, teacher = (torch.randn(5, 7, generator=draw, dtype=torch.float64) * 2 for _ in range(2))
    found = divergence_rows(divergence_named(name), student, teacher, temperature=temperature)
    for row in range(5):
        p, q = softmax(teacher[row].tolist(), temperature), softmax(student[row].tolist(), temperature)
        assert found[row].item() == pytest.approx(BY_HAND[name](p, q), abs=1e-12)


def test_the_temperature_factor_is_off_unless_asked_for() -> None:
    student, teacher = torch.randn(2, 3, 6)
    plain = divergence_rows(divergence_named("forward_kl"), student, teacher)
    scaled = divergence_rows(divergence_named("forward_kl"), student, teacher, t2_scale=True)
    assert torch.allclose(scaled, 4 * plain)


@pytest.mark.parametrize("divergence", EVERY, ids=name_of)
def test_a_model_has_no_distance_to_itself_and_no_gradient(divergence: Divergence) -> None:
    logits = (torch.randn(6, 50) * 3).requires_grad_()
    values = divergence_rows(divergence, logits, logits)
    values.sum().backward()
    assert values.abs().max() < 1e-6
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize("divergence", SAME, ids=name_of)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_peaked_and_opposed_distributions_give_finite_values_and_gradients(
    divergence: Divergence, dtype: torch.dtype
) -> None:
    student, teacher = torch.zeros(2, 4, 64, dtype=dtype)
    for row, height in enumerate((60, 500, 2_000, 20_000)):
        student[row, 0] = height
        teacher[row, 1] = height
    student.requires_grad_()
    values = divergence_rows(divergence, student, teacher, temperature=1.0)
    values.sum().backward()
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert (values > 0.05).all()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_the_same_mixture_in_probability_space_is_not_finite_there() -> None:
    p, q = (torch.tensor([[0.0, 500.0]]).softmax(-1), torch.tensor([[500.0, 0.0]]).softmax(-1))
    assert not (p * (p.log() - (0.1 * p + 0.9 * q).log())).sum().isfinite()


@pytest.mark.parametrize("divergence", SAME, ids=name_of)
def test_tokens_beyond_the_shared_ones_change_nothing_once_sliced_off(divergence: Divergence) -> None:
    student, teacher = torch.randn(4, 30), torch.randn(4, 37)
    padded = torch.cat([student[:, :20], torch.randn(4, 5) * 9], 1)
    expected = divergence_rows(divergence, student[:, :20], teacher[:, :20])
    assert torch.equal(divergence_rows(divergence, padded[:, :20], teacher[:, :20]), expected)
    masked = [logits.index_fill(1, torch.arange(20, 25), -1e4) for logits in (padded, teacher[:, :25])]
    assert torch.allclose(divergence_rows(divergence, *masked), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("divergence", "beta"),
    [("forward_kl", 0.0), ("reverse_kl", 1.0), ("generalised_jsd", 0.1), ("generalised_jsd", 0.5)],
)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_values_and_gradients_are_those_of_trl(divergence: str, beta: float, temperature: float) -> None:
    trainer = pytest.importorskip("trl.experimental.gkd", reason="trl is not installed").GKDTrainer
    draw = torch.Generator().manual_seed(1)
    student, teacher = (torch.randn(1, 6, 40, generator=draw) * 3 for _ in range(2))
    ours, theirs = student[0].clone().requires_grad_(), student.clone().requires_grad_()
    options = {"beta": beta} if divergence == "generalised_jsd" else {}
    value = divergence_rows(divergence_named(divergence, **options), ours, teacher[0], temperature=temperature).mean()
    labels = torch.zeros(1, 6, dtype=torch.long)
    oracle: Tensor = trainer.generalized_jsd_loss(theirs, teacher, labels, beta=beta, temperature=temperature)
    value.backward()
    oracle.backward()
    assert value.item() == pytest.approx(oracle.item(), rel=1e-5)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad[0], atol=1e-7)


def test_unknown_names_and_options_are_refused_with_the_near_one() -> None:
    with pytest.raises(InputError, match="did you mean reverse_kl"):
        divergence_named("revers_kl")
    with pytest.raises(InputError, match="no option 'skw': did you mean skew"):
        divergence_named("skewed_forward_kl", skw=0.2)
    with pytest.raises(InputError, match="no option 'skew': it takes none"):
        divergence_named("forward_kl", skew=0.2)


@pytest.mark.parametrize("beta", [0.0, 1.0, -1.0, math.nan])
def test_a_mixture_without_a_part_is_refused(beta: float) -> None:
    with pytest.raises(InputError, match="forward_kl and reverse_kl by name"):
        divergence_named("generalised_jsd", beta=beta)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_that_cannot_divide_is_refused(temperature: float) -> None:
    with pytest.raises(InputError, match="temperature"):
        divergence_rows(divergence_named("forward_kl"), torch.randn(1, 2), torch.randn(1, 2), temperature=temperature)


def test_different_numbers_of_tokens_are_refused_where_tokens_are_compared() -> None:
    with pytest.raises(InputError, match="slice both heads"):
        divergence_rows(divergence_named("forward_kl"), torch.randn(2, 5), torch.randn(2, 6))


@pytest.mark.parametrize("name", sorted(listed(GROUP)))
def test_only_uld_compares_vocabularies_of_two_sizes(name: str) -> None:
    if name == "uld":
        assert divergence_rows(divergence_named(name), torch.randn(2, 5), torch.randn(2, 6)).shape == (2,)
    else:
        with pytest.raises(
            InputError, match=f"{name} compares the same tokens, but the student has 5 and the teacher 6"
        ):
            divergence_rows(divergence_named(name), torch.randn(2, 5), torch.randn(2, 6))


def test_other_numbers_of_rows_are_refused_with_both() -> None:
    with pytest.raises(InputError, match=r"differ in their answer rows: \(2, 4\) and \(3, 4\)"):
        divergence_rows(divergence_named("forward_kl"), torch.randn(2, 4, 5), torch.randn(3, 4, 5))


@pytest.mark.parametrize("divergence", [*EVERY, UniversalLogit()], ids=name_of)
def test_batches_of_rows_have_the_values_of_their_rows(divergence: Divergence) -> None:
    student, teacher = torch.randn(2, 3, 4, 9, dtype=torch.float64)
    rows = [divergence_rows(divergence, one, other) for one, other in zip(student, teacher, strict=True)]
    assert torch.allclose(divergence_rows(divergence, student, teacher), torch.stack(rows))


@pytest.mark.parametrize("sizes", [(5, 9), (9, 5)])
def test_batches_of_two_vocabularies_have_the_values_of_their_rows(sizes: tuple[int, int]) -> None:
    student, teacher = (torch.randn(3, 4, size, dtype=torch.float64) for size in sizes)
    rows = [divergence_rows(UniversalLogit(), one, other) for one, other in zip(student, teacher, strict=True)]
    assert torch.allclose(divergence_rows(UniversalLogit(), student, teacher), torch.stack(rows))


def test_the_tail_of_adaptive_kl_ends_with_the_token_that_fills_half_of_the_mass() -> None:
    # Four equal tokens: two of them are the tail, whichever, since all gaps are equal; so both directions weigh half.
    p, q = [0.25] * 4, [0.35, 0.15, 0.35, 0.15]
    teacher, student = (torch.tensor([part], dtype=torch.float64).log() for part in (p, q))
    found = divergence_rows(divergence_named("adaptive_kl"), student, torch.zeros_like(teacher), temperature=1.0)
    assert found.item() == pytest.approx(0.5 * kl(p, q) + 0.5 * kl(q, p))


def test_uld_pads_the_smaller_vocabulary_with_zeros_and_ignores_the_order_of_tokens() -> None:
    student, teacher = torch.randn(3, 5), torch.randn(3, 8)
    values = divergence_rows(UniversalLogit(), student, teacher, temperature=1.0)
    p = [sorted(row, reverse=True) for row in teacher.softmax(-1).tolist()]
    q = [sorted(row, reverse=True) + [0.0] * 3 for row in student.softmax(-1).tolist()]
    expected = [sum(abs(a - b) for a, b in zip(one, two, strict=True)) for one, two in zip(p, q, strict=True)]
    assert values.tolist() == pytest.approx(expected, abs=1e-6)
    shuffled = divergence_rows(UniversalLogit(), student[:, torch.randperm(5)], teacher, temperature=1.0)
    assert torch.allclose(values, shuffled)
    assert torch.allclose(values, divergence_rows(UniversalLogit(), teacher, student, temperature=1.0))


def test_log_probabilities_are_at_temperature_1_unless_asked_otherwise() -> None:
    logits = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    for given, temperature in ((log_probabilities(logits), 1.0), (log_probabilities(logits, 4.0), 4.0)):
        assert given.exp()[0].tolist() == pytest.approx(softmax(logits[0].tolist(), temperature))


@dataclass(frozen=True)
class Named:
    """A divergence as a plugin may write it."""

    name: ClassVar[str] = "named"
    crosses: ClassVar[bool] = False

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Nothing apart."""
        return (student - teacher).sum(-1)


class Plain:
    """All that a divergence has, but no dataclass."""

    name, crosses, rows = "plain", False, Named.rows


@dataclass(frozen=True)
class Rowless:
    """A dataclass without values."""

    name: ClassVar[str] = "rowless"
    crosses: ClassVar[bool] = False


@dataclass(frozen=True)
class Vague(Named):
    """One that does not say whether it crosses vocabularies."""

    name: ClassVar[str] = "vague"
    crosses: ClassVar[Any] = None


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (Plain, "plain", "'plain' is no divergence"),
        (Rowless, "rowless", "'rowless' is no divergence"),
        (Named(), "named", "'named' is no divergence"),
        (Named, "other", "'other' must have name = 'other'"),
        (Vague, "vague", "'vague' must have name = 'vague' and crosses = True or False"),
    ],
)
def test_a_plugin_that_is_no_divergence_is_refused(
    kind: Any, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(divergences, "load", lambda group, wanted: kind)
    with pytest.raises(InputError, match=message):
        divergence_named(name)


def test_a_plugin_that_is_a_divergence_is_made_and_takes_no_options_that_it_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(divergences, "load", lambda group, wanted: Named)
    assert divergence_named("named") == Named()
    with pytest.raises(InputError, match="divergence named has no option 'skew': it takes none"):
        divergence_named("named", skew=0.5)
