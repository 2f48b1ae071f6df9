"""Tasks on a Ray cluster whose machines share this one's folders. Needs ``ray``, the core alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telbench.config import Bounded, setting
from telbench.errors import TelbenchError

from ..cluster import join, told
from .contract import VANISHED, Ended, ExecutorSpec, Place, Running, Task
from .process import run_to_end

# Ray queues what finds no place: more tasks than any cluster runs at once.
_MANY = 256
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
        self._cluster = join(options.address, "--executor ray")
        self._ray = self._cluster.ray
        self.places = jobs or _MANY
        self._remote = self._ray.remote(max_retries=0, num_cpus=options.num_cpus, num_gpus=options.num_gpus)(run_to_end)
        self.notes = self._notes(options)

    def _notes(self, options: RayOptions) -> tuple[str, ...]:
        asked = {"CPU": options.num_cpus, "GPU": options.num_gpus}
        if self._cluster.room(asked):
            return ()
        return (f"no machine of the Ray cluster has {told(asked)}: tasks wait until one has",)

    def start(self, tasks: Sequence[Task]) -> list[Running]:
        """Give them to Ray."""
        return [_RayTask(self._ray, self._remote.remote(task.travelling())) for task in tasks]

    def find(self, handle: Mapping[str, str]) -> Running | None:
        """Nothing: Ray ends the tasks of a driver that has ended."""
        return None

    def close(self) -> None:
        """Leave the cluster; what still runs ends."""
        self._cluster.leave()


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
            why = str(cause) if cause else str(error).strip().splitlines()[-1]
            return Ended(cause.exit_code if cause else TelbenchError.exit_code, gone, 0.0, why=why)
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
