"""What every training loop shares: checked settings, fixed threads and random numbers, a log of steps, the time."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import TelbenchError

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import AdamW

    from ..settings import OptimiserSettings, Schedule


# A line a step, beside the checkpoint.
LOG = "training.jsonl"


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


# A run ends at this share of its peak learning rate: the last batches still count.
FLOOR = 0.05


def learning_rate_at(step: int, steps: int, peak: float, warmup_share: float, schedule: Schedule) -> float:
    """Learning rate of step 0 … ``steps - 1``: a linear rise over the warm-up, then the schedule down to 5 % of it.

    >>> [round(learning_rate_at(step, 5, 1.0, 0.4, "linear"), 3) for step in range(5)]
    [0.5, 1.0, 1.0, 0.525, 0.05]
    """
    warmup = max(1, round(warmup_share * steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "constant":
        return peak
    done = (step - warmup) / max(1, steps - 1 - warmup)
    share = 1 - done if schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return peak * (FLOOR + (1 - FLOOR) * share)


def adamw(model: nn.Module, peak: float, weight_decay: float) -> AdamW:
    """AdamW over all trainable weights; matrices decay, gains and biases do not."""
    from torch.optim import AdamW

    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=peak, betas=(0.9, 0.99), fused=True)


def adamw_over(
    student: nn.Module, projectors: nn.Module | None, settings: OptimiserSettings, projector_rate: float | None
) -> AdamW:
    """AdamW over the student's trainable weights and, in groups of their own, the projectors'.

    Each group knows its ``peak`` learning rate; whoever steps multiplies it by the schedule's share.
    """
    from torch.optim import AdamW

    groups = []
    for module, rate in ((student, settings.learning_rate), (projectors, projector_rate)):
        weights = [] if module is None else [weight for weight in module.parameters() if weight.requires_grad]
        for decay, chosen in (
            (settings.weight_decay, [weight for weight in weights if weight.dim() > 1]),
            (0.0, [weight for weight in weights if weight.dim() <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "weight_decay": decay, "lr": rate, "peak": rate})
    return AdamW(groups, betas=(0.9, settings.beta2), fused=True)


def diverged(step: int, value: float, learning_rate: float, what: str = "loss") -> TelbenchError:
    """The one line for a training that has lost its numbers."""
    return TelbenchError(
        f"training stopped at step {step + 1}: the {what} is {value}; nothing was saved; lower the learning rate "
        f"(now {learning_rate:g}) or look for odd items in the data"
    )
