"""Supervised fine-tuning on answer tokens: one loop, bitwise repeatable on a processor."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..judges.errors import InputError, TelbenchError
from .batches import IGNORED, Batch, Example, bucketed, collate
from .loop import Pace, one_way, require_positive, step_log
from .optimisation import Schedule, adamw, learning_rate_at

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

LOG = "training.jsonl"


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


def rows_of(decoder: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Last hidden states (n_labels, hidden), labels and inputs (n_labels,) of the positions that count.

    The decoder is called without its head, and the head later on these rows alone: prompts cost no logits. Padding
    stands on the right, where causal attention cannot see it from any position that counts, so no mask is passed.
    """
    hidden = decoder(input_ids=batch.inputs, use_cache=False).last_hidden_state
    counted = batch.labels != IGNORED
    return hidden[counted], batch.labels[counted], batch.inputs[counted]


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
                    raise diverged(step, value, settings)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                norm = float(clip_grad_norm_(model.parameters(), settings.clip_norm))
                if not math.isfinite(norm):
                    raise diverged(step, norm, settings, "gradient norm")
                optimizer.step()
                step += 1
                tokens += batch.n_tokens
                summed, n_labels = summed + value * batch.n_labels, n_labels + batch.n_labels
                write({"step": step, "epoch": epoch, "loss": value, "learning_rate": rate, "gradient_norm": norm,
                       "tokens": tokens, "seconds": round(pace.seconds, 3)})  # fmt: skip
            epoch_loss = summed / n_labels
        model.eval()
    return Training(step, tokens, epoch_loss, pace.seconds, pace.cpu_seconds)


def diverged(step: int, value: float, settings: TrainSettings, what: str = "loss") -> TelbenchError:
    """The one line for a training that has lost its numbers."""
    return TelbenchError(
        f"training stopped at step {step + 1}: the {what} is {value}; nothing was saved; lower the learning rate "
        f"(now {settings.learning_rate:g}) or look for odd items in the data"
    )
