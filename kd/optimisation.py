"""AdamW for a model and what is trained beside it, and the learning rate at each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import AdamW

    from .settings import OptimiserSettings

Schedule = Literal["cosine", "linear", "constant"]
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
