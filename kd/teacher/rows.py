"""The teacher as distillation sees it: hidden rows at the answer tokens, an output head, token embeddings.

A live teacher computes the rows, a cached one reads them; the losses cannot tell which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..batches import Example, collate
from ..losses.heads import Head, decoder_of, head_of, rows_of

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class TeacherExample:
    """An item as the teacher reads it: its prompt, the answer in its tokens, its end of sequence."""

    item_id: str
    example: Example

    @property
    def rows(self) -> int:
        """Answer tokens, end of sequence included: what a loss counts of it."""
        return len(self.example.ids) - self.example.start


class TeacherRows(Protocol):
    """What a loss asks of a teacher; nothing here has a gradient."""

    @property
    def head(self) -> Head:
        """The output head, all of its columns."""
        ...

    @property
    def embedding(self) -> nn.Module:
        """From token ids to embeddings, as the model itself embeds them.

        Raises:
            InputError: where there is none to be had.
        """
        ...

    def rows(self, examples: Sequence[TeacherExample]) -> Tensor:
        """Hidden states (rows of all examples, d) after the final norm, example after example.

        Raises:
            InputError: for an example whose rows are not to be had.
        """
        ...


class LiveTeacher:
    """A loaded model; it is put into evaluation mode and its weights get no gradient.

    Raises:
        InputError: when the model changes its logits in a way that is not known (`heads.head_of`).
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model: Any = model.eval().requires_grad_(False)
        self.head = head_of(model).detached()

    @property
    def embedding(self) -> nn.Module:
        """The model's own."""
        return self.model.get_input_embeddings()

    def rows(self, examples: Sequence[TeacherExample]) -> Tensor:
        """One forward pass without head over all of them, padded on the right."""
        import torch

        # Any id will do for padding: it stands behind everything that counts.
        batch = collate([each.example for each in examples], pad=0).to(self.head.weight.device)
        with torch.no_grad():
            return rows_of(decoder_of(self.model), batch)[0]
