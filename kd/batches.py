"""Items to training examples to padded batches: inputs and labels already shifted, answer tokens only."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ..harness.datasets.items import Item
from ..harness.prompts.build import PromptSettings, build_prompt
from ..harness.prompts.encoder import Encoder

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100
# Batches are cut from sorted pools of so many batches: little padding, and still another mixture each epoch.
POOL = 12
MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of prompt, answer and end-of-sequence; the answer starts at ``start``; ``cut``: of a context a part."""

    ids: tuple[int, ...]
    start: int
    cut: bool = False

    @property
    def inputs(self) -> tuple[int, ...]:
        """What the model reads: all but the last token."""
        return self.ids[:-1]

    @property
    def labels(self) -> tuple[int, ...]:
        """What it should say after each input: answer and end-of-sequence, elsewhere `IGNORED`."""
        return (IGNORED,) * (self.start - 1) + self.ids[self.start :]


@dataclass(frozen=True, slots=True)
class Batch:
    """``inputs`` and ``labels`` of shape (items, length), padded on the right.

    ``said`` (labels that count,): their ids, which stay on the processor. ``counted``: their places in the flattened
    batch. Both are known beforehand, since to look for them on a GPU would stop the processor until it has caught up.
    """

    inputs: Tensor
    labels: Tensor
    counted: Tensor
    said: Tensor
    n_tokens: int

    @property
    def n_labels(self) -> int:
        """Labels that count."""
        return len(self.counted)

    def to(self, device: Any) -> Batch:
        """The same on a device; to a GPU it is copied while the processor goes on."""
        moved = {name: sent(getattr(self, name), device) for name in ("inputs", "labels", "counted")}
        return replace(self, **moved)


def sent(values: Tensor, device: Any) -> Tensor:
    """On this device. What goes from a processor to a GPU stands in locked memory, and nobody waits for the copy."""
    import torch

    if torch.device(device).type != "cuda" or values.device.type != "cpu":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def collate(examples: Sequence[Example], pad: int) -> Batch:
    """Pad to the longest example, rounded up to a multiple of 8. Masks follow from lengths, never from ``pad``."""
    import torch

    longest = max(len(example.ids) - 1 for example in examples)
    length = -(-longest // MULTIPLE) * MULTIPLE
    inputs = torch.full((len(examples), length), pad, dtype=torch.long)
    labels = torch.full((len(examples), length), IGNORED, dtype=torch.long)
    for row, example in enumerate(examples):
        size = len(example.ids) - 1
        inputs[row, :size] = torch.tensor(example.inputs)
        labels[row, :size] = torch.tensor(example.labels)
    places = [
        torch.arange(row * length + example.start - 1, row * length + len(example.ids) - 1)
        for row, example in enumerate(examples)
    ]
    counted = torch.cat(places)
    return Batch(inputs, labels, counted, labels.flatten()[counted], sum(len(each.ids) - 1 for each in examples))


def bucketed(examples: Sequence[Example], size: int, rng: random.Random) -> Iterator[list[Example]]:
    """One epoch in random batches of ``size`` examples of similar length (the last of all may be smaller)."""
    for batch in bucketed_indices([len(example.ids) for example in examples], size, rng):
        yield [examples[index] for index in batch]


def bucketed_indices(lengths: Sequence[int], size: int, rng: random.Random) -> list[list[int]]:
    """The same for whatever has these lengths, as indices."""
    order = rng.sample(range(len(lengths)), len(lengths))
    batches = []
    for start in range(0, len(order), size * POOL):
        pool = sorted(order[start : start + size * POOL], key=lambda index: lengths[index])
        batches += [pool[k : k + size] for k in range(0, len(pool), size)]
    rng.shuffle(batches)
    return batches


@dataclass(frozen=True)
class Reader:
    """One model's way to read: its encoder, and how many tokens of prompt and answer it takes."""

    encoder: Encoder
    window: int

    def example(self, item: Item, answer: str, settings: PromptSettings) -> Example | None:
        """Prompt, answer, end-of-sequence; only a context is ever cut. None where question and answer do not fit."""
        end = self.encoder.tokenizer.eos_token_id
        ids = [*self.encoder.answer_ids(answer), end]
        room = self.window - len(ids)
        prompt = build_prompt(item, settings, self.encoder, room) if room > 0 else None
        if prompt is None or prompt.problem or not prompt.request.token_ids:
            return None
        return Example((*prompt.request.token_ids, *ids), len(prompt.request.token_ids), prompt.truncated)


def reader(encoder: Encoder, window: int, who: str) -> Reader:
    """A reader, if the tokenizer can end an answer.

    Raises:
        InputError: where there is no end-of-sequence token.
    """
    if encoder.tokenizer.eos_token_id is None:
        raise InputError(f"the {who}'s tokenizer has no end-of-sequence token: answers could not end")
    return Reader(encoder, window)
