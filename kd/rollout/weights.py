"""A student's weights as its checkpoint's files would have them, adapters added to what they sit on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...harness.checkpoint import Checkpoint, tensor_entries

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Files of old checkpoints have tables that are computed today.
_COMPUTED = ".inv_freq"


def names_of(student: Any) -> dict[str, tuple[Any, Any]]:
    """Name in the checkpoint's files to the weight, and to the adapter's layer on it, or None."""
    inner = student.get_base_model() if hasattr(student, "get_base_model") else student
    layers = {name: layer for name, layer in inner.named_modules() if hasattr(layer, "get_delta_weight")}
    found: dict[str, tuple[Any, Any]] = {}
    for name, weight in inner.named_parameters():
        place, adapted, leaf = name.rpartition(".base_layer.")
        if adapted:
            found[f"{place}.{leaf}"] = weight, layers[place] if leaf == "weight" else None
        elif ".lora_" not in name:
            found[name] = weight, None
    return found


def current_weights(student: Any, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Each weight of the student as it is now, one after another, in this number format.

    Adapters are added in float32: in bfloat16 most of a small update would be rounded away before it counts. A weight
    that two layers share comes once.
    """
    import torch

    for name, (weight, layer) in names_of(student).items():
        with torch.no_grad():
            whole = weight.detach()
            if layer is not None:
                for adapter in layer.active_adapters:
                    whole = whole.float() + layer.get_delta_weight(adapter).float()
            yield name, whole.to(dtype)


def require_names(student: Any, checkpoint: Checkpoint) -> None:
    """Refuse a student whose weights cannot be handed over by the names of its checkpoint's files.

    Raises:
        InputError: saying which.
    """
    handed = names_of(student)
    stored = {name for file in checkpoint.weight_files for name in tensor_entries(file)}
    inner = student.get_base_model() if hasattr(student, "get_base_model") else student
    tied = inner.get_output_embeddings().weight is inner.get_input_embeddings().weight
    said = bool(inner.config.get_text_config().tie_word_embeddings)
    if tied != said:
        raise InputError(f"{checkpoint.path} says tie_word_embeddings: {str(said).lower()}, and its weights are not so")
    shared = [name for name, (weight, layer) in handed.items() if layer is not None and _is_head(inner, weight)]
    if tied and shared:
        raise InputError(f"an adapter on {shared[0]} makes two of the weights that embedding and output layer share")
    # A tied output layer may be stored all the same.
    left = {name for name in stored if not name.endswith(_COMPUTED) and not (tied and name == "lm_head.weight")}
    strange = sorted(handed.keys() ^ left)
    if strange:
        raise InputError(f"{checkpoint.path} and transformers do not call all weights alike: {strange[0]}")


def _is_head(inner: Any, weight: Any) -> bool:
    return weight is inner.get_output_embeddings().weight or weight is inner.get_input_embeddings().weight
