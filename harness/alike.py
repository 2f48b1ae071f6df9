"""Do two checkpoints differ in their numbers alone, so that those of one can be put in the place of the other's?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..metrics.fingerprints import fingerprint
from .checkpoint import Checkpoint, read_json, tensor_entries
from .formats import quantisation
from .identity import identify_tokenizer

# What config.json says of where a checkpoint came from: it changes no sum.
_ORIGINS = frozenset({"_name_or_path", "transformers_version"})
_HEAD = "lm_head.weight"


@dataclass(frozen=True)
class Frame:
    """All of a checkpoint but its numbers, as hashes; two of equal frames are loaded alike, tensor by tensor.

    ``fixed`` says why its numbers cannot be replaced by others whatever their frame; empty where they can.
    """

    architecture: str
    config: str
    generation: str
    tokenizer: str
    tensors: str
    fixed: str = ""


def frame_of(checkpoint: Checkpoint) -> Frame:
    """The frame of a checkpoint without an adapter; reads its small files and the headers of its weights.

    Raises:
        InputError: where one of them cannot be read.
    """
    generation = checkpoint.path / "generation_config.json"
    tensors: dict[str, Any] = {}
    for file in checkpoint.weight_files:
        tensors |= {name: [entry["dtype"], entry["shape"]] for name, entry in tensor_entries(file).items()}
    return Frame(
        architecture=str((checkpoint.config.get("architectures") or [checkpoint.model_type])[0]),
        config=fingerprint(without_origins(checkpoint.config)),
        generation=fingerprint(without_origins(read_json(generation)) if generation.is_file() else None),
        tokenizer=identify_tokenizer(checkpoint),
        tensors=fingerprint(tensors),
        fixed=_fixed(checkpoint, tensors),
    )


def without_origins(config: Any) -> Any:
    """What a configuration says of the model, without where it came from."""
    if not isinstance(config, dict):
        return config
    return {name: value for name, value in config.items() if name not in _ORIGINS}


def difference(one: Frame, other: Frame) -> str:
    """Why the numbers of one cannot be put in the place of the other's, in words; empty where they can.

    >>> plain = Frame("LlamaForCausalLM", "c", "g", "t", "w")
    >>> difference(plain, plain), difference(plain, Frame("Qwen2ForCausalLM", "c", "g", "t", "w"))
    ('', 'another architecture (Qwen2ForCausalLM)')
    """
    if other.architecture != one.architecture:
        return f"another architecture ({other.architecture})"
    if other.fixed or one.fixed:
        return other.fixed or one.fixed
    for name, told in (
        ("config", "another config.json"),
        ("tensors", "tensors of other names, shapes or formats"),
        ("tokenizer", "another tokenizer"),
        ("generation", "another generation_config.json"),
    ):
        if getattr(one, name) != getattr(other, name):
            return told
    return ""


def _fixed(checkpoint: Checkpoint, tensors: dict[str, Any]) -> str:
    if quantisation(checkpoint):
        return "its weights are quantised"
    if checkpoint.trust_remote_code:
        return "it brings code of its own"
    if checkpoint.adapter is not None:
        return "it is an adapter"
    if checkpoint.config.get("tie_word_embeddings") and _HEAD in tensors:
        # Whether libraries tie the two then depends on the numbers.
        return "its output layer is tied and stored all the same"
    return ""
