"""The logger contract: numbers by name go in, step by step, and what a finished run came to, at once.

A logger is a record (`LoggerSpec`) found by name.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from telbench.errors import TelbenchError, missing_extra
from telbench.registry import load_as

GROUP = "telbench.loggers"
# What counts steps, tokens and time is the others' axis.
AXES = frozenset({"step", "epoch", "tokens", "seconds"})


@dataclass(frozen=True)
class LoggedRun:
    """What is logged.

    ``folder`` is where the logger writes; ``project`` is what it sorts runs by. ``key`` is the same when the run goes
    on after a kill, ``after`` is the step that it goes on from. ``settings`` are shown with it.
    """

    name: str
    folder: Path
    key: str
    project: str = "telbench"
    settings: Mapping[str, Any] = field(default_factory=dict)
    after: int = 0


@dataclass(frozen=True)
class Table:
    """Rows of texts, numbers and None, under these columns."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Result:
    """What is there when a run is finished: numbers by name, words about it, tables, and files or folders."""

    values: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    files: tuple[Path, ...] = ()


class Log(Protocol):
    """One run in one logger.

    A log that shows more than numbers has a third method, ``result(result: Result) -> None``: it is called once, and
    shows the numbers of the result too. One without it is given these numbers as scalars of step 1. A fourth method,
    ``files(paths: Sequence[Path]) -> None``, keeps files beside the numbers; one without it keeps none.
    """

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Show these numbers at that step."""
        ...

    def close(self, *, finished: bool) -> None:
        """Write what is left; the run is ``finished``, or will go on."""
        ...


@dataclass(frozen=True)
class LoggerSpec:
    """A logger by name, with the ``package`` that it needs; the extra that brings it has the logger's name."""

    name: str
    package: str
    open: Callable[[LoggedRun], Log]

    def require(self) -> None:
        """Raise `InputError` where its package is not installed, without importing it."""
        if importlib.util.find_spec(self.package) is None:
            raise missing_extra(self.package, self.name, f"--log {self.name}")


def logger_named(name: str) -> LoggerSpec:
    """The registered logger of that name.

    Raises:
        InputError: for an unknown name (near names are suggested) or one whose import fails.
    """
    return load_as(GROUP, name, LoggerSpec)


class Logs:
    """One run in several loggers; what goes wrong in one is told in a line that names it, and how to ``mend`` it."""

    def __init__(self, names: Sequence[str], run: LoggedRun, mend: str = "leave it out to go on") -> None:
        self._logs: dict[str, Log] = {}
        self._mend = mend
        for name in names:
            spec = logger_named(name)
            spec.require()
            self._logs[name] = self._asked(name, lambda spec=spec: spec.open(run))

    def record(self, record: Mapping[str, Any], prefix: str = "training/") -> None:
        """The numbers of a record that has a ``step``, but for its axes.

        Raises:
            TelbenchError: when a logger fails.
        """
        values = {f"{prefix}{name}": float(value) for name, value in record.items() if name not in AXES}
        for name, log in self._logs.items():
            self._asked(name, lambda log=log: log.scalars(int(record["step"]), values))

    def result(self, result: Result) -> list[str]:
        """What a run came to; the names of loggers that show its numbers alone.

        Raises:
            TelbenchError: when a logger fails.
        """
        numbers_alone = []
        for name, log in self._logs.items():
            shows: Callable[[Result], None] | None = getattr(log, "result", None)
            if shows is None:
                numbers_alone.append(name)
                self._asked(name, lambda log=log: log.scalars(1, dict(result.values)))
            else:
                self._asked(name, lambda shows=shows: shows(result))
        return numbers_alone

    def files(self, paths: Sequence[Path]) -> None:
        """Files of a run, in the loggers that keep any; fails as `record`."""
        for name, log in self._logs.items():
            keeps: Callable[[Sequence[Path]], None] | None = getattr(log, "files", None)
            if keeps is not None:
                self._asked(name, lambda keeps=keeps: keeps(paths))

    def close(self, *, finished: bool) -> None:
        """Close all, as `record`."""
        for name, log in self._logs.items():
            self._asked(name, lambda log=log: log.close(finished=finished))

    def _asked(self, name: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (TelbenchError, OSError):
            raise
        except Exception as error:
            # Whatever another's package raises.
            told = " ".join(str(error).split())[:300]
            raise TelbenchError(f"--log {name} failed ({type(error).__name__}: {told}): {self._mend}") from error


def own_environment(**values: str) -> None:
    """Set environment variables that a package reads when it is imported, where the user has not set them."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one mapping, without what is not set.

    >>> flat({"a": {"b": 1, "c": None}, "d": [2]})
    {'a.b': 1, 'd': [2]}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = value
    return found
