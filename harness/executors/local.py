"""Tasks on this machine: so many at once on its processors, or one on each device."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from telbench.errors import InputError

from .contract import ExecutorSpec, Place, Running, Task
from .process import Process


@dataclass(frozen=True)
class LocalOptions:
    """There are none: ``--jobs`` and ``--devices`` say all."""


class LocalExecutor:
    """``slots``: environment variables of each place where a task can run."""

    notes: tuple[str, ...] = ()

    def __init__(self, slots: Sequence[Mapping[str, str]] = ({},)) -> None:
        self.places = len(slots)
        self._slots = list(slots)
        self._held: dict[int, Process] = {}

    def start(self, tasks: Sequence[Task]) -> list[Running]:
        """Start each in the first free slot."""
        started: list[Running] = []
        for task in tasks:
            slot = next(
                slot for slot in range(self.places) if slot not in self._held or self._held[slot].ended() is not None
            )
            self._held[slot] = Process(task, self._slots[slot])
            started.append(self._held[slot])
        return started

    def find(self, handle: Mapping[str, str]) -> Running | None:
        """Nothing: processes end with the one that started them."""
        return None

    def close(self) -> None:
        """Nothing is held."""


def slots_of(devices: Sequence[str], jobs: int | None) -> list[dict[str, str]]:
    """Environment variables of each place where a task can run.

    Raises:
        InputError: for devices that are none, or together with ``jobs``.

    >>> slots_of(["cuda:0", "cuda:2"], None)
    [{'CUDA_VISIBLE_DEVICES': '0'}, {'CUDA_VISIBLE_DEVICES': '2'}]
    """
    if not devices:
        threads = max(1, (os.cpu_count() or 1) // (jobs or 1))
        return [{"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))} for _ in range(jobs or 1)]
    if jobs is not None:
        raise InputError("--jobs is for processors: with --devices, one artefact runs on each device")
    for name in devices:
        kind, _, index = name.partition(":")
        if kind != "cuda" or not index.isdigit():
            raise InputError(f"--devices {name}: write cuda:0,cuda:1 (for processors: --jobs N)")
    if len(set(devices)) < len(devices):
        raise InputError(f"--devices {','.join(devices)}: a device is named twice")
    return [{"CUDA_VISIBLE_DEVICES": name.partition(":")[2]} for name in devices]


def _open(place: Place) -> LocalExecutor:
    return LocalExecutor(slots_of(place.devices, place.jobs))


LOCAL = ExecutorSpec("local", LocalOptions, _open, devices=True)
