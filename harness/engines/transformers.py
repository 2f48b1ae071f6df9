"""Hugging Face generate: batches of like length, each answer handed on when it ends."""

from __future__ import annotations

import gc
import inspect
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from telbench.errors import EngineError, InputError, missing_extra

from ..checkpoint import Checkpoint
from ..tokenizing import read_tokenizer
from .contract import (
    Completion,
    Continuation,
    EngineInfo,
    EngineSettings,
    EngineSpec,
    Request,
    Sampling,
    device_kind,
    dtype_of,
    failed,
    package_version,
)
from .decoding import Decoding
from .guided import Grammars, GuidedCompletion, GuidedRequest
from .loading import (
    SAME_ANSWERS,
    adapted,
    first_line,
    load_model,
    out_of_memory,
    packing,
    placed,
    refilled,
    require_packages,
    user_options,
)
from .options import facts

# Most logits (positions x vocabulary) that one scoring pass may make: 1 GiB of them in float32.
LOGITS = 1 << 28


class TransformersEngine:
    """A causal language model with its tokenizer; ``batch_tokens`` bounds a batch: padded prompts plus answers."""

    def __init__(self, model: Any, tokenizer: Any, info: EngineInfo, batch_tokens: int) -> None:
        from transformers import GenerationConfig

        self._model = model
        self._tokenizer = tokenizer
        self._batch_tokens = batch_tokens
        self._ends = end_tokens(model, tokenizer)
        self._grammars: Grammars | None = None
        self._decoding: Decoding | None = None
        # What the checkpoint recommends (a repetition penalty, beams …) would creep into every call that leaves it
        # open; the run decodes as its settings say, and vLLM's does too.
        model.generation_config = GenerationConfig()
        self.info = info

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield each completion when it ends; longest prompts first, so that memory runs out early or not at all."""
        for guided in self.generate_guided([GuidedRequest(request, sampling) for request in requests]):
            yield guided.completion

    def generate_guided(self, requests: Sequence[GuidedRequest]) -> Iterator[GuidedCompletion]:
        """The same, held to schemas, with the chances of tokens; what differs in more than length is not mixed."""
        groups: dict[Sampling, list[GuidedRequest]] = {}
        for guided in requests:
            reason = self._refusal(guided.request.token_ids) or self._refused_schema(guided.schema)
            if reason:
                yield GuidedCompletion(failed(guided.request, reason))
            else:
                groups.setdefault(replace(guided.sampling, max_tokens=0), []).append(guided)
        for sound in groups.values():
            lengths = [len(guided.request.token_ids) for guided in sound]
            longest = max(guided.sampling.max_tokens for guided in sound)
            for batch in length_batches(lengths, self._batch_tokens, longest):
                yield from self._generate([sound[index] for index in batch])

    def _refused_schema(self, schema: str | None) -> str | None:
        if schema is None:
            return None
        try:
            if self._grammars is None:
                rows = self._model.get_output_embeddings().weight.shape[0]
                self._grammars = Grammars(self._tokenizer, rows, self._ends)
            self._grammars.compile(schema)
        except Exception as error:
            return f"the JSON schema cannot be enforced: {type(error).__name__}: {first_line(error)}"
        return None

    def _refusal(self, ids: Sequence[int]) -> str | None:
        if not ids:
            return "the prompt has no tokens"
        rows = self._model.get_input_embeddings().num_embeddings
        if max(ids) >= rows:
            return f"token {max(ids)} is beyond the model's {rows} embeddings: tokenizer and weights do not match"
        return None

    def _generate(self, batch: list[GuidedRequest]) -> Iterator[GuidedCompletion]:
        """Yield each answer in the step that ends it; what is left when memory runs out is made again in halves."""
        left = dict(enumerate(batch))
        try:
            self._decoding = Decoding(self._model, self._tokenizer, self._ends, self._grammars, batch)
            for row, answer, chances in self._decoding.finished():
                request = left.pop(row).request
                completion = Completion(
                    key=request.key,
                    text=answer.text,
                    finish_reason=answer.finish_reason,
                    token_ids=tuple(answer.tokens),
                    prompt_tokens=len(request.token_ids),
                    completion_tokens=len(answer.tokens),
                )
                yield GuidedCompletion(completion, tuple(chances[: len(answer.tokens)]))
            return
        except ImportError as error:
            raise InputError(f"transformers cannot run this checkpoint here: {first_line(error)}") from error
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise EngineError(f"transformers stopped: {first_line(error)}") from error
        self._decoding = None
        _release_memory()
        rest = list(left.values())
        if len(batch) == 1:
            for guided in rest:
                reason = f"out of memory on one prompt of {len(guided.request.token_ids)} tokens: {self._shorter()}"
                yield GuidedCompletion(failed(guided.request, reason))
            return
        half = (len(rest) + 1) // 2
        for part in (rest[:half], rest[half:]):
            if part:
                yield from self._generate(part)

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """One forward pass a batch; the sum of the continuation tokens' natural log-probabilities."""
        sound = [each for each in continuations if self._refusal(each.token_ids) is None]
        lengths = [len(each.token_ids) for each in sound]
        vocabulary = self._model.get_input_embeddings().num_embeddings
        for batch in length_batches(lengths, min(self._batch_tokens, LOGITS // vocabulary), 0):
            for key, value in self._scores([sound[index] for index in batch]):
                if math.isfinite(value):
                    yield key, value

    def _scores(self, batch: list[Continuation]) -> list[tuple[str, float]]:
        try:
            return self._forward_scores(batch)
        except ImportError as error:
            raise InputError(f"transformers cannot run this checkpoint here: {first_line(error)}") from error
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise EngineError(f"transformers stopped: {first_line(error)}") from error
        _release_memory()
        if len(batch) == 1:
            raise EngineError(
                f"transformers is out of memory on one text of {len(batch[0].token_ids)} tokens to score: "
                f"{self._shorter()}"
            )
        half = len(batch) // 2
        return self._scores(batch[:half]) + self._scores(batch[half:])

    def _shorter(self) -> str:
        """How one text asks for less memory."""
        halved = "pass --dtype bfloat16, or " if self.info.dtype == "float32" else ""
        return f"lower --max-model-len (contexts are cut), or {halved}take --engine vllm"

    def _forward_scores(self, batch: list[Continuation]) -> list[tuple[str, float]]:
        import torch

        lengths = [len(each.token_ids) for each in batch]
        # The first token of all has no probability: nothing stands before it.
        starts = [max(1, each.start) for each in batch]
        ids = torch.zeros((len(batch), max(lengths)), dtype=torch.long)
        mask = torch.zeros((len(batch), max(lengths)), dtype=torch.long)
        for row, each in enumerate(batch):
            ids[row, : lengths[row]] = torch.tensor(list(each.token_ids), dtype=torch.long)
            mask[row, : lengths[row]] = 1
        device = self._model.device
        # Logits are rows x positions x vocabulary: only from the first position that any continuation needs.
        first = min(starts) - 1
        only = {"logits_to_keep": torch.arange(first, max(lengths), device=device)} if self._keeps_logits() else {}
        with torch.inference_mode():
            logits = self._model(ids.to(device), attention_mask=mask.to(device), use_cache=False, **only).logits
        first = first if only else 0
        found = []
        for row, each in enumerate(batch):
            chosen = logits[row, starts[row] - 1 - first : lengths[row] - 1 - first].float()
            targets = torch.tensor(list(each.token_ids[starts[row] :]), dtype=torch.long, device=device)
            scores = torch.log_softmax(chosen, dim=-1).gather(1, targets[:, None])
            found.append((each.key, float(scores.double().sum())))
        return found

    def _keeps_logits(self) -> bool:
        return "logits_to_keep" in inspect.signature(self._model.forward).parameters

    def close(self) -> None:
        """Free the model, and stop what is being generated."""
        if self._decoding is not None:
            self._decoding.stop()
            self._decoding = None
        self.__dict__.pop("_model", None)
        _release_memory()


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokenizer's end token and those of the generation configuration: what vLLM stops at too."""
    found: set[int] = set()
    for source in (model.generation_config, tokenizer):
        ends = getattr(source, "eos_token_id", None)
        found.update(ends if isinstance(ends, list | tuple) else () if ends is None else (int(ends),))
    return frozenset(found)


def _release_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def length_batches(lengths: Sequence[int], batch_tokens: int, answer_tokens: int) -> list[list[int]]:
    """Indices in batches of like length, longest first; rows x (longest + answer) stays within ``batch_tokens``.

    >>> length_batches([5, 50, 6, 49], 120, 10)
    [[1, 3], [2, 0]]
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if batches:
            widest = lengths[batches[-1][0]] + answer_tokens
            if (len(batches[-1]) + 1) * widest <= batch_tokens:
                batches[-1].append(index)
                continue
        batches.append([index])
    return batches


def describe(settings: EngineSettings) -> EngineInfo:
    """Name, version, number format, device and options: what the same answers depend on."""
    found = package_version("transformers")
    if not found or not package_version("torch"):
        raise missing_extra("transformers", "hf", "--engine transformers")
    versions = f"{found}, {package_version('torch')}"
    options = user_options(settings)
    device = device_kind()
    require_packages(settings.checkpoint, options, device)
    free = frozenset[str]() if settings.deterministic else SAME_ANSWERS
    counted = {name: value for name, value in options.items() if name not in free}
    return EngineInfo("transformers", versions, dtype_of(settings), facts(settings, device, counted))


def open_engine(settings: EngineSettings) -> TransformersEngine:
    """Load the checkpoint with transformers onto the GPU where there is one.

    Raises:
        InputError: for an architecture transformers does not know, or weights or a tokenizer it cannot load.
    """
    checkpoint = _checkpoint(settings)
    return _engine(_loaded(settings, checkpoint), settings, checkpoint)


class SharedTransformers:
    """One model: a base with one of its adapters after the other, or checkpoints alike but in their numbers."""

    def __init__(self, every: Sequence[EngineSettings]) -> None:
        self._model: Any = None
        self._generation: Any = None
        self._wrapped: Any = None
        # The folder of the numbers that are loaded.
        self._weights = Path()

    def open(self, settings: EngineSettings) -> TransformersEngine:
        """The engine of one of them; the first loads the model, others put their adapter or their numbers into it."""
        checkpoint = _checkpoint(settings)
        base = replace(checkpoint, adapter=None)
        if self._wrapped is not None:
            self._model, self._wrapped = self._wrapped.unload(), None
        if self._model is not None and self._weights != checkpoint.path:
            self._weights = Path()
            if packing(base, user_options(settings)) or not refilled(self._model, base):
                self.close()
        if self._model is None:
            self._model = _loaded(replace(settings, checkpoint=base), base)
            self._generation = self._model.generation_config
        self._weights = checkpoint.path
        # An engine takes away what the checkpoint recommends, and needs it once to know where answers end.
        self._model.generation_config = self._generation
        if checkpoint.adapter is not None:
            self._wrapped = adapted(self._model, checkpoint.adapter)
            self._model = self._wrapped.get_base_model()
        return _engine(self._model, settings, checkpoint)

    def close(self) -> None:
        """Free the model; opening again loads it anew."""
        self._model = self._wrapped = self._generation = None
        _release_memory()


def _checkpoint(settings: EngineSettings) -> Checkpoint:
    if settings.checkpoint is None:
        raise InputError("--engine transformers needs --model CHECKPOINT")
    return settings.checkpoint


def _loaded(settings: EngineSettings, checkpoint: Checkpoint) -> Any:
    """The checkpoint's model where it computes."""
    info, options = describe(settings), user_options(settings)
    options.pop("batch_tokens", None)
    packed = packing(checkpoint, options)
    if packed and info.settings["device"] == "cuda":
        # Packed numbers are made for the device that they are loaded onto.
        options.setdefault("device_map", {"": 0})
    model = load_model(checkpoint, info.dtype, options)
    if not packed and "device_map" not in options:
        model = placed(model, info.settings["device"], checkpoint)
    return model


def _engine(model: Any, settings: EngineSettings, checkpoint: Checkpoint) -> TransformersEngine:
    """The engine of a loaded model."""
    info = describe(settings)
    batch_tokens = user_options(settings).get("batch_tokens", settings.batch_tokens)
    if settings.deterministic:
        # Fewer than any prompt has: each is a batch of its own.
        batch_tokens = 1
    tokenizer = read_tokenizer(checkpoint)
    actual = str(model.dtype).removeprefix("torch.")
    recorded = facts(settings, info.settings["device"], user_options(settings))
    described = EngineInfo("transformers", info.version, actual, recorded)
    return TransformersEngine(model.eval(), tokenizer, described, batch_tokens)


def keeps(architecture: str) -> str:
    """Nothing: numbers are copied tensor by tensor, by the names that the model's own have."""
    return ""


ENGINE = EngineSpec(
    "transformers",
    local=True,
    cacheable=True,
    describe=describe,
    open=open_engine,
    adapters=True,
    options=True,
    share=SharedTransformers,
    keeps=keeps,
)
