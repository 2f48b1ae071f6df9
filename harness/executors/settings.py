"""Where commands run, as flags: which executor, its options, how many at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from telbench.config import Bounded, read_settings, setting
from telbench.errors import InputError

from .contract import GROUP, Executor, Place, executor_named


@dataclass(frozen=True)
class PlaceSettings(Bounded):
    """Where the commands of a study, or of a suite, run."""

    executor: str = setting("local", "where they run: local, ray, slurm or a package's own", plugins=GROUP)
    executor_options: Mapping[str, str] = setting({}, "what the executor asks for", metavar="NAME=VALUE,…")
    devices: tuple[str, ...] = setting((), "local: one at a time on each device", many="comma", metavar="cuda:0,…")
    jobs: int | None = setting(
        None, "so many at once (default: local 1, elsewhere as many as find room)", metavar="N", low=1, high=256
    )
    tries: int = setting(3, "tries of one whose process or machine was killed", metavar="N", low=1, high=100)

    def width(self) -> int:
        """How many run at once for sure: for estimates."""
        return self.jobs or len(self.devices) or 1

    def opened(self, folder: Path) -> Executor:
        """The executor; ``folder``: for what it has to write, on the disk that all machines share.

        Raises:
            InputError: for options that it has not, or an executor that cannot be had here.
        """
        spec = executor_named(self.executor)
        if self.devices and not spec.devices:
            raise InputError(f"--devices is for this machine's: {self.executor} places GPUs by --executor-options")
        if self.executor_options and not fields(spec.options):
            raise InputError(f"--executor-options are given, but {self.executor} has none")
        options = read_settings(spec.options, self.executor_options, f"executor_options of {self.executor}")
        return spec.open(Place(options, folder, self.jobs, self.devices))
