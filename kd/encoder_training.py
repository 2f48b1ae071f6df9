"""Contrastive training of a sentence encoder: two texts of one fact come close, those of other facts move away."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..harness.items import DataSet
from ..harness.reporter import Meter
from ..judges.errors import InputError, TelbenchError
from .loop import Pace, one_way, require_positive, step_log
from .optimisation import Schedule, adamw, learning_rate_at

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

# The pairs of each fact.
Pairs = Sequence[Sequence[tuple[str, str]]]


@dataclass(frozen=True)
class ContrastSettings:
    """How to train. ``temperature`` divides the cosines; ``seed`` orders the pairs; one thread repeats to the bit."""

    epochs: int = 8
    batch_size: int = 64
    temperature: float = 0.1
    learning_rate: float = 2e-3
    warmup_share: float = 0.1
    schedule: Schedule = "cosine"
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        require_positive(self, "epochs", "batch_size", "temperature", "threads", "learning_rate", "clip_norm")


@dataclass(frozen=True)
class ContrastTraining:
    """What a training came to; ``loss`` is the mean InfoNCE of the last epoch, in nats."""

    steps: int
    pairs: int
    loss: float
    seconds: float
    cpu_seconds: float


def fact_pairs(dataset: DataSet) -> list[list[tuple[str, str]]]:
    """For each source document: its questions with a reference each, and its reference with its other wording.

    Questions of one document take its references in turn, so that each wording is asked for.
    """
    facts: dict[str, list[tuple[str, str]]] = {}
    for item in dataset.items:
        if not item.references:
            continue
        pairs = facts.setdefault(item.source_document or item.id, [])
        if not pairs and len(item.references) > 1:
            pairs.append((item.references[0], item.references[1]))
        pairs.append((item.question, item.references[len(pairs) % len(item.references)]))
    return list(facts.values())


def contrast_batches(facts: Pairs, size: int, rng: random.Random) -> Iterator[list[tuple[str, str]]]:
    """One epoch of batches of up to ``size`` pairs, none with two pairs of one fact: those would be no negatives.

    A batch of a single pair teaches nothing and is left out.
    """
    shuffled = [rng.sample(pairs, len(pairs)) for pairs in facts]
    batches = []
    for turn in range(max(map(len, shuffled), default=0)):
        pool = [pairs[turn] for pairs in shuffled if turn < len(pairs)]
        rng.shuffle(pool)
        batches += [pool[start : start + size] for start in range(0, len(pool), size)]
    rng.shuffle(batches)
    yield from (batch for batch in batches if len(batch) > 1)


def info_nce(left: Tensor, right: Tensor, temperature: float) -> Tensor:
    """InfoNCE over a batch of N pairs of unit vectors, shape (N, d) each; the mean over both directions, in nats.

    L = -1/N Σᵢ log( exp(uᵢ·vᵢ/τ) / Σⱼ exp(uᵢ·vⱼ/τ) ), with the other pairs of the batch as negatives (van den Oord et
    al. 2018, *Representation Learning with Contrastive Predictive Coding*, eq. 4; cosines over a temperature as in Gao
    et al. 2021, *SimCSE*, eq. 1 and 5), and the same with u and v exchanged.
    """
    import torch
    from torch.nn.functional import cross_entropy

    cosines = left @ right.T / temperature
    target = torch.arange(len(left))
    return (cross_entropy(cosines, target) + cross_entropy(cosines.T, target)) / 2


def sentence_vectors(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Tensor:
    """Mean of the last layer over a text's tokens, scaled to length 1: shape (texts, hidden)."""
    from torch.nn.functional import normalize

    limit = int(tokenizer.model_max_length)
    batch: Any = tokenizer(list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt")
    mask = batch["attention_mask"]
    hidden = model(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)


def train_contrast(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    facts: Pairs,
    settings: ContrastSettings,
    *,
    log: Path | None = None,
    meter: Meter | None = None,
) -> ContrastTraining:
    """Train ``model`` in place; a line a step goes to ``log``.

    Raises:
        InputError: with fewer than two facts. TelbenchError: when the loss is no longer a finite number.
    """
    from torch.nn.utils import clip_grad_norm_

    steps = contrast_steps(facts, settings)
    if not steps:
        raise InputError("nothing to contrast: two source documents or more must have questions with references")
    meter = meter or Meter()
    optimizer = adamw(model, settings.learning_rate, settings.weight_decay)
    pace = Pace()
    step = seen = 0
    epoch_loss = 0.0
    with one_way(settings.seed, settings.threads), step_log(log) as write:
        model.train()
        for epoch in range(settings.epochs):
            losses = []
            for pairs in contrast_batches(facts, settings.batch_size, random.Random(f"{settings.seed}:{epoch}")):
                rate = learning_rate_at(step, steps, settings.learning_rate, settings.warmup_share, settings.schedule)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                # Sides apart: their lengths differ, and padding to the longer would be computed for nothing.
                left, right = (sentence_vectors(model, tokenizer, side) for side in zip(*pairs, strict=True))
                loss = info_nce(left, right, settings.temperature)
                value = loss.item()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                norm = float(clip_grad_norm_(model.parameters(), settings.clip_norm))
                if not math.isfinite(value + norm):
                    raise TelbenchError(
                        f"training stopped at step {step + 1}: loss {value}, gradient norm {norm}; nothing was saved; "
                        f"lower the learning rate (now {settings.learning_rate:g})"
                    )
                optimizer.step()
                step += 1
                seen += len(pairs)
                losses.append(value)
                write({"step": step, "epoch": epoch, "loss": value, "learning_rate": rate, "gradient_norm": norm,
                       "pairs": seen, "seconds": round(pace.seconds, 3)})  # fmt: skip
                meter.advance(1, f"loss {value:.3f}")
            epoch_loss = sum(losses) / len(losses)
        model.eval()
    return ContrastTraining(step, seen, epoch_loss, pace.seconds, pace.cpu_seconds)


def contrast_steps(facts: Pairs, settings: ContrastSettings) -> int:
    """Optimiser steps of a whole training; every epoch has as many."""
    return settings.epochs * sum(1 for _ in contrast_batches(facts, settings.batch_size, random.Random(0)))
