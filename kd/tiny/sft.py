"""Supervised fine-tuning on answer tokens: one loop, bitwise repeatable on a processor."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.config import require_positive
from telbench.errors import InputError

from ..batches import Batch, Example, bucketed, collate
from ..losses.heads import rows_of
from ..settings import Schedule
from ..train.optimisation import Pace, adamw, diverged, learning_rate_at, one_way, step_log

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class TrainSettings:
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
class Training:
    """What a training came to; ``loss`` is the mean over the last epoch's answer tokens, in nats."""

    steps: int
    tokens: int
    loss: float
    seconds: float
    cpu_seconds: float


def answer_rows(model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Last hidden states (n_labels, hidden) and labels (n_labels,) of the positions that count."""
    # The prefix names the decoder within a model with a head (for Llama: "model").
    hidden, labels, _ = rows_of(model.base_model, batch)
    return hidden, labels


def answer_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Cross-entropy of the answer tokens in nats, summed over the batch: whoever steps divides by their number."""
    from torch.nn.functional import cross_entropy

    hidden, labels = answer_rows(model, batch)
    head: Any = model.get_output_embeddings()
    return cross_entropy(head(hidden).float(), labels, reduction="sum")


def train(
    model: PreTrainedModel, examples: Sequence[Example], settings: TrainSettings, *, pad: int, log: Path | None = None
) -> Training:
    """Train ``model`` in place for ``settings.epochs`` passes; a line a step goes to ``log``.

    Raises:
        InputError: without examples. TelbenchError: when the loss is no longer a finite number.
    """
    if not examples:
        raise InputError("nothing to train on: no item has a reference and fits the model's window")
    from torch.nn.utils import clip_grad_norm_

    steps = settings.epochs * -(-len(examples) // settings.batch_size)
    optimizer = adamw(model, settings.learning_rate, settings.weight_decay)
    pace = Pace()
    step = tokens = 0
    epoch_loss = 0.0
    with one_way(settings.seed, settings.threads), step_log(log) as write:
        model.train()
        for epoch in range(settings.epochs):
            summed, n_labels = 0.0, 0
            for chosen in bucketed(examples, settings.batch_size, random.Random(f"{settings.seed}:{epoch}")):
                batch = collate(chosen, pad)
                rate = learning_rate_at(step, steps, settings.learning_rate, settings.warmup_share, settings.schedule)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                loss = answer_loss(model, batch) / batch.n_labels
                value = loss.item()
                if not math.isfinite(value):
                    raise diverged(step, value, settings.learning_rate)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                norm = float(clip_grad_norm_(model.parameters(), settings.clip_norm))
                if not math.isfinite(norm):
                    raise diverged(step, norm, settings.learning_rate, "gradient norm")
                optimizer.step()
                step += 1
                tokens += batch.n_tokens
                summed, n_labels = summed + value * batch.n_labels, n_labels + batch.n_labels
                write({"step": step, "epoch": epoch, "loss": value, "learning_rate": rate, "gradient_norm": norm,
                       "tokens": tokens, "seconds": round(pace.seconds, 3)})  # fmt: skip
            epoch_loss = summed / n_labels
        model.eval()
    return Training(step, tokens, epoch_loss, pace.seconds, pace.cpu_seconds)
