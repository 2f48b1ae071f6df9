"""The loss on the dev split, batch by batch; what they sum up to is on disk, so that a kill costs one batch.

This module needs torch to be imported.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from telbench.errors import InputError

from ...harness.checkpoint import read_json
from ...harness.cli.terminal import Meter
from ..objectives.contract import Objective
from .distiller import make_micro_batch
from .prepare import Prepared
from .state import full

SUMS = "looking.json"
# Between writes: a batch of a small model takes milliseconds.
EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class DevSums:
    """Cross-entropy in nats and answer tokens of the first ``turns`` batches of every process.

    ``about`` tells the step, the items, and how they are shared out: other sums are of no use.
    """

    about: str
    turns: int = 0
    total: float = 0.0
    tokens: float = 0.0


@dataclass(frozen=True)
class DevSplit:
    """What is looked at: the items in batches of ``size``, by a module that ``world`` processes share.

    ``summed`` adds a tensor up over all of them.
    """

    prepared: Prepared
    module: Any
    objective: Objective
    size: int
    device: Any
    world: int = 1
    rank: int = 0
    summed: Callable[[Tensor], Tensor] = lambda values: values

    def loss(self, work: Path, step: int, meter: Meter, stop: threading.Event) -> float:
        """Mean cross-entropy of the answer tokens after ``step``, in nats; goes on where it was cut short.

        Raises:
            KeyboardInterrupt: when ``stop`` is set on any process; what was summed is kept.
            InputError: when the disk takes no more.
        """
        examples, dev = self.prepared.texts.dev_examples, self.prepared.texts.dev
        order = sorted(range(len(examples)), key=lambda index: len(examples[index].student.ids))
        batches = [order[start : start + self.size] for start in range(0, len(order), self.size)]
        turns = -(-len(batches) // self.world)
        sums = _read(work, f"{step} {dev.items_sha256 if dev else ''} {len(examples)}/{self.size}/{self.world}")
        first, begun = sums.turns, time.perf_counter()
        written = begun
        self.module.eval()
        with torch.no_grad():
            for turn in range(first, turns):
                # All processes go through the module equally often; one without a batch counts nothing.
                mine = turn * self.world + self.rank
                chosen = [examples[index] for index in batches[mine if mine < len(batches) else 0]]
                micro = make_micro_batch(chosen, self.prepared.pad, self.objective, None, self.device)
                loss, _ = self.module(micro, None, "cross_entropy")
                own = [float(loss), float(micro.batch.n_labels)] if mine < len(batches) else [0.0, 0.0]
                total, tokens, asked = self.summed(
                    torch.tensor([*own, float(stop.is_set())], dtype=torch.float64)
                ).tolist()
                sums = DevSums(sums.about, turn + 1, sums.total + total, sums.tokens + tokens)
                now = time.perf_counter()
                if self.rank == 0 and (asked or now - written >= EVERY_SECONDS):
                    _write(work, sums)
                    written = now
                if asked:
                    raise KeyboardInterrupt
                left = (now - begun) / (turn + 1 - first) * (turns - turn - 1)
                meter.advance(0, f"looking at the dev split: {turn + 1}/{turns}, {left:.0f} s left")
        self.module.train()
        return sums.total / sums.tokens


def _read(work: Path, about: str) -> DevSums:
    """What was summed of this look; nothing of another one, or of one that cannot be read."""
    try:
        found = DevSums(**read_json(work / SUMS)) if (work / SUMS).is_file() else None
    except (InputError, TypeError):
        found = None
    return found if found is not None and found.about == about else DevSums(about)


def _write(work: Path, sums: DevSums) -> None:
    partial = work / f"{SUMS}.partial"
    try:
        partial.write_text(json.dumps(asdict(sums)), encoding="utf-8")
        partial.replace(work / SUMS)
    except OSError as error:
        raise full(error, work / SUMS) from error
