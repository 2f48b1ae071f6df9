"""``--replica-options``: what a replica asks of the cluster, and how often it is put up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from telbench.config import Bounded, read_settings, setting
from telbench.errors import InputError

from ..contract import EngineSettings, device_kind

# Engine options that say over how many GPUs one model lies.
_WIDTHS = ("tensor_parallel_size", "pipeline_parallel_size")


@dataclass(frozen=True)
class ReplicaOptions(Bounded):
    """What each replica gets, and how its work is dealt out."""

    address: str | None = setting(None, "the cluster's address (default: RAY_ADDRESS, or one of this machine alone)")
    num_cpus: float = setting(1.0, "processors of a replica", low=0)
    num_gpus: float | None = setting(
        None, "GPUs of a replica (default: those that its model lies over, where this machine has one)", low=0
    )
    chunk: int = setting(512, "prompts that a replica is handed at once, at most", low=1, high=100_000)
    max_restarts: int = setting(10, "how often each replica is put up again after its death", low=0, high=1000)
    patience: float = setting(0.0, "seconds to wait for machines that are not there yet", low=0, high=86_400)


def replica_options(settings: EngineSettings) -> ReplicaOptions:
    """The options as they were given. Raises `InputError` for one that there is not, or out of bounds."""
    return read_settings(ReplicaOptions, settings.replica_options, "--replica-options")


def gpus_of(settings: EngineSettings, options: ReplicaOptions) -> float:
    """GPUs of a replica: as asked, else those that its model lies over where this machine has GPUs, else none."""
    if options.num_gpus is not None:
        return options.num_gpus
    if device_kind() == "cpu":
        return 0.0
    gpus = 1
    for name in _WIDTHS:
        try:
            gpus *= int(settings.options.get(name, 1))
        except (TypeError, ValueError) as error:
            raise InputError(f"--engine-option {name}={settings.options[name]}: a whole number is expected") from error
    return float(gpus)


def resources_of(settings: EngineSettings, options: ReplicaOptions) -> Mapping[str, float]:
    """What a replica takes of a machine, by Ray's names."""
    return {"CPU": options.num_cpus, "GPU": gpus_of(settings, options)}
