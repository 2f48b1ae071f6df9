"""What every training loop shares: fixed threads and random numbers, the optimizer and its rates."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import AdamW

    from ..settings import OptimiserSettings, Schedule


# A line a step, beside the checkpoint.
LOG = "training.jsonl"


@contextlib.contextmanager
def one_way(seed: int, threads: int, *, tf32: bool = False) -> Iterator[None]:
    """Fixed threads, random numbers and kind of float32 products on GPUs meanwhile; the caller's again afterwards."""
    import torch

    products = torch.backends.cuda.matmul
    before, rounded = torch.get_num_threads(), products.allow_tf32
    torch.set_num_threads(threads)
    products.allow_tf32 = tf32
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
        products.allow_tf32 = rounded


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
