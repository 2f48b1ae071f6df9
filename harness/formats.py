"""How a checkpoint keeps its numbers: the format that it is computed in, its quantisation, how many there are."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from .checkpoint import Checkpoint, tensor_entries

FORMATS = ("float32", "bfloat16", "float16")
# Methods whose files are understood; "" stands for none.
_PACKED_BY = ("", "gptq", "awq", "fp8", "compressed-tensors", "bitsandbytes")
# Last parts of the names of tensors that are no weights but tell how to unpack them.
_SCALES = frozenset(
    {
        *("scales", "qzeros", "g_idx", "weight_scale", "weight_scale_inv", "weight_zero_point", "weight_shape"),
        *("weight_g_idx", "weight_global_scale", "input_scale", "input_global_scale", "k_scale", "v_scale", "absmax"),
        *("SCB", "weight_format"),
    }
)
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


def quantisation(checkpoint: Checkpoint) -> str:
    """How the weights are packed (``gptq``, ``awq``, ``fp8`` …), as config.json says; empty where they are not."""
    told = _quantisation(checkpoint)
    method = told.get("quant_method")
    if method:
        return str(method).lower()
    # As the first versions of bitsandbytes left it.
    return "bitsandbytes" if told.get("load_in_8bit") or told.get("load_in_4bit") else ""


def _quantisation(checkpoint: Checkpoint) -> dict[str, Any]:
    told = checkpoint.config.get("quantization_config") or checkpoint.config.get("compression_config")
    return told if isinstance(told, dict) else {}


def parameters(checkpoint: Checkpoint) -> int | None:
    """How many weights there are, packed ones counted one by one; None where it is not known how they are packed."""
    method = quantisation(checkpoint)
    if method not in _PACKED_BY:
        return None
    bits = _quantisation(checkpoint).get("bits")
    total = 0
    for file in checkpoint.weight_files:
        for name, entry in tensor_entries(file).items():
            kind = name.rpartition(".")[2]
            if method and (kind in _SCALES or kind.startswith(("quant_", "nested_", "bitsandbytes__"))):
                continue
            size = math.prod(entry["shape"])
            if method and kind in ("qweight", "weight_packed"):
                width = bits if type(bits) is int else _bits_of_groups(checkpoint)
                if width is None:
                    return None
                size = size * 32 // width
            elif method == "bitsandbytes" and entry["dtype"] == "U8":
                size *= 2
            total += size
    return total


def _bits_of_groups(checkpoint: Checkpoint) -> int | None:
    """Bits of a packed weight of compressed-tensors, if they are the same in all groups."""
    groups = _quantisation(checkpoint).get("config_groups")
    found = {(group.get("weights") or {}).get("num_bits") for group in groups.values()} if groups else set()
    width = found.pop() if len(found) == 1 else None
    return width if type(width) is int else None


def _stored(file: Path) -> Counter[str]:
    """How many numbers of a file of weights are kept in which format."""
    counts: Counter[str] = Counter()
    for entry in tensor_entries(file).values():
        if format_ := _STORED.get(entry["dtype"]):
            counts[format_] += math.prod(entry["shape"])
    return counts
