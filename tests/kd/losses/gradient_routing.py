"""Which term of a dual-space loss moves which weights: its passes through an output head, watched one by one."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from torch import Tensor, autograd

from telbench.kd.losses.chunked_head import chunked_loss
from telbench.kd.losses.mixture import Loss


def passes(module: ModuleType, run: Callable[[], Loss], monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Totals of the passes by what they were given: labels (t2s_ce), a target (s2t), or both (ce and t2s_kd)."""
    made: dict[str, Tensor] = {}

    def watched(hidden: Any, head: Any, **options: Any) -> Any:
        loss = chunked_loss(hidden, head, **options)
        made[" and ".join(sorted({"labels", "target"} & options.keys()))] = loss.total
        return loss

    monkeypatch.setattr(module, "chunked_loss", watched)
    run()
    assert made.keys() == {"labels", "target", "labels and target"}
    return made


def reached(total: Tensor, tensors: dict[str, Tensor]) -> set[str]:
    """Names of the tensors that get a gradient other than zero."""
    found = autograd.grad(total, list(tensors.values()), allow_unused=True, retain_graph=True)
    return {name for name, gradient in zip(tensors, found, strict=True) if gradient is not None and gradient.any()}
