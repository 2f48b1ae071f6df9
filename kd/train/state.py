"""What a training resumes from: weights, optimizer and random numbers of one step, on disk whole or not at all.

Everything is in safetensors and JSON, nothing pickled. In the working folder stand

    step-00000120/          the newest state: model, optimizer, rng-0 (a file a process), state.json
    best-00000080.safetensors   trained weights of the best step so far, which state.json names

and whatever a kill has left half-written is swept away by the next save.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...harness.checkpoint import read_json
from ...harness.storage import disk_message

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

STATE = "state.json"
MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"


@dataclass(frozen=True)
class Best:
    """The best step: that with the lowest loss on the dev split (nats a token), or the best ``score`` there."""

    step: int
    loss: float
    score: float | None = None


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    ``key`` tells which training it is; ``log_bytes``: how much of the log counts; ``looked``: the last step whose loss
    on the dev split is known; ``stale``: looks since the best one.
    """

    key: str
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    log_bytes: int = 0
    best: Best | None = None
    looked: int = 0
    stale: int = 0


def trained_weights(module: nn.Module) -> dict[str, Tensor]:
    """Name to weight of all that is trained; a weight that two layers share is there once."""
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


def read_progress(work: Path, key: str) -> tuple[Progress, Path] | None:
    """The newest whole state in the working folder and its place; none if there is none.

    Raises:
        InputError: when it belongs to another training, or cannot be read.
    """
    states = sorted(folder for folder in work.glob("step-*") if (folder / STATE).is_file())
    if not states:
        return None
    folder = states[-1]
    record = read_json(folder / STATE)
    try:
        best = record.pop("best")
        progress = Progress(**record, best=None if best is None else Best(**best))
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{folder / STATE} is damaged: delete {work} and train again") from error
    if progress.key != key:
        raise InputError(
            f"{work} holds a training with other settings, data or models: finish it with those, or pass --fresh to "
            "drop it"
        )
    return progress, folder


def saved_step(work: Path) -> int | None:
    """The step of the newest state in the working folder; none if there is none."""
    return max((int(folder.name.removeprefix("step-")) for folder in work.glob("step-*")), default=None)


def save_rng(folder: Path, rank: int) -> None:
    """This process's random numbers, of the processor and of the GPU where there is one."""
    import torch
    from safetensors.torch import save_file

    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    save_file(states, folder / f"rng-{rank}.safetensors")


def load_rng(folder: Path, rank: int) -> None:
    """Go on with the random numbers that `save_rng` wrote; a process that was not there begins with its own."""
    import torch

    file = folder / f"rng-{rank}.safetensors"
    if not file.is_file():
        torch.manual_seed(int(folder.name.removeprefix("step-")) << 16 | rank)
        return
    states = _read(file)
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def whole(tensors: Mapping[str, Any], *, kept: bool = True) -> dict[str, Tensor]:
    """The tensors on the processor; those that FSDP has spread over processes are put together, one after another.

    All processes ask together. One that writes nothing keeps nothing (``kept``).
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        joined = tensor.full_tensor() if spread(tensor) else tensor
        if kept:
            found[name] = joined.detach().cpu().contiguous()
    return found


def spread(tensor: Any) -> bool:
    """Does each process hold a part of it only?"""
    return hasattr(tensor, "full_tensor")


def moments_of(optimizer: Optimizer, *, kept: bool = True) -> dict[str, Tensor]:
    """The optimizer's tensors, called by the number of their weight, as `whole` has them."""
    state: Mapping[int, Mapping[str, Tensor]] = optimizer.state_dict()["state"]
    named = {f"{index}.{key}": value for index, values in state.items() for key, value in values.items()}
    return whole(named, kept=kept)


def save_state(
    work: Path, scratch: Path, weights: dict[str, Tensor], moments: dict[str, Tensor], progress: Progress
) -> None:
    """Put the state of a step at its place, from a scratch folder that already holds the random numbers.

    Raises:
        InputError: when the disk takes no more; the state before stays.
    """
    from safetensors.torch import save_file

    final = work / f"step-{progress.step:08d}"
    try:
        save_file(weights, scratch / MODEL)
        save_file(moments, scratch / OPTIMIZER)
        (scratch / STATE).write_text(json.dumps(asdict(progress), allow_nan=False), encoding="utf-8")
        for file in scratch.iterdir():
            _push(file)
        if final.exists():
            shutil.rmtree(final)
        scratch.rename(final)
        _push(work)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise full(error, final) from error
    sweep(work, progress)


def save_progress(work: Path, progress: Progress) -> None:
    """What has become known of a step whose state is saved.

    Raises:
        InputError: when the disk takes no more.
    """
    file = work / f"step-{progress.step:08d}" / STATE
    partial = file.with_suffix(".partial")
    try:
        partial.write_text(json.dumps(asdict(progress), allow_nan=False), encoding="utf-8")
        _push(partial)
        partial.replace(file)
    except OSError as error:
        raise full(error, file) from error
    sweep(work, progress)


def save_best(work: Path, step: int, weights: dict[str, Tensor]) -> None:
    """The trained weights of a step that may turn out to be the best.

    Raises:
        InputError: when the disk takes no more.
    """
    from safetensors.torch import save_file

    final = best_file(work, step)
    partial = final.with_suffix(".partial")
    try:
        save_file(weights, partial)
        _push(partial)
        partial.rename(final)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise full(error, final) from error


def best_file(work: Path, step: int) -> Path:
    """Where `save_best` puts the weights of a step."""
    return work / f"best-{step:08d}.safetensors"


def sweep(work: Path, progress: Progress) -> None:
    """Delete what the newest state does not need: older states, other best weights, what a kill left half-written."""
    kept = {f"step-{progress.step:08d}"} | ({best_file(work, progress.best.step).name} if progress.best else set())
    for entry in work.iterdir():
        if entry.name.startswith(("step-", "best-", "saving-")) and entry.name not in kept:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def load_weights(module: nn.Module, file: Path, prefix: str = "") -> None:
    """Put saved weights back into the module, which they know by names that begin with ``prefix``.

    Raises:
        InputError: when they are not this module's.
    """
    import torch

    found = {name.removeprefix(prefix): value for name, value in _read(file).items() if name.startswith(prefix)}
    wanted = trained_weights(module)
    if found.keys() != wanted.keys() or any(found[name].shape != wanted[name].shape for name in wanted):
        raise InputError(f"{file} holds other weights than this training has: delete {file.parent} and train again")
    with torch.no_grad():
        for name, weight in wanted.items():
            weight.copy_(found[name])


def load_optimizer(optimizer: Optimizer, file: Path) -> None:
    """Put saved moments and step counts back into the optimizer; each process takes its part."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _read(file).items():
        number, _, key = name.partition(".")
        index = int(number)
        state.setdefault(index, {})[key] = _like(value, weights[index])
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _like(value: Tensor, weight: Any) -> Tensor:
    if not spread(weight) or value.shape != weight.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)


def full(error: OSError, place: Path) -> InputError:
    """The line for a disk that takes no more while a state is saved."""
    return InputError(disk_message(error, place) + "; the state saved before is kept")


def _read(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} cannot be read ({error}): delete {file.parent} and train again") from error


def _push(place: Path) -> None:
    """Onto the disk, so that a power cut after the rename finds whole files."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
