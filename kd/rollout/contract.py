"""What a training asks its student with: the same requests and completions as an evaluation, between its steps."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from ...harness.engines.contract import Engine


class Rollouts(Protocol):
    """The student as an engine. Neither its mode nor the training's random numbers are touched."""

    def engine(self, after: int) -> AbstractContextManager[Engine]:
        """An engine that answers as the student does as it is now, after so many steps."""
        ...

    def told(self) -> dict[str, Any]:
        """What the note of the candidate says of it, once it has answered."""
        ...

    def close(self) -> None:
        """Free what it holds beside the student."""
        ...
