"""Divergences between a teacher's and a student's next-token distributions, row by row and in log space.

A row is one answer token. With p the teacher's and q the student's distribution at temperature T, every divergence maps
two (rows, vocabulary) tensors of log-probabilities to (rows,) values in nats, none of them divided by anything: the
denominator is the caller's. Mixtures are formed with logaddexp: in probability space log(mixture) is log 0 wherever
float32 runs out, and 0 · log 0 is NaN.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from telbench.errors import InputError
from telbench.registry import hint, load

if TYPE_CHECKING:
    from torch import Tensor


GROUP = "telbench.divergences"


class Divergence(Protocol):
    """Options in, values out; an instance is one divergence with its options set.

    A class of this shape, a frozen dataclass whose fields are its options, is what an entry point of
    ``telbench.divergences`` names.
    """

    name: ClassVar[str]
    # Can the two distributions range over different vocabularies?
    crosses: ClassVar[bool]

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Values (rows,) from log-probabilities (rows, vocabulary) of student and teacher."""
        ...


@runtime_checkable
class ClosedForm(Divergence, Protocol):
    """A divergence that knows its gradient: in half precision nothing is recorded then, which saves memory and time."""

    def gradient(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """What `rows` gives, and its gradient (rows, vocabulary) with respect to the student's log-probabilities.

        Called without gradients. It may overwrite ``teacher``, and leaves ``student`` as it is.
        """
        ...


@dataclass(frozen=True)
class ForwardKL:
    """KL(p, q) = sum p (log p - log q). The student covers all that the teacher holds possible.

    The entropy term of p is kept, so that equal distributions give 0.
    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015 (arXiv 1503.02531); their factor T² is in
    `divergence_rows`.
    """

    name: ClassVar[str] = "forward_kl"
    crosses: ClassVar[bool] = False

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """KL(p, q) of each row."""
        return _kl(teacher, student)

    def gradient(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Values, and -p."""
        p = teacher.exp()
        return teacher.sub_(student).mul_(p).sum(-1), p.neg_()


@dataclass(frozen=True)
class ReverseKL:
    """KL(q, p) = sum q (log q - log p). The student keeps to what the teacher holds likely.

    Source: Gu et al., MiniLLM, 2024 (arXiv 2306.08543; here token by token, without their policy gradient).
    """

    name: ClassVar[str] = "reverse_kl"
    crosses: ClassVar[bool] = False

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """KL(q, p) of each row."""
        return _kl(student, teacher)

    def gradient(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Values, and q (log q - log p + 1)."""
        q = student.exp()
        apart = teacher.neg_().add_(student)
        return (apart * q).sum(-1), apart.add_(1).mul_(q)


@dataclass(frozen=True)
class SkewedForwardKL:
    """KL(p, m) with m = skew · p + (1 - skew) · q: bounded by -log skew, however little of p the student covers.

    Source: Ko et al., DistiLLM, 2024 (arXiv 2402.03898).
    """

    name: ClassVar[str] = "skewed_forward_kl"
    crosses: ClassVar[bool] = False
    skew: float = 0.1

    def __post_init__(self) -> None:
        """Refuse mixtures that are none."""
        _check_share(self.name, "skew", self.skew)

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """KL(p, m) of each row."""
        return _kl(teacher, _mixture(teacher, student, self.skew))

    def gradient(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Values, and -p (1 - skew) q / m."""
        mixture = _mixture(teacher, student, self.skew)
        p = teacher.exp()
        values = teacher.sub_(mixture).mul_(p).sum(-1)
        return values, mixture.neg_().add_(student).add_(math.log1p(-self.skew)).exp_().mul_(p).neg_()


@dataclass(frozen=True)
class SkewedReverseKL:
    """KL(q, m) with m = skew · q + (1 - skew) · p; the gradient flows through both places of q.

    Source: Ko et al., DistiLLM, 2024 (arXiv 2402.03898).
    """

    name: ClassVar[str] = "skewed_reverse_kl"
    crosses: ClassVar[bool] = False
    skew: float = 0.1

    def __post_init__(self) -> None:
        """Refuse mixtures that are none."""
        _check_share(self.name, "skew", self.skew)

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """KL(q, m) of each row."""
        return _kl(student, _mixture(student, teacher, self.skew))

    def gradient(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Values, and q (log q - log m + 1 - skew q / m)."""
        apart = _mixture(student, teacher, self.skew).neg_().add_(student)
        q = student.exp()
        values = (apart * q).sum(-1)
        mine = (apart + math.log(self.skew)).exp_()
        return values, apart.add_(1).sub_(mine).mul_(q)


@dataclass(frozen=True)
class GeneralisedJSD:
    """beta · KL(p, m) + (1 - beta) · KL(q, m) with m = beta · p + (1 - beta) · q; beta 0.5 is Jensen-Shannon.

    As beta goes to 0 this goes to beta · KL(p, q), so it does not run into forward KL: the ends are refused.
    Source: Agarwal et al., On-Policy Distillation of Language Models, 2024 (arXiv 2306.13649), equation 1.
    """

    name: ClassVar[str] = "generalised_jsd"
    crosses: ClassVar[bool] = False
    beta: float = 0.5

    def __post_init__(self) -> None:
        """Refuse the ends."""
        _check_share(self.name, "beta", self.beta, "; its ends are forward_kl and reverse_kl by name")

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The weighted sum of each row."""
        middle = _mixture(teacher, student, self.beta)
        return self.beta * _kl(teacher, middle) + (1 - self.beta) * _kl(student, middle)

    def gradient(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Values, and (1 - beta) q (log q - log m)."""
        middle = _mixture(teacher, student, self.beta)
        p = teacher.exp()
        values = teacher.sub_(middle).mul_(p).sum(-1).mul_(self.beta)
        slope = middle.neg_().add_(student).mul_(student.exp()).mul_(1 - self.beta)
        return values.add_(slope.sum(-1)), slope


@dataclass(frozen=True)
class AdaptiveKL:
    """w · KL(p, q) + (1 - w) · KL(q, p), w = gap(head) / (gap(head) + gap(tail)), without gradient through w.

    With p sorted upwards, the tail are the tokens whose cumulated probability is at most ``tail_mass``, the head the
    others; a gap is the sum of abs(p - q) over its part. Forward KL leads where the student misses the head.
    Source: Wu et al., Rethinking Kullback-Leibler Divergence in Knowledge Distillation for LLMs, 2024
    (arXiv 2404.02657).
    """

    name: ClassVar[str] = "adaptive_kl"
    crosses: ClassVar[bool] = False
    tail_mass: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a part that is none."""
        _check_share(self.name, "tail_mass", self.tail_mass)

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The weighted sum of each row."""
        share = self._forward_share(student.detach().exp(), teacher.exp())
        return share * _kl(teacher, student) + (1 - share) * _kl(student, teacher)

    def _forward_share(self, student: Tensor, teacher: Tensor) -> Tensor:
        ordered, order = teacher.sort(dim=-1, stable=True)
        gap = (ordered - student.gather(-1, order)).abs()
        tail = (gap * (ordered.cumsum(-1) <= self.tail_mass)).sum(-1)
        whole = gap.sum(-1)
        # Equal distributions have no gap, and any share of two zeros will do.
        return (whole - tail) / whole.clamp_min(1e-12)

    def gradient(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Values, and -w p + (1 - w) q (log q - log p + 1)."""
        p, q = teacher.exp(), student.exp()
        share = self._forward_share(q, p)
        apart = teacher.neg_().add_(student)
        values = (1 - share) * (apart * q).sum(-1) - share * (apart * p).sum(-1)
        slope = apart.add_(1).mul_(q).mul_((1 - share)[:, None])
        return values, slope.sub_(p.mul_(share[:, None]))


@dataclass(frozen=True)
class TotalVariation:
    """1/2 · sum abs(p - q), in 0 … 1.

    Source: Wen et al., f-Divergence Minimization for Sequence-Level Knowledge Distillation, 2023
    (arXiv 2307.15190).
    """

    name: ClassVar[str] = "total_variation"
    crosses: ClassVar[bool] = False

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Half the absolute difference of each row."""
        return (teacher.exp() - student.exp()).abs().sum(-1) / 2

    def gradient(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Values, and -q sign(p - q) / 2."""
        q = student.exp()
        apart = teacher.exp_().sub_(q)
        return apart.abs().sum(-1) / 2, apart.sign_().mul_(q).div_(-2)


def divergence_named(name: str, **options: float) -> Divergence:
    """The divergence of that name with these options, the rest at their defaults.

    Raises:
        InputError: for an unknown name or option (the near one is named), an option out of its range, or a plugin that
            is no divergence.
    """
    kind = load(GROUP, name)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind) and callable(getattr(kind, "rows", None))):
        raise InputError(f"plugin '{name}' is no divergence: register a frozen dataclass with name, crosses and rows")
    if getattr(kind, "name", None) != name or not isinstance(getattr(kind, "crosses", None), bool):
        raise InputError(f"plugin '{name}' must have name = '{name}' and crosses = True or False")
    known = [field.name for field in dataclasses.fields(kind)]
    for option in options:
        if option not in known:
            told = hint(option, known) if known else "it takes none"
            raise InputError(f"divergence {name} has no option '{option}': {told}")
    made: Any = kind(**options)
    return made


def divergence_rows(
    divergence: Divergence,
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float = 2.0,
    t2_scale: bool = False,
) -> Tensor:
    """Values (rows,) of a divergence from logits (rows, vocabulary), in float32 or wider; no gradient to the teacher.

    Args:
        divergence: what to compute.
        student_logits: of any float type; both are widened before anything is computed.
        teacher_logits: the same columns in the same order.
        temperature: both logits are divided by it.
        t2_scale: multiply by T², so that the gradient's size hardly depends on T (Hinton et al. 2015); off by
            default, as in the DSKD scripts.

    Raises:
        InputError: for a temperature that is not positive, or tensors of different shapes.
    """
    check_temperature(temperature)
    if student_logits.shape[:-1] != teacher_logits.shape[:-1]:
        rows = f"{tuple(student_logits.shape[:-1])} and {tuple(teacher_logits.shape[:-1])}"
        raise InputError(f"student and teacher differ in their answer rows: {rows}")
    if student_logits.shape[-1] != teacher_logits.shape[-1] and not divergence.crosses:
        raise InputError(
            f"{divergence.name} compares the same tokens, but the student has {student_logits.shape[-1]} and the "
            f"teacher {teacher_logits.shape[-1]}: slice both heads to the ids they share (telbench kd vocab)"
        )
    student = log_probabilities(student_logits, temperature)
    teacher = log_probabilities(teacher_logits.detach(), temperature)
    values = divergence.rows(student, teacher)
    return values * temperature**2 if t2_scale else values


def check_temperature(temperature: float) -> None:
    """Refuse what logits cannot be divided by."""
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InputError(f"temperature is {temperature}: it must be positive and finite")


def log_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Logarithm of softmax(logits / T) over the last dimension, in float32 (float64 stays)."""
    wide = widened(logits)
    return (wide if temperature == 1 else wide / temperature).log_softmax(-1)


def widened(values: Tensor) -> Tensor:
    """The same values as float32, or as float64 if that is what they are."""
    import torch

    return values if values.dtype == torch.float64 else values.float()


def _kl(first: Tensor, second: Tensor) -> Tensor:
    """Sum of exp(first) · (first - second), (rows,)."""
    return (first.exp() * (first - second)).sum(-1)


def _mixture(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Log of share · exp(first) + (1 - share) · exp(second)."""
    return (first + math.log(share)).logaddexp(second + math.log1p(-share))


def _check_share(divergence: str, option: str, value: float, remark: str = "") -> None:
    if not 0 < value < 1:
        raise InputError(f"{divergence}: {option} is {value}: it lies between 0 and 1, both excluded{remark}")
