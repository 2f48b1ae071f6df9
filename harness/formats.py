"""The number format that a checkpoint is computed in: the same on every engine, on CPU and on GPU."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from .checkpoint import Checkpoint, tensor_entries

FORMATS = ("float32", "bfloat16", "float16")
# As safetensors calls them.
_STORED = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def number_format(checkpoint: Checkpoint, asked: str = "auto") -> str:
    """The format asked for; ``auto`` is what config.json says, or, where it is silent, what most weights are kept in.

    ``auto`` comes back where neither tells one of `FORMATS`: the engine decides then.
    """
    if asked != "auto":
        return asked
    config = checkpoint.config
    for settings in (config, config.get("text_config")):
        for key in ("dtype", "torch_dtype"):
            told = settings.get(key) if isinstance(settings, dict) else None
            if isinstance(told, str) and told.removeprefix("torch.") in FORMATS:
                return told.removeprefix("torch.")
    counts: Counter[str] = Counter()
    for file in checkpoint.weight_files:
        counts.update(_stored(file))
    return counts.most_common(1)[0][0] if counts else "auto"


def _stored(file: Path) -> Counter[str]:
    """How many numbers of a file of weights are kept in which format."""
    counts: Counter[str] = Counter()
    for entry in tensor_entries(file).values():
        if format_ := _STORED.get(entry["dtype"]):
            counts[format_] += math.prod(entry["shape"])
    return counts
