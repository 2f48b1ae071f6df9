"""Which items are in which optimiser step: known before training starts, and the same after a resume."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .batches import bucketed_indices
from .settings import OptimiserSettings


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One optimiser step: its number from 0, its epoch, and the indices of its items."""

    number: int
    epoch: int
    items: tuple[int, ...]


class BatchPlan:
    """All steps of a training, from the items' lengths, the seed and the budget alone."""

    def __init__(self, lengths: Sequence[int], optimiser: OptimiserSettings) -> None:
        """Items by the tokens that the student reads of each."""
        self._lengths = lengths
        self._optimiser = optimiser
        self.epoch_steps = -(-len(lengths) // optimiser.batch_size)
        self.steps, self.tokens = self._budget()

    def from_step(self, first: int = 0) -> Iterator[PlannedStep]:
        """The steps from number ``first`` on."""
        for epoch in range(first // self.epoch_steps, -(-self.steps // self.epoch_steps)):
            start = epoch * self.epoch_steps
            for offset, batch in enumerate(self._epoch(epoch)):
                if first <= start + offset < self.steps:
                    yield PlannedStep(start + offset, epoch, tuple(batch))

    def _epoch(self, epoch: int) -> list[list[int]]:
        rng = random.Random(f"{self._optimiser.seed}:{epoch}")
        return bucketed_indices(self._lengths, self._optimiser.batch_size, rng)

    def _budget(self) -> tuple[int, int]:
        """(steps, tokens): the first step that reaches ``max_tokens`` is the last one, epochs permitting."""
        whole = sum(self._lengths)
        limit = self._optimiser.max_tokens
        if limit is None or limit > self._optimiser.epochs * whole:
            return self._optimiser.epochs * self.epoch_steps, self._optimiser.epochs * whole
        epochs = (limit - 1) // whole
        steps, tokens = epochs * self.epoch_steps, epochs * whole
        for batch in self._epoch(epochs):
            steps, tokens = steps + 1, tokens + sum(self._lengths[index] for index in batch)
            if tokens >= limit:
                break
        return steps, tokens


def shared_out(items: Sequence[int], parts: int) -> list[tuple[int, ...]]:
    """Cut a step's items into ``parts`` runs, as even as can be; with fewer items than parts the last are empty.

    >>> shared_out([5, 6, 7], 2), shared_out([5], 3)
    ([(5, 6), (7,)], [(5,), (), ()])
    """
    size, longer = divmod(len(items), parts)
    runs, start = [], 0
    for part in range(parts):
        stop = start + size + (part < longer)
        runs.append(tuple(items[start:stop]))
        start = stop
    return runs
