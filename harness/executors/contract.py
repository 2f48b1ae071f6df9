"""The executor contract: telbench commands go in as tasks, and each tells when and how it ended.

An executor places tasks. It does not try them again: a task whose place died is told as `lost`, and whoever gave it
decides. Two tasks with the same ``claim`` never run at once, wherever they are: a place that only seemed dead and its
successor cannot write the same folder.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from telbench.registry import load_as

from ..cluster import travelling

GROUP = "telbench.executors"
# An outside hand ended it: the system short of memory, a scheduler, a person. The command itself did nothing wrong.
_LOST = frozenset({-signal.SIGKILL, -signal.SIGTERM})
VANISHED = -int(signal.SIGKILL)


@dataclass(frozen=True)
class Task:
    """One telbench command.

    ``words`` follow ``telbench``; ``log`` gets all it says. ``claim`` is a file that it locks while it runs.
    ``folder`` and ``environment`` are those it runs in, on top of what its place has. ``program`` replaces the
    telbench of the place's own Python.
    """

    label: str
    words: tuple[str, ...]
    log: Path
    claim: Path | None = None
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ()

    def travelling(self) -> Task:
        """The task for another machine that shares this one's folders."""
        return replace(self, folder=self.folder or Path.cwd(), environment={**travelling(), **self.environment})


@dataclass(frozen=True)
class Ended:
    """Exit code (negative: the signal that killed it), wall seconds, processor seconds of it and its children.

    ``place``: the machine's name. ``why``: what the log cannot tell, such as the death of a node.
    """

    code: int
    seconds: float
    cpu_seconds: float
    place: str = ""
    why: str = ""

    @property
    def lost(self) -> bool:
        """Was it ended from outside, so that another try may end well?"""
        return self.code in _LOST


class Running(Protocol):
    """A command under way."""

    @property
    def handle(self) -> Mapping[str, str]:
        """By what another process finds it again, as JSON; empty where it ends with the process that started it."""
        ...

    def ended(self) -> Ended | None:
        """How it ended, or None; the same answer however often it is asked."""
        ...

    def interrupt(self) -> None:
        """Ask it to save and stop."""
        ...

    def kill(self) -> None:
        """Stop it at once."""
        ...


class Executor(Protocol):
    """Places for tasks. ``places``: how many it takes at once. ``notes``: what a person should know beforehand."""

    places: int
    notes: tuple[str, ...]

    def start(self, tasks: Sequence[Task]) -> list[Running]:
        """Start tasks, at most as many as places are free."""
        ...

    def find(self, handle: Mapping[str, str]) -> Running | None:
        """A task that an earlier process started, by its handle; None where there is no such thing any more."""
        ...

    def close(self) -> None:
        """Give back what it holds; tasks under way may end with it."""
        ...


@dataclass(frozen=True)
class Place:
    """What an executor is opened with: its options, how many tasks at once (None: its own), devices, a folder of its
    own for what it has to write.
    """

    options: Any
    folder: Path
    jobs: int | None = None
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExecutorSpec:
    """An executor by name. ``options``: the dataclass of its ``--executor-options``.

    ``devices``: does it take ``--devices``, or place GPUs itself?
    """

    name: str
    options: type[Any]
    open: Callable[[Place], Executor]
    devices: bool = False


def executor_named(name: str) -> ExecutorSpec:
    """The registered executor of that name.

    Raises:
        InputError: for an unknown name (near names are suggested) or one whose import fails.
    """
    return load_as(GROUP, name, ExecutorSpec)
