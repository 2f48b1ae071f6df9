"""Do the weights of a checkpoint fill the model that its configuration describes?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telbench.errors import InputError

from .checkpoint import Checkpoint


def require_whole(checkpoint: Checkpoint) -> None:
    """Compare names and shapes of the tensors with those of the model, by loading it without memory or values.

    vLLM takes a part of a tensor that is too large, and leaves an output layer that is missing as it happens to be.
    What transformers does not know (an architecture of vLLM's own, a quantisation) is left to the engine.

    Raises:
        InputError: naming a tensor that is missing or has another shape.
    """
    from transformers import AutoModelForCausalLM

    try:
        both: Any = AutoModelForCausalLM.from_pretrained(
            checkpoint.path,
            device_map={"": "meta"},
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=checkpoint.trust_remote_code,
            local_files_only=True,
        )
    except Exception:
        return
    refuse_unfilled(both[1], checkpoint)


def refuse_unfilled(loaded: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Refuse what the loading information of transformers tells of missing tensors and other shapes.

    Raises:
        InputError: naming the first such tensor.
    """
    for kind, problem in (("mismatched_keys", "has another shape in"), ("missing_keys", "is missing from")):
        names = sorted(str(key if isinstance(key, str) else key[0]) for key in loaded.get(kind, ()))
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise InputError(
                f"{checkpoint.path}: the tensor {names[0]}{more} that config.json asks for {problem} the weights: "
                "config.json and weights belong to different models, or the checkpoint is not whole"
            )
