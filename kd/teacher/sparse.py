"""Some tokens of each teacher row in place of its hidden state: what is stored of them, and made by a local teacher.

The k likeliest tokens with their log-probabilities, or draws with weights. Sources: Hinton et al. 2015 cut to the
largest; Anshumann et al., Sparse Logit Sampling, 2025 (arXiv 2503.16870).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from telbench.errors import InputError

from ...metrics.fingerprints import fingerprint
from .rows import LiveTeacher, TeacherExample

if TYPE_CHECKING:
    from torch import Tensor

    from ..losses.heads import Head
    from ..losses.sparse import Sparse

# Rows whose logits are there at once: 128 x 152,000 float32 numbers are 74 MiB.
ROWS = 128
# Above it a float32 number does not tell ids apart.
MOST_TOKENS = 2**24


@dataclass(frozen=True)
class Form:
    """What is kept of a row: ``count`` tokens, the likeliest or drawn, of the probabilities at ``temperature``.

    Draws come from p to the power of ``exponent``, normalised; ``seed`` and the item's id decide them. ``served``: the
    name of the model on a server that told them, whose weights are unknown.
    """

    kind: Literal["top_k", "sampled"]
    count: int
    temperature: float = 1.0
    exponent: float = 1.0
    seed: int = 0
    served: str | None = None

    @property
    def width(self) -> int:
        """Numbers of a stored row: ids, log-probabilities, and the weights of draws."""
        return self.count * (2 if self.kind == "top_k" else 3)

    @property
    def told(self) -> str:
        """In words."""
        kept = f"the {self.count} likeliest tokens" if self.kind == "top_k" else f"{self.count} drawn tokens"
        return f"{kept} of each row at temperature {self.temperature:g}"

    def unpacked(self, rows: Tensor) -> Sparse:
        """Rows (m, width) as they are stored, as losses take them."""
        from ..losses.sparse import Sparse

        ids, log_p, *weights = rows.split(self.count, -1)
        return Sparse(ids.round().long(), log_p, weights[0] if weights else None, self.temperature)


def form_of(record: Any) -> Form | None:
    """The form that a cache's key tells; None for hidden states."""
    return None if record is None else Form(**record)


@dataclass(frozen=True, eq=False)
class TokensOfTeacher:
    """A loaded teacher, asked for some tokens of each row."""

    teacher: LiveTeacher
    form: Form

    def rows(self, examples: Sequence[TeacherExample]) -> Tensor:
        """Rows (rows of all examples, width), example after example."""
        import torch

        hidden = self.teacher.rows(examples)
        parts = zip(hidden.split([each.rows for each in examples]), examples, strict=True)
        return torch.cat([packed(part, self.teacher.head, self.form, each.item_id) for part, each in parts])


def packed(hidden: Tensor, head: Head, form: Form, item_id: str) -> Tensor:
    """An item's rows (n, width): ids, log-probabilities and weights as float32 numbers."""
    import torch

    if not form.count < head.size <= MOST_TOKENS:
        raise InputError(f"{form.told}: the teacher has {head.size} tokens, and some must be left over")
    generator = torch.Generator(hidden.device)
    generator.manual_seed(int(fingerprint([form.seed, item_id])[:15], 16))
    rows: list[Tensor] = []
    with torch.no_grad():
        for part in hidden.split(ROWS):
            log_p = (head.logits(part) / form.temperature).log_softmax(-1)
            if form.kind == "top_k":
                found = log_p.topk(form.count, -1)
                rows.append(torch.cat([found.indices.float(), found.values], -1))
                continue
            proposal = (log_p * form.exponent).softmax(-1)
            ids = torch.multinomial(proposal, form.count, replacement=True, generator=generator)
            drawn = log_p.gather(-1, ids)
            weights = drawn.exp() / (proposal.gather(-1, ids) * form.count)
            rows.append(torch.cat([ids.float(), drawn, weights], -1))
    return torch.cat(rows)
