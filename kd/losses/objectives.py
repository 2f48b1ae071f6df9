"""Distillation losses over the answer rows of a micro-batch: supervised, vanilla, ULD, simple_ctkd.

All mix two terms, (1 - rate) · CE + rate · distance, as sums over rows times weights that the caller gives: 1/D with D
the answer tokens of the whole optimizer step, over all its micro-batches and processes, makes exact means of them
however the step is split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from telbench.errors import InputError

from .chunked_head import HeadLoss, Labels, Projected, Target, chunked_loss
from .divergences import Divergence, ForwardKL, check_temperature
from .uld import UniversalLogit


@dataclass(frozen=True)
class Mixture:
    """How the two terms are mixed; the defaults are those of the DSKD scripts (no T² factor)."""

    rate: float = 0.5
    divergence: Divergence = field(default_factory=ForwardKL)
    temperature: float = 2.0
    t2_scale: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no mixture."""
        if not 0 <= self.rate <= 1:
            raise InputError(f"kd_rate is {self.rate}: it lies between 0 (labels only) and 1 (teacher only)")
        check_temperature(self.temperature)

    def target(self, teacher: Projected, weights: Tensor | float) -> Target:
        """The teacher's term with these row weights, the rate not yet in them."""
        return Target(teacher, self.divergence, weights * self.rate, self.temperature, self.t2_scale)

    def labels(self, ids: Tensor, per_label: float) -> Labels:
        """The labels' term."""
        return Labels(ids, per_label * (1 - self.rate))


# Boizard et al. compare at temperature 1.
ULD_MIXTURE = Mixture(divergence=UniversalLogit(), temperature=1.0)


@dataclass(frozen=True, eq=False)
class Loss:
    """``total`` has the gradient; ``sums`` are unweighted nats or counts over rows, for the record."""

    total: Tensor
    sums: dict[str, Tensor]


def supervised(student: Projected, labels: Tensor, per_label: float) -> Loss:
    """Cross-entropy of the labels: sum over rows of -log softmax(z_s)[y], times ``per_label``."""
    loss = chunked_loss(student.hidden, student.head, labels=Labels(labels, per_label))
    return Loss(loss.total, {"ce": loss.cross_entropy.sum()})


def vanilla_kd(
    student: Projected, teacher: Projected, labels: Tensor, per_label: float, mixture: Mixture | None = None
) -> Loss:
    """(1 - rate) · CE + rate · divergence(z_s / T, z_t / T), row by row over one vocabulary.

    Both heads must be cut to the ids that the two models share (`vocabulary.shared_columns`), and row k of both must
    predict the same answer token. Source: Hinton et al. 2015; mixture as in the DSKD scripts.

    Raises:
        InputError: when rows or columns do not match.
    """
    mixture = mixture or Mixture()
    loss = chunked_loss(
        student.hidden,
        student.head,
        labels=mixture.labels(labels, per_label),
        target=mixture.target(teacher, per_label),
    )
    return Loss(loss.total, _sums(loss))


def uld_kd(
    student: Projected,
    teacher: Projected,
    labels: Tensor,
    pairs: Pairs,
    per_label: float,
    mixture: Mixture = ULD_MIXTURE,
) -> Loss:
    """(1 - rate) · CE over the student's rows + rate · ULD over rows paired by `uld.rows_by_index`, both over D."""
    loss = chunked_loss(
        student.hidden,
        student.head,
        labels=mixture.labels(labels, per_label),
        target=mixture.target(
            Projected(pairs.in_student_order(teacher.hidden), teacher.head), pairs.paired(labels) * per_label
        ),
    )
    return Loss(loss.total, _sums(loss, pairs.paired(labels)))


def simple_ctkd(
    student: Projected,
    teacher: Projected,
    labels: Tensor,
    pairs: Pairs,
    shared: SharedIds,
    per_label: float,
    per_pair: float,
    mixture: Mixture | None = None,
) -> Loss:
    """(1 - rate) · CE + rate · divergence over aligned rows and the tokens that both vocabularies have.

    Both distributions are renormalised over the shared tokens. ``per_pair`` is 1 over the aligned rows of the whole
    step. Source: the method of that name in KDFlow; alignment as in DSKD v2.
    """
    mixture = mixture or Mixture()
    gold = chunked_loss(student.hidden, student.head, labels=mixture.labels(labels, per_label))
    drawn = chunked_loss(
        student.hidden[pairs.student],
        student.head.chosen(shared.student),
        target=mixture.target(
            Projected(teacher.hidden[pairs.teacher], teacher.head.detached().chosen(shared.teacher)), per_pair
        ),
    )
    return Loss(gold.total + drawn.total, {"ce": gold.cross_entropy.sum(), "kd": drawn.divergence.sum()})


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows of the student and of the teacher that belong together: two (n,) index tensors, ascending."""

    student: Tensor
    teacher: Tensor
    student_rows: int

    @classmethod
    def of(cls, student: Sequence[int], teacher: Sequence[int], student_rows: int, device: torch.device) -> Pairs:
        """From lists of row numbers within the micro-batch, of which the student has ``student_rows``."""
        rows, others = (torch.tensor(list(part), dtype=torch.long, device=device) for part in (student, teacher))
        return cls(rows, others, student_rows)

    @classmethod
    def all(cls, rows: int, device: torch.device) -> Pairs:
        """Every row with its own: one vocabulary."""
        every = torch.arange(rows, device=device)
        return cls(every, every, rows)

    def __len__(self) -> int:
        return len(self.student)

    def in_student_order(self, values: Tensor) -> Tensor:
        """Rows (student rows, d) of the teacher at the place of their partner, zeros where there is none."""
        return self.placed(values[self.teacher])

    def placed(self, values: Tensor) -> Tensor:
        """Values (n, …) of the pairs at the student's rows, zeros elsewhere."""
        return values.new_zeros(self.student_rows, *values.shape[1:]).index_copy(0, self.student, values)

    def paired(self, like: Tensor) -> Tensor:
        """1 for each student row that has a partner, else 0; on the device of ``like``."""
        return torch.zeros(self.student_rows, device=like.device).index_fill(0, self.student, 1.0)


@dataclass(frozen=True, eq=False)
class SharedIds:
    """Ids of the same tokens in both vocabularies: two (n,) tensors (`vocabulary.shared_tokens`)."""

    teacher: Tensor
    student: Tensor


def _sums(loss: HeadLoss, counted: Tensor | float = 1.0) -> dict[str, Tensor]:
    return {"ce": loss.cross_entropy.sum(), "kd": (loss.divergence * counted).sum()}
