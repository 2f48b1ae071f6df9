"""Tasks as jobs of SLURM, those of one moment as one array, by submitit. All machines share this one's folders.

A job outlives the process that submitted it: its handle finds it again. What it came to stands in a JSON file beside
submitit's own, so that nothing that submitit pickled is read here.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from telbench.config import Bounded, setting
from telbench.errors import InputError, TelbenchError, missing_extra

from ..storage import replace_text
from .contract import VANISHED, Ended, ExecutorSpec, Place, Running, Task
from .process import run_to_end

# Arrays of more than this are refused by many clusters.
_MANY = 256
# A shared folder may show a file some seconds after it was written elsewhere.
GRACE_SECONDS = 10.0
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class SlurmOptions(Bounded):
    """What a job asks for. ``cluster: local`` runs the jobs as submitit's processes on this machine."""

    cluster: Literal["slurm", "local"] = setting("slurm", "slurm, or local: processes of this machine")
    partition: str | None = setting(None, "SLURM's partition")
    account: str | None = setting(None, "SLURM's account")
    qos: str | None = setting(None, "SLURM's quality of service")
    constraint: str | None = setting(None, "features that a machine must have")
    timeout_min: int = setting(240, "minutes; a training that needs more goes on in the next try", low=1)
    cpus_per_task: int = setting(1, "processors of a job", low=1)
    gpus_per_node: int = setting(0, "GPUs of a job", low=0)
    mem_gb: float | None = setting(None, "memory of a job in GB", above=0)

    def parameters(self, jobs: int | None) -> dict[str, Any]:
        """As submitit calls them."""
        own = {name: getattr(self, name) for name in ("timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb")}
        queue = {f"slurm_{name}": getattr(self, name) for name in ("partition", "account", "qos", "constraint")}
        found = {"name": "telbench", "slurm_array_parallelism": jobs or _MANY, **own, **queue}
        return {name: value for name, value in found.items() if value is not None}


class SlurmExecutor:
    """``folder``: on the disk that all machines share; submitit's files go there."""

    notes: tuple[str, ...] = ()

    def __init__(self, options: SlurmOptions, folder: Path, jobs: int | None = None) -> None:
        try:
            import submitit
        except ImportError as error:
            raise missing_extra("submitit", "slurm", "--executor slurm") from error
        if options.cluster == "slurm" and shutil.which("sbatch") is None:
            raise InputError(
                "--executor slurm: no sbatch on this machine: call it where jobs are submitted, or try it here with "
                "--executor-options cluster=local"
            )
        self.places = jobs or _MANY
        self._folder, self._options, self._jobs = folder.absolute(), options, jobs
        self._submitit: Any = submitit
        self._kind: Any = submitit.SlurmJob if options.cluster == "slurm" else submitit.LocalJob

    def start(self, tasks: Sequence[Task]) -> list[Running]:
        """Submit them as one array.

        Raises:
            TelbenchError: when SLURM takes no job.
        """
        # Made only now: a command that is refused leaves no folder.
        self._folder.mkdir(parents=True, exist_ok=True)
        executor = self._submitit.AutoExecutor(self._folder, cluster=self._options.cluster)
        executor.update_parameters(**self._options.parameters(self._jobs))
        reports = [self._folder / f"{task.label}-{uuid.uuid4().hex[:8]}.json" for task in tasks]
        try:
            with executor.batch():
                jobs = [
                    executor.submit(work, task.travelling(), report)
                    for task, report in zip(tasks, reports, strict=True)
                ]
        except self._submitit.core.utils.FailedJobError as error:
            raise TelbenchError(f"SLURM took no job: {' '.join(str(error).split())[-300:]}") from error
        return [_Job(job, report) for job, report in zip(jobs, reports, strict=True)]

    def find(self, handle: Mapping[str, str]) -> Running | None:
        """A job that an earlier process submitted; one that has vanished since is told as lost."""
        if not {"job", "report"} <= handle.keys():
            return None
        return _Job(self._kind(self._folder, handle["job"]), Path(handle["report"]))

    def close(self) -> None:
        """Jobs go on without this process."""


class _Job:
    """One job of the queue."""

    def __init__(self, job: Any, report: Path) -> None:
        self._job, self._report = job, report
        self._started = time.perf_counter()
        self._looked = self._gone = 0.0
        self._ended: Ended | None = None

    @property
    def handle(self) -> Mapping[str, str]:
        """The job's number and the file of what it came to."""
        return {"job": str(self._job.job_id), "report": str(self._report)}

    def ended(self) -> Ended | None:
        """What its report says; lost where the job has ended without one."""
        now = time.monotonic()
        if self._ended is None and now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._ended = _read(self._report)
            if self._ended is None and self._job.done():
                self._gone = self._gone or now
                if now - self._gone >= GRACE_SECONDS:
                    gone = time.perf_counter() - self._started
                    why = f"job {self._job.job_id} ended without a word ({self._job.state})"
                    self._ended = Ended(VANISHED, gone, 0.0, why=why)
        return self._ended

    def interrupt(self) -> None:
        """Take it out of the queue, or end it: SLURM gives it seconds to save."""
        self._job.cancel(check=False)

    def kill(self) -> None:
        """As `interrupt`: the queue knows no other way."""
        self._job.cancel(check=False)


def work(task: Task, report: Path) -> None:
    """What a job does: run the task, and tell how it ended."""
    try:
        ended = run_to_end(task)
    except TelbenchError as error:
        ended = Ended(error.exit_code, 0.0, 0.0, why=str(error))
    replace_text(report, json.dumps(asdict(ended)))


def _read(report: Path) -> Ended | None:
    try:
        return Ended(**json.loads(report.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _open(place: Place) -> SlurmExecutor:
    return SlurmExecutor(place.options, place.folder, place.jobs)


SLURM = ExecutorSpec("slurm", SlurmOptions, _open)
