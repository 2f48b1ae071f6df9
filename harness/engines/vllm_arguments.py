"""What vLLM is opened with: telbench's own arguments, those of the user, and which of them belong to the identity."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ..adapter import adapted_modules, adapter_config, adapter_rank
from ..checkpoint import Checkpoint
from ..formats import quantisation
from .contract import EngineSettings, Request, Sampling, request_seed
from .guided import GRAMMARS
from .options import EITHER, fields_of, parameters_of, parsed_options, words_of

# Measured on CPU: one process, unbound threads and eager mode start in seconds where the defaults take a minute, and
# the default memory share asks for more than a shared machine has.
CPU_ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
CPU_OPTIONS = {"enforce_eager": True, "gpu_memory_utilization": 0.2}
CACHE_SPACE = "VLLM_CPU_KVCACHE_SPACE"
GIB = 1 << 30
# Key-value cache on CPU: room for so many of the longest sequences at once, and at least a GiB.
SEQUENCES = 4
# vLLM's CPU cache is made of blocks of 128 tokens.
BLOCK = 128
# vLLM reserves room for the rank of adapters in these steps.
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
QUIET_ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
# No prompt shares a step with another, nor takes over what was computed for another.
ONE_AT_A_TIME = {"max_num_seqs": 1, "enable_prefix_caching": False}
# What telbench sets itself, with the flag that changes it.
OWN = {
    "model": "--model",
    "model_weights": "--model",
    "tokenizer": "--model, with its own tokenizer",
    "seed": "--seed",
    "dtype": "--dtype",
    "max_model_len": "--max-model-len",
    "trust_remote_code": "--trust-remote-code",
    "revision": "--revision",
    "tokenizer_revision": "--revision",
    "code_revision": "--revision",
    "load_format": "--model with *.safetensors: no other format is read",
    "enable_lora": "--model with the folder of an adapter",
    "max_loras": "--model with the folder of an adapter",
    "max_lora_rank": "--model with the folder of an adapter",
    "lora_target_modules": "--model with the folder of an adapter",
    "structured_outputs_config": "--judge, which needs this setting",
}
# How much memory the model gets and what is told meanwhile: the same sums, to the last bit.
SAME_BITS = frozenset(
    {
        *("gpu_memory_utilization", "kv_cache_memory_bytes", "num_gpu_blocks_override", "swap_space", "device_ids"),
        *("numa_bind", "max_parallel_loading_workers", "safetensors_load_strategy", "use_tqdm_on_load"),
        *("disable_log_stats", "log_level", "shutdown_timeout"),
    }
)
# These, where the model lies and in which order it works: the same sums, up to rounding. A run may go on with others.
# All else counts, what a later vLLM adds too.
SAME_ANSWERS = SAME_BITS | {
    *("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "data_parallel_size_local"),
    *("data_parallel_backend", "distributed_executor_backend", "enable_expert_parallel"),
    *("disable_custom_all_reduce", "block_size", "cpu_offload_gb", "max_num_seqs", "max_num_batched_tokens"),
    *("max_num_scheduled_tokens", "enable_prefix_caching", "enable_chunked_prefill", "async_scheduling"),
    *("enforce_eager", "compilation_config", "cudagraph_capture_sizes", "max_cudagraph_capture_size"),
    *("optimization_level", "performance_mode"),
}


# Architectures that were loaded over by `reload_weights` and then answered as if started with those weights, to the
# last bit, tied or with an output layer of their own (tests/harness/fleet/test_vllm_families.py); others start an
# engine for each checkpoint.
IN_PLACE = frozenset(
    {"LlamaForCausalLM", "MistralForCausalLM", "Phi3ForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
    | {"GemmaForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM", "GraniteForCausalLM"}
)
# What vLLM logs where a part of a model kept its former numbers. Tied output layers and tables of angles have none of
# their own, nor has Gemma's factor of the embeddings, which follows from their width.
NOT_LOADED = re.compile(
    r"(?<!ParallelLMHead)(?<!RotaryEmbedding)(?<!GemmaModel)(?<!Gemma[23]Model): Failed to load weights"
    "|weights were not loaded from checkpoint"
)

# Quantisations of transformers that vLLM has under no other name.
_PERHAPS = ("bitsandbytes", "aqlm", "hqq", "eetq", "vptq", "quanto", "bitnet", "gguf")


def require_quantisation(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that the installed vLLM cannot unpack. Raises `InputError`."""
    method = quantisation(checkpoint)
    known = words_of("vllm", "model_executor/layers/quantization/__init__.py", "QuantizationMethods")
    if method in _PERHAPS and known and method not in known:
        raise InputError(
            f"{checkpoint.path} is quantised by {method}, which the installed vLLM does not know: take --engine "
            "transformers, or a checkpoint in awq, gptq, fp8 or compressed-tensors"
        )


def require_adapter(checkpoint: Checkpoint, device: str, dtype: str) -> None:
    """Refuse an adapter that vLLM loads only in part, or not on this device. Raises `InputError`."""
    if checkpoint.adapter is None:
        return
    config = adapter_config(checkpoint.adapter)
    beyond = [name for name in ("use_dora", "modules_to_save", "lora_bias", "layer_replication") if config.get(name)]
    beyond += ["bias"] if config.get("bias") not in (None, "none") else []
    if beyond:
        raise InputError(
            f"{checkpoint.adapter}: vLLM loads no adapter with {beyond[0]}: take --engine transformers, or merge it "
            "into its base model"
        )
    if device == "cuda" and dtype == "float32":
        raise InputError(
            "vLLM computes LoRA adapters on a GPU in bfloat16 or float16, this base is float32: pass --dtype bfloat16, "
            "or take --engine transformers"
        )


