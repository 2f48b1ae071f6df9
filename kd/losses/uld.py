"""Universal logit distillation: distributions over different vocabularies compared by their sorted probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class UniversalLogit:
    """Sum over ranks k of abs(p_(k) - q_(k)), with p_(k) and q_(k) the k-th largest probabilities.

    The smaller vocabulary is padded with zeros. This is the closed form of a Wasserstein distance in which all pairs of
    tokens cost the same: it does not ask which token is the likely one, only how sure the teacher is.
    Source: Boizard et al., Towards Cross-Tokenizer Distillation: the Universal Logit Distillation Loss for LLMs, 2024
    (arXiv 2402.12030); temperature 1 in their code.
    """

    name: ClassVar[str] = "uld"
    crosses: ClassVar[bool] = True

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The distance of each row, from log-probabilities (rows, student's tokens) and (rows, teacher's tokens)."""
        from torch.nn.functional import pad

        width = max(student.shape[-1], teacher.shape[-1])
        ranked = [
            pad(values.exp().sort(dim=-1, descending=True).values, (0, width - values.shape[-1]))
            for values in (student, teacher)
        ]
        return (ranked[1] - ranked[0]).abs().sum(-1)

    def gradient(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Values, and q sign(q - p of the same rank)."""
        from torch.nn.functional import pad

        tokens = student.shape[-1]
        ranked, order = student.exp().sort(dim=-1, descending=True)
        others = teacher.exp_().sort(dim=-1, descending=True).values
        short = max(0, tokens - others.shape[-1])
        apart = ranked - pad(others, (0, short))[:, :tokens]
        values = apart.abs().sum(-1) + others[:, tokens:].sum(-1)
        return values, ranked.new_zeros(ranked.shape).scatter_(-1, order, apart.sign_().mul_(ranked))


def rows_by_index(student_counts: list[int], teacher_counts: list[int]) -> tuple[list[int], list[int]]:
    """Pairs (student row, teacher row) of a micro-batch whose answers are aligned by position from their first token.

    Rows of all answers stand one after the other; answer i has ``student_counts[i]`` and ``teacher_counts[i]`` of them
    and gives as many pairs as the shorter has rows. This is how ULD pairs its rows.

    >>> rows_by_index([2, 3], [3, 1])
    ([0, 1, 2], [0, 1, 3])
    """
    student_rows: list[int] = []
    teacher_rows: list[int] = []
    first_student = first_teacher = 0
    for ours, theirs in zip(student_counts, teacher_counts, strict=True):
        pairs = min(ours, theirs)
        student_rows += range(first_student, first_student + pairs)
        teacher_rows += range(first_teacher, first_teacher + pairs)
        first_student += ours
        first_teacher += theirs
    return student_rows, teacher_rows
