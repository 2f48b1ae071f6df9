"""A third party's executor: processes of this machine, the last task of a moment first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telbench.harness.executors.contract import ExecutorSpec, Place, Running, Task
from telbench.harness.executors.local import LocalExecutor


@dataclass(frozen=True)
class Options:
    """How many at once."""

    width: int = 2


class Backwards(LocalExecutor):
    """The last one first."""

    def start(self, tasks: Sequence[Task]) -> list[Running]:
        """In their order, whatever began first."""
        return super().start(tasks[::-1])[::-1]


def _open(place: Place) -> Backwards:
    return Backwards([{}] * place.options.width)


BACKWARDS = ExecutorSpec("backwards", Options, _open)
