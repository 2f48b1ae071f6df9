"""A causal language model of transformers: from a checkpoint, with its adapter, under the user's options."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError, missing_extra

from ..checkpoint import Checkpoint
from ..formats import quantisation
from ..whole import refuse_unfilled
from .contract import EngineSettings
from .options import EITHER, parsed_options

# What from_pretrained takes and may be wanted; ``batch_tokens`` is telbench's own.
KNOWN = (
    *("attn_implementation", "experts_implementation", "use_kernels", "load_in_8bit", "load_in_4bit"),
    *("quantization_config", "device_map", "max_memory", "offload_folder", "offload_buffers", "tp_plan", "tp_size"),
    "batch_tokens",
)
# Where the model lies and how many prompts it takes at once: the same sums, up to rounding.
SAME_ANSWERS = frozenset(
    {"device_map", "max_memory", "offload_folder", "offload_buffers", "tp_plan", "tp_size", "batch_tokens"}
)
OWN = {
    "dtype": "--dtype",
    "torch_dtype": "--dtype",
    "trust_remote_code": "--trust-remote-code",
    "revision": "--revision",
    "use_safetensors": "--model with *.safetensors: no other format is read",
    "local_files_only": "--online",
}


# What to do where a model finds no room on the GPU.
GPU_ROOM = (
    "stop what else uses this GPU, or pass --dtype bfloat16 (half of float32), or --engine-option device_map=auto "
    "(what does not fit stays in the machine's memory)"
)

# What transformers needs beside itself for a quantisation.
PACKAGES = {
    "gptq": ("optimum", "gptqmodel"),
    "awq": ("gptqmodel",),
    "bitsandbytes": ("bitsandbytes",),
    "compressed-tensors": ("compressed_tensors",),
    "torchao": ("torchao",),
    "auto-round": ("auto_round",),
    "aqlm": ("aqlm",),
    "hqq": ("hqq",),
    "eetq": ("eetq",),
    "vptq": ("vptq",),
}
PACKAGES_ON_GPU = {**PACKAGES, "fp8": ("kernels",)}


def packing(checkpoint: Checkpoint | None, options: Mapping[str, Any]) -> str:
    """How the weights are quantised, by their files or by an option; empty where they are not."""
    if options.get("load_in_8bit") or options.get("load_in_4bit"):
        return "bitsandbytes"
    given = options.get("quantization_config")
    if isinstance(given, dict):
        return str(given.get("quant_method", ""))
    return "" if checkpoint is None else quantisation(checkpoint)


def require_packages(checkpoint: Checkpoint | None, options: Mapping[str, Any], device: str) -> None:
    """Refuse a quantisation that transformers cannot unpack on this device. Raises `InputError`: what to install."""
    method = packing(checkpoint, options)
    # Without a GPU transformers unpacks FP8 itself.
    needed = PACKAGES_ON_GPU if device == "cuda" else PACKAGES
    absent = [name for name in needed.get(method, ()) if importlib.util.find_spec(name) is None]
    if absent:
        what = checkpoint.path if checkpoint else "the model"
        raise InputError(
            f"{what} is quantised by {method}: transformers needs {' and '.join(absent)} for it (pip install "
            f"{' '.join(name.replace('_', '-') for name in absent)})"
            + (", or take --engine vllm" if method in ("gptq", "awq", "fp8", "compressed-tensors") else "")
        )


def user_options(settings: EngineSettings) -> dict[str, Any]:
    """What ``--engine-option`` gives. Raises `InputError` for what is not known, or telbench sets."""
    own = OWN | ({"batch_tokens": EITHER} if settings.deterministic else {})
    options = parsed_options(settings.options, "transformers", KNOWN, own)
    size = options.get("batch_tokens", 1)
    if type(size) is not int or size < 1:
        raise InputError(f"--engine-option batch_tokens is {size}: it must be a whole number from 1")
    return options


def _arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as `from_pretrained` takes them."""
    found = dict(options)
    packed = {name: found.pop(name) for name in ("load_in_8bit", "load_in_4bit") if name in found}
    if any(packed.values()):
        from transformers import BitsAndBytesConfig

        found["quantization_config"] = BitsAndBytesConfig(**packed)
    if isinstance(found.get("max_memory"), dict):
        # JSON has no numbers as keys, and GPUs go by their number.
        found["max_memory"] = {
            int(name) if name.isdigit() else name: size for name, size in found["max_memory"].items()
        }
    return found


