"""Tasks on a Ray cluster whose machines share this one's folders. Needs ``ray``, the core alone."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telbench.config import Bounded, setting
from telbench.errors import InputError, TelbenchError, missing_extra

from .contract import VANISHED, Ended, ExecutorSpec, Place, Running, Task
from .process import run_to_end

# Ray queues what finds no place: more tasks than any cluster runs at once.
_MANY = 256
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_STOPPED = 130


@dataclass(frozen=True)
class RayOptions(Bounded):
    """What a task asks of the cluster."""

    address: str | None = setting(None, "the cluster's address (default: RAY_ADDRESS, or one of this machine alone)")
    num_cpus: float = setting(1.0, "processors of a task", low=0)
    num_gpus: float = setting(0.0, "GPUs of a task; below 1, tasks share one", low=0)


class RayExecutor:
    """Each task is one Ray task; Ray retries none, as whoever gave it does."""

    def __init__(self, options: RayOptions, jobs: int | None = None) -> None:
        address = options.address or os.environ.get("RAY_ADDRESS")
        # Ray tells its makers of its use otherwise, and replaces an address of this machine alone by an outer one.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if address is None or address.rpartition(":")[0] in _LOOPBACK:
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        try:
            import ray
        except ImportError as error:
            raise missing_extra("ray", "ray", "--executor ray") from error
        self._ray: Any = ray
        self.places = jobs or _MANY
        alone = {} if address else {"include_dashboard": False}
        try:
            self._ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **alone)
        except (ConnectionError, ValueError, RuntimeError) as error:
            told = " ".join(str(error).split())[:300]
            raise InputError(f"no Ray cluster at {address or 'this machine'}: {told}") from error
        self._remote = ray.remote(max_retries=0, num_cpus=options.num_cpus, num_gpus=options.num_gpus)(run_to_end)
        self.notes = self._notes(options)

    def _notes(self, options: RayOptions) -> tuple[str, ...]:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        asked = {"CPU": options.num_cpus, "GPU": options.num_gpus}
        if any(all(node.get(name, 0) >= number for name, number in asked.items()) for node in nodes):
            return ()
        told = " and ".join(f"{number:g} {name}" for name, number in asked.items() if number)
        return (f"no machine of the Ray cluster has {told}: tasks wait until one has",)

    def start(self, tasks: Sequence[Task]) -> list[Running]:
        """Give them to Ray."""
        return [_RayTask(self._ray, self._remote.remote(task.travelling())) for task in tasks]

    def find(self, handle: Mapping[str, str]) -> Running | None:
        """Nothing: Ray ends the tasks of a driver that has ended."""
        return None

    def close(self) -> None:
        """Leave the cluster; what still runs ends."""
        self._ray.shutdown()


class _RayTask:
    """One task of this driver."""

    handle: Mapping[str, str] = {}

    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference
        self._started = time.perf_counter()
        self._ended: Ended | None = None

    def ended(self) -> Ended | None:
        """What the worker returned, or how it was lost."""
        if self._ended is None and self._ray.wait([self._reference], timeout=0)[0]:
            self._ended = self._result()
        return self._ended

    def _result(self) -> Ended:
        gone = time.perf_counter() - self._started
        errors = self._ray.exceptions
        try:
            return self._ray.get(self._reference)
        except errors.TaskCancelledError:
            return Ended(_STOPPED, gone, 0.0)
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, TelbenchError) else None
            if isinstance(error.cause, KeyboardInterrupt):
                return Ended(_STOPPED, gone, 0.0)
            told = str(cause) if cause else str(error).strip().splitlines()[-1]
            return Ended(cause.exit_code if cause else TelbenchError.exit_code, gone, 0.0, why=told)
        except errors.RayError as error:
            # Its worker or its machine has died, or lacked memory: the task itself is as good as before.
            return Ended(VANISHED, gone, 0.0, why=f"Ray lost it ({type(error).__name__})")

    def interrupt(self) -> None:
        """Ctrl-C for the worker, which passes it on."""
        self._ray.cancel(self._reference, force=False)

    def kill(self) -> None:
        """End the worker; its command ends with it."""
        self._ray.cancel(self._reference, force=True)


def _open(place: Place) -> RayExecutor:
    return RayExecutor(place.options, place.jobs)


RAY = ExecutorSpec("ray", RayOptions, _open)
