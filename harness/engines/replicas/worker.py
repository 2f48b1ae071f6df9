"""One replica: the engine, in a process of a machine of the cluster."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from telbench.errors import InputError
from telbench.registry import load_as

from ..contract import (
    GROUP,
    Completion,
    Continuation,
    Engine,
    EngineInfo,
    EngineSettings,
    EngineSpec,
    Request,
    Sampling,
)

# Answers are sent so often: each of them alone would cost more than it is worth, a chunk of them would be lost at once.
_SEND_SECONDS = 0.5
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Home:
    """What the process that asks has and a replica needs: its folder and environment."""

    folder: str
    environment: Mapping[str, str]


class Replica:
    """An engine that is opened where this object lives. Made quickly; `open` loads the model."""

    def __init__(self, name: str, settings: EngineSettings, home: Home) -> None:
        self._name, self._settings, self._home = name, settings, home
        self._engine: Engine | None = None

    def place(self) -> str:
        """The machine's name: that it is told means that there was room."""
        return platform.node()

    def open(self) -> EngineInfo:
        """Load the model; what the engine says of itself.

        Raises:
            InputError: where this machine lacks the folder, the engine or the model.
        """
        os.environ.update(self._home.environment)
        try:
            # Paths mean here what they mean to the one who typed them.
            os.chdir(self._home.folder)
        except OSError as error:
            raise InputError(
                f"no folder {self._home.folder} there: all machines must share it, the models and telbench"
            ) from error
        self._engine = load_as(GROUP, self._name, EngineSpec).open(self._settings)
        return self._engine.info

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        """Completions as they finish, a few at a time."""
        yield from _sent(self._opened.generate(requests, sampling))

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[list[tuple[str, float]]]:
        """Likelihoods as they are known, a few at a time."""
        yield from _sent(self._opened.log_likelihoods(continuations))

    def close(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            self._engine.close()

    @property
    def _opened(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("asked before it was opened")
        return self._engine


def _sent(answers: Iterable[Answer]) -> Iterator[list[Answer]]:
    """The answers in lists, one whenever some time has passed."""
    ready: list[Answer] = []
    last = time.monotonic()
    for answer in answers:
        ready.append(answer)
        if time.monotonic() - last >= _SEND_SECONDS:
            yield ready
            ready, last = [], time.monotonic()
    yield ready
