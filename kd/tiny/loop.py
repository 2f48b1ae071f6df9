"""The training loop of models made from nothing: epochs of batches, AdamW, one schedule, bitwise on a processor.

Candidates are trained by `train.trainer`, which resumes, keeps the best step and runs on several processes; what is
made here takes a minute and starts over.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from telbench.config import require_positive
from telbench.errors import TelbenchError

from ..settings import Schedule
from ..train.optimisation import learning_rate_at, one_way

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import AdamW

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class LoopSettings:
    """How to train. ``seed`` orders the examples; one thread gives the same sums on machines with other core counts."""

    epochs: int = 12
    batch_size: int = 16
    learning_rate: float = 3e-3
    warmup_share: float = 0.08
    schedule: Schedule = "cosine"
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        require_positive(self, "epochs", "batch_size", "threads", "learning_rate", "clip_norm")


@dataclass(frozen=True)
class Passes:
    """What a training came to: its steps, what was counted in all batches, and each loss of the last epoch in nats."""

    steps: int
    counted: int
    last_losses: tuple[float, ...]
    seconds: float
    cpu_seconds: float


def descend(
    model: nn.Module,
    batches: Callable[[random.Random], Iterable[Batch]],
    loss_of: Callable[[Batch], Tensor],
    settings: LoopSettings,
    steps: int,
    *,
    counted: tuple[str, Callable[[Batch], int]],
    log: Path | None = None,
    tell: Callable[[float], object] = bool,
) -> Passes:
    """Train ``model`` in place.

    Args:
        model: what learns.
        batches: one epoch, in an order that the random numbers decide.
        loss_of: mean loss of a batch, in nats.
        settings: how.
        steps: batches of all epochs: the learning rate's course depends on it.
        counted: what the log counts in batches, by name.
        log: file that gets a line of JSON a step.
        tell: is given each step's loss.

    Raises:
        TelbenchError: when loss or gradient are no finite numbers.
    """
    from torch.nn.utils import clip_grad_norm_

    optimizer = adamw(model, settings.learning_rate, settings.weight_decay)
    wall, cpu = time.perf_counter(), time.process_time()
    name, count = counted
    step = total = 0
    losses: list[float] = []
    with one_way(settings.seed, settings.threads), _opened(log) as lines:
        model.train()
        for epoch in range(settings.epochs):
            losses = []
            for batch in batches(random.Random(f"{settings.seed}:{epoch}")):
                rate = learning_rate_at(step, steps, settings.learning_rate, settings.warmup_share, settings.schedule)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                loss = loss_of(batch)
                value = loss.item()
                _require_finite(step, value, settings.learning_rate, "loss")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                norm = float(clip_grad_norm_(model.parameters(), settings.clip_norm))
                _require_finite(step, norm, settings.learning_rate, "gradient norm")
                optimizer.step()
                step += 1
                total += count(batch)
                losses.append(value)
                record = {"step": step, "epoch": epoch, "loss": value, "learning_rate": rate, "gradient_norm": norm}
                record |= {name: total, "seconds": round(time.perf_counter() - wall, 3)}
                lines.write(json.dumps(record, allow_nan=False) + "\n")
                tell(value)
        model.eval()
    return Passes(step, total, tuple(losses), time.perf_counter() - wall, time.process_time() - cpu)


def adamw(model: nn.Module, peak: float, weight_decay: float) -> AdamW:
    """AdamW over all trainable weights; matrices decay, gains and biases do not."""
    from torch.optim import AdamW

    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=peak, betas=(0.9, 0.99), fused=True)


def _opened(log: Path | None) -> IO[str]:
    return (Path(os.devnull) if log is None else log).open("w", encoding="utf-8")


def _require_finite(step: int, value: float, learning_rate: float, what: str) -> None:
    if not math.isfinite(value):
        raise TelbenchError(
            f"training stopped at step {step + 1}: the {what} is {value}; nothing was saved; lower the learning rate "
            f"(now {learning_rate:g}) or look for odd items in the data"
        )
