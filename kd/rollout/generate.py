"""The student's own answers by its ``generate``: the model that is trained, nothing beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ...harness.engines.contract import EngineInfo
from ...harness.engines.transformers import TransformersEngine

# Padded prompts and answers in one call to generate.
BATCH_TOKENS = 16384


class Generated:
    """See `Rollouts`; the weights are the student's own."""

    def __init__(self, student: Any, tokenizer: Any) -> None:
        self._student = student
        self._tokenizer = tokenizer

    @contextlib.contextmanager
    def engine(self, after: int) -> Iterator[TransformersEngine]:
        """The student, in the mode of answering meanwhile."""
        # It decodes as the settings say, not as the checkpoint recommends; the recommendation is saved with it.
        recommended, training = self._student.generation_config, self._student.training
        self._student.eval()
        try:
            yield TransformersEngine(self._student, self._tokenizer, EngineInfo("transformers", ""), BATCH_TOKENS)
        finally:
            self._student.generation_config = recommended
            self._student.train(training)

    def told(self) -> dict[str, Any]:
        """Nothing that is not usual."""
        return {}

    def close(self) -> None:
        """Nothing is held."""