def takes_weights() -> bool:
    """Does the installed vLLM take tensors in the place of those that it has loaded? Its source tells, unimported."""
    return "weights_iterator" in parameters_of("vllm", "v1/worker/gpu_model_runner.py", "reload_weights")


def engine_arguments() -> frozenset[str]:
    """Names of vLLM's engine arguments; empty where its source does not tell them."""
    return fields_of("vllm", "engine/arg_utils.py", "EngineArgs")


def user_options(settings: EngineSettings) -> dict[str, Any]:
    """What ``--engine-option`` gives. Raises `InputError` for what vLLM does not know, or telbench sets."""
    own = OWN | (dict.fromkeys(ONE_AT_A_TIME, EITHER) if settings.deterministic else {})
    return parsed_options(settings.options, "vLLM", engine_arguments(), own)


def counted_options(settings: EngineSettings) -> dict[str, Any]:
    """Those of `user_options` that belong to the identity: with ``deterministic`` all that could change a bit.

    A prompt longer than ``max_num_batched_tokens`` is read in parts, for one, and then rounded otherwise.
    """
    free = SAME_BITS if settings.deterministic else SAME_ANSWERS
    return {name: value for name, value in user_options(settings).items() if name not in free}


def own_arguments(
    settings: EngineSettings,
    checkpoint: Checkpoint,
    adapters: Sequence[Path],
    dtype: str,
    options: Mapping[str, Any],
    *,
    on_cpu: bool,
) -> dict[str, Any]:
    """What telbench sets itself, beside the user's ``options``; with room for each of the ``adapters``."""
    own: dict[str, Any] = {
        "model": str(checkpoint.path),
        "dtype": dtype,
        "seed": settings.seed,
        "max_model_len": settings.max_model_len,
        "trust_remote_code": checkpoint.trust_remote_code,
        "load_format": "safetensors",
        "structured_outputs_config": {"backend": GRAMMARS, "disable_any_whitespace": True},
        "disable_log_stats": True,
    }
    if adapters:
        own |= _adapter_arguments(checkpoint, adapters)
    if on_cpu and not os.environ.get(CACHE_SPACE) and "kv_cache_memory_bytes" not in options:
        import psutil

        available = psutil.virtual_memory().available
        own["kv_cache_memory_bytes"] = cache_bytes(checkpoint.config, settings.max_model_len, dtype, available)
    return own


def _adapter_arguments(checkpoint: Checkpoint, adapters: Sequence[Path]) -> dict[str, Any]:
    """What vLLM has to know of adapters before it loads the base: ranks, places and the tokenizer.

    One adapter is at work at a time, so there is room for one.
    """
    rank = max(map(adapter_rank, adapters))
    modules = frozenset[str]().union(*map(adapted_modules, adapters))
    own: dict[str, Any] = {
        "enable_lora": True,
        "max_loras": 1,
        "max_lora_rank": next((size for size in RANKS if size >= rank), rank),
        "tokenizer": str(checkpoint.tokenizer_path),
    }
    # Else vLLM reserves a place on the output head too, and then fails to score prompts. Experts go by other names.
    if "lora_target_modules" in engine_arguments() and not {"lm_head", "experts"} & modules:
        own["lora_target_modules"] = sorted(modules)
    return own


def sampling_params(request: Request, sampling: Sampling, **more: Any) -> Any:
    """The `vllm.SamplingParams` of a request; ``more`` are further arguments of theirs."""
    from vllm import SamplingParams

    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seed=None if sampling.temperature == 0 else request_seed(sampling.seed, request.key),
        stop=list(sampling.stop) or None,
        skip_special_tokens=not sampling.marks,
        **sampling.added,
        **more,
    )


def cache_bytes(config: Mapping[str, Any], longest: int | None, dtype: str, available: int) -> int:
    """Key-value cache in bytes: for a few of the longest sequences and at least 1 GiB, if half the memory allows it.

    A sequence takes layers x 2 x key-value heads x head dimension numbers a token, in whole blocks; one always has
    to fit. ``longest`` None stands for the context length that ``config`` names; ``available`` is in bytes.
    """
    sizes = {**config, **(config.get("text_config") or {})}
    heads = _first(sizes, 1, "num_attention_heads", "n_head", "num_heads", "n_heads")
    hidden = _first(sizes, 0, "hidden_size", "n_embd", "d_model")
    layers = _first(sizes, 0, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    head_size = _first(sizes, hidden // heads, "head_dim")
    length = longest or _first(sizes, 2048, "max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
    stored = str(sizes.get("dtype") or sizes.get("torch_dtype") or "")
    number = 4 if (stored if dtype == "auto" else dtype) == "float32" else 2
    token = layers * 2 * _first(sizes, heads, "num_key_value_heads", "n_head_kv", "num_kv_heads") * head_size * number
    # vLLM keeps a block of its own, and a sequence needs one more when its last block is full.
    sequence = (length // BLOCK + 2) * BLOCK * token
    return max(sequence, min(max(GIB, SEQUENCES * sequence), available // 2))


def _first(sizes: Mapping[str, Any], otherwise: int, *names: str) -> int:
    return next((sizes[name] for name in names if isinstance(sizes.get(name), int) and sizes[name] > 0), otherwise)
