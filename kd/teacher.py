"""The teacher as distillation sees it: hidden rows at the answer tokens, an output head, token embeddings.

A live teacher computes the rows, a cached one reads them; the losses cannot tell which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..judges.errors import InputError
from .batches import IGNORED, Example, collate
from .heads import Head, decoder_of, head_of

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from .teacher_cache import TeacherCache
    from .teacher_head import Tables


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
        batch = collate([each.example for each in examples], pad=0)
        device = self.head.weight.device
        with torch.no_grad():
            states = decoder_of(self.model)(input_ids=batch.inputs.to(device), use_cache=False).last_hidden_state
            return states[batch.labels.to(device) != IGNORED]


class CachedTeacher:
    """Stored rows, and of the checkpoint its head (and embedding, when asked for) alone: the layers are never read."""

    def __init__(self, cache: TeacherCache, tables: Tables) -> None:
        self.cache = cache
        self.head = tables.head()
        self._tables = tables
        self._embedding: nn.Module | None = None

    @property
    def embedding(self) -> nn.Module:
        """Read at its first use."""
        if self._embedding is None:
            self._embedding = self._tables.embedding()
        return self._embedding

    def rows(self, examples: Sequence[TeacherExample]) -> Tensor:
        """Rows as they were stored, on the head's device."""
        import torch

        parts = [self.cache.rows(each) for each in examples]
        return torch.cat(parts).to(self.head.weight.device)

    def require(self, examples: Sequence[TeacherExample]) -> None:
        """Refuse examples whose rows are not stored, before a training starts on them.

        Raises:
            InputError: telling how many are missing or were stored for other tokens, and the first of them.
        """
        missing = [each.item_id for each in examples if each.item_id not in self.cache]
        other = [each.item_id for each in examples if each.item_id in self.cache and not self.cache.holds(each)]
        for found, what in ((missing, "not in it"), (other, "in it with other tokens")):
            if found:
                raise InputError(
                    f"{self.cache.folder}: of {len(examples)} items {len(found)} are {what}, first {found[0]}: make "
                    "the cache with the data, prompts and length of this training (telbench kd cache)"
                )
