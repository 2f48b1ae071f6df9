"""telbench with every module spread over the processes by torch's FSDP2, which accelerate itself does on GPUs only.

Run as a program with telbench's own arguments. With ``STOP_AT`` in the environment training ends before that step.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import accelerate
import torch
from torch.distributed.fsdp import fully_shard

from telbench.harness.cli.main import entry
from telbench.kd.train.trainer import Trainer


class Prepared:
    """What accelerate makes of an optimizer: the optimizer, and everything that it can do."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.optimizer, name)


def prepare(_: Any, module: Any, optimizer: Any) -> tuple[Any, Prepared]:
    names = {id(weight): name for name, weight in module.named_parameters()}
    groups = [[names[id(weight)] for weight in group["params"]] for group in optimizer.param_groups]
    for layer in module.student.model.layers:
        fully_shard(layer)
    fully_shard(module)
    spread = dict(module.named_parameters())
    for group, weights in zip(optimizer.param_groups, groups, strict=True):
        group["params"] = [spread[name] for name in weights]
    return module, Prepared(optimizer)


@contextlib.contextmanager
def no_sync(_: Any, module: Any) -> Iterator[None]:
    module.set_requires_gradient_sync(False)
    yield
    module.set_requires_gradient_sync(True)


def clip(_: Any, weights: Any, norm: float) -> Any:
    return torch.nn.utils.clip_grad_norm_(weights, norm).full_tensor()  # pyright: ignore[reportAttributeAccessIssue]


def main() -> None:
    for name, function in (("prepare", prepare), ("no_sync", no_sync), ("clip_grad_norm_", clip)):
        setattr(accelerate.Accelerator, name, function)
    step, stop = Trainer._step, int(os.environ.get("STOP_AT", "-1"))

    def stopping(self: Trainer, planned: Any, log: Any, meter: Any) -> None:
        if planned.number == stop:
            os._exit(0)
        step(self, planned, log, meter)

    Trainer._step = stopping
    entry()


if __name__ == "__main__":
    main()