def load_model(checkpoint: Checkpoint, dtype: str = "auto", options: Mapping[str, Any] | None = None) -> Any:
    """The causal language model of a checkpoint with all its weights, on the processor if no option says otherwise.

    Raises:
        InputError: for an architecture transformers does not know, or weights that do not fill it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        # Sizes that do not match are refused below, with their names; the library's own message has none.
        both: Any = AutoModelForCausalLM.from_pretrained(
            checkpoint.path,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=checkpoint.trust_remote_code,
            local_files_only=True,
            **_arguments(options or {}),
        )
    except Exception as error:
        cure = f": {GPU_ROOM}" if out_of_memory(error) and "CUDA" in str(error) else ""
        raise InputError(
            f"transformers cannot load {checkpoint.path}: {type(error).__name__}: {first_line(error)}{cure}"
        ) from error
    refuse_unfilled(both[1], checkpoint)
    return both[0] if checkpoint.adapter is None else adapted(both[0], checkpoint.adapter).get_base_model()


def refilled(model: Any, checkpoint: Checkpoint) -> bool:
    """Copy the numbers of a checkpoint over those of a model whose own checkpoint has the same frame.

    False, where that cannot be done: the model is spread over devices, or its tensors go by other names than those of
    the files. It may be half filled then.
    """
    import torch
    from safetensors import safe_open

    if getattr(model, "hf_device_map", None) or any(each.is_meta for each in model.parameters()):
        return False
    places = model.state_dict()
    filled: set[int] = set()
    with torch.no_grad():
        for file in checkpoint.weight_files:
            with safe_open(file, framework="pt") as stored:
                for name in stored.keys():  # noqa: SIM118 - a file of tensors is no mapping
                    numbers = stored.get_tensor(name)
                    if name not in places or places[name].shape != numbers.shape:
                        return False
                    places[name].copy_(numbers)
                    filled.add(places[name].data_ptr())
    # Tied tensors are stored under one of their names.
    return all(place.data_ptr() in filled for place in places.values())


def adapted(model: Any, adapter: Path) -> Any:
    """The `peft.PeftModel` of a model with the adapter's matrices beside its own, in its own number format.

    They are not merged: in bfloat16 the sum of both would be rounded to another model than was trained.
    """
    try:
        from peft import PeftConfig, PeftModel
    except ImportError as error:
        raise missing_extra("peft", "train", "a LoRA adapter with --engine transformers") from error
    try:
        wrapped = PeftModel(model, PeftConfig.from_pretrained(str(adapter)), autocast_adapter_dtype=False)
        loaded = wrapped.load_adapter(str(adapter), "default", autocast_adapter_dtype=False)
    except Exception as error:
        raise InputError(
            f"peft cannot load {adapter} onto its base: {type(error).__name__}: {first_line(error)}"
        ) from error
    for names, problem in (
        (loaded.missing_keys, "lacks"),
        (loaded.unexpected_keys, "has, and its base has no place for,"),
    ):
        if names:
            raise InputError(
                f"{adapter} {problem} the tensor {sorted(names)[0]}: adapter_config.json, weights and base do not "
                "belong together"
            )
    return wrapped


def placed(model: Any, device: str, checkpoint: Checkpoint) -> Any:
    """The model with all its weights on that device. Raises `InputError` where they find no room."""
    try:
        return model.to(device)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise InputError(f"{checkpoint.folder} finds no room on the GPU: {first_line(error)}: {GPU_ROOM}") from error


def out_of_memory(error: BaseException) -> bool:
    """Did memory run out: of the GPU (torch's errors) or of the machine (an allocator's message)?"""
    import torch

    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    # A GPU without room for its first tensor says so in an error of another type.
    return known or any(words in str(error) for words in ("can't allocate memory", "CUDA error: out of memory"))


def first_line(error: BaseException) -> str:
    """The first line of its message, or its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
