"""What every loss here is made of: two terms mixed, rows and ids that belong together, a sum with its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from telbench.errors import InputError

from .divergences import Divergence, ForwardKL, check_temperature

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .chunked_head import Labels, Projected, Target


# The only divergence that is linear in the teacher's probabilities, so that a sample of it has the right mean.
LINEAR = "forward_kl"


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
        from .chunked_head import Target

        return Target(teacher, self.divergence, weights * self.rate, self.temperature, self.t2_scale)

    def labels(self, ids: Tensor, per_label: float) -> Labels:
        """The labels' term."""
        from .chunked_head import Labels

        return Labels(ids, per_label * (1 - self.rate))


@dataclass(frozen=True, eq=False)
class Loss:
    """``total`` has the gradient; ``sums`` are unweighted nats or counts over rows, for the record."""

    total: Tensor
    sums: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows of the student and of the teacher that belong together: two (n,) index tensors, ascending.

    Where runs of rows belong together, these are their last rows, and ``firsts`` has the first ones of both.
    """

    student: Tensor
    teacher: Tensor
    student_rows: int
    firsts: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, student: Sequence[int], teacher: Sequence[int], student_rows: int, device: torch.device) -> Pairs:
        """From lists of row numbers within the micro-batch, of which the student has ``student_rows``."""
        import torch

        rows, others = (torch.tensor(list(part), dtype=torch.long, device=device) for part in (student, teacher))
        return cls(rows, others, student_rows)

    @classmethod
    def all(cls, rows: int, device: torch.device) -> Pairs:
        """Every row with its own: one vocabulary."""
        import torch

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
        import torch

        return torch.zeros(self.student_rows, device=like.device).index_fill(0, self.student, 1.0)


@dataclass(frozen=True, eq=False)
class SharedIds:
    """Ids of the same tokens in both vocabularies: two (n,) tensors (`vocabulary.compare.shared_tokens`)."""

    teacher: Tensor
    student: Tensor

    @classmethod
    def all(cls, columns: int, device: torch.device) -> SharedIds:
        """Every token with its own: one vocabulary of ``columns`` tokens."""
        import torch

        every = torch.arange(columns, device=device)
        return cls(every, every)
