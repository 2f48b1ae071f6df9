"""What every training loop shares: checked settings, fixed threads and random numbers, a log of steps, the time."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..judges.errors import InputError


def require_positive(settings: object, *names: str) -> None:
    """Raise `InputError` for the first of these settings that is not above 0 (NaN is not)."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise InputError(f"{name} is {getattr(settings, name)}: it must be positive")


class Pace:
    """Wall and processor time since the start."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """Wall seconds."""
        return time.perf_counter() - self._wall

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds of all threads of this process."""
        return time.process_time() - self._cpu


@contextlib.contextmanager
def one_way(seed: int, threads: int) -> Iterator[None]:
    """Fixed threads and random numbers meanwhile, and the caller's again afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def asked_to_stop(*, twice_ends: bool) -> Iterator[threading.Event]:
    """Set by Ctrl-C, so that what is under way ends and is saved; with ``twice_ends`` a second one ends at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: object) -> None:
        if twice_ends and stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def step_log(log: Path | None) -> Iterator[Callable[[Mapping[str, Any]], object]]:
    """A function that writes a record as a line of JSON to ``log``; without one it does nothing."""
    if log is None:
        yield lambda record: None
        return
    with log.open("w", encoding="utf-8") as stream:
        yield lambda record: stream.write(json.dumps(dict(record), allow_nan=False) + "\n")
