"""Hugging Face generate: batches of like length, padded on the left."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from typing import Any

from ...judges.errors import EngineError, InputError, missing_extra
from .base import Completion, Continuation, EngineInfo, FinishReason, Request, Sampling
from .spec import EngineSettings, EngineSpec, device_kind, package_version


class TransformersEngine:
    """A causal language model with its tokenizer; ``batch_tokens`` bounds a batch: padded prompts plus answers."""

    def __init__(self, model: Any, tokenizer: Any, info: EngineInfo, batch_tokens: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._batch_tokens = batch_tokens
        self.info = info

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield completions batch by batch, longest prompts first, so that memory runs out early or not at all."""
        import torch

        lengths = [len(request.token_ids) for request in requests]
        if sampling.temperature > 0:
            torch.manual_seed(sampling.seed)
        for batch in length_batches(lengths, self._batch_tokens, sampling.max_tokens):
            yield from self._generate([requests[index] for index in batch], sampling)

    def _generate(self, batch: list[Request], sampling: Sampling) -> Iterator[Completion]:
        import torch

        pad = self._pad_id()
        width = max(len(request.token_ids) for request in batch)
        ids = torch.full((len(batch), width), pad, dtype=torch.long)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, request in enumerate(batch):
            ids[row, width - len(request.token_ids) :] = torch.tensor(list(request.token_ids), dtype=torch.long)
            mask[row, width - len(request.token_ids) :] = 1
        device = self._model.device
        try:
            with torch.inference_mode():
                output = self._model.generate(
                    input_ids=ids.to(device),
                    attention_mask=mask.to(device),
                    generation_config=self._generation_config(sampling, pad),
                    tokenizer=self._tokenizer,
                )
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise EngineError(
                    f"out of memory on one prompt of {width} tokens: use a smaller model or dtype"
                ) from error
            torch.cuda.empty_cache()
            output = None
        except RuntimeError as error:
            raise EngineError(f"transformers stopped: {error}") from error
        if output is None:
            half = len(batch) // 2
            yield from self._generate(batch[:half], sampling)
            yield from self._generate(batch[half:], sampling)
            return
        for request, row in zip(batch, output[:, width:].tolist(), strict=True):
            yield self._completion(request, row, sampling)

    def _completion(self, request: Request, row: list[int], sampling: Sampling) -> Completion:
        ends = self._end_ids()
        stop_at = next((index for index, token in enumerate(row) if token in ends), None)
        tokens = row if stop_at is None else row[: stop_at + 1]
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        cuts = [text.index(stop) for stop in sampling.stop if stop in text]
        reason: FinishReason = "stop" if stop_at is not None or cuts else "length"
        if cuts and stop_at is None:
            # The rest of the row is padding that other rows of the batch needed.
            pad = self._pad_id()
            while tokens and tokens[-1] == pad:
                tokens = tokens[:-1]
        return Completion(
            key=request.key,
            text=text[: min(cuts)] if cuts else text,
            finish_reason=reason,
            token_ids=tuple(tokens),
            prompt_tokens=len(request.token_ids),
            completion_tokens=len(tokens),
        )

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """One forward pass a batch; the sum of the continuation tokens' natural log-probabilities."""
        import torch

        lengths = [len(each.token_ids) for each in continuations]
        for batch in length_batches(lengths, self._batch_tokens, 0):
            width = max(lengths[index] for index in batch)
            ids = torch.full((len(batch), width), self._pad_id(), dtype=torch.long)
            mask = torch.zeros((len(batch), width), dtype=torch.long)
            for row, index in enumerate(batch):
                ids[row, : lengths[index]] = torch.tensor(list(continuations[index].token_ids), dtype=torch.long)
                mask[row, : lengths[index]] = 1
            with torch.inference_mode():
                logits = self._model(ids.to(self._model.device), attention_mask=mask.to(self._model.device)).logits
            for row, index in enumerate(batch):
                each = continuations[index]
                scores = torch.log_softmax(logits[row, each.start - 1 : lengths[index] - 1].float(), dim=-1)
                targets = torch.tensor(list(each.token_ids[each.start :]), device=scores.device)
                yield each.key, float(scores.gather(1, targets[:, None]).double().sum())

    def _generation_config(self, sampling: Sampling, pad: int) -> Any:
        from transformers import GenerationConfig

        options: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            options = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        return GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            pad_token_id=pad,
            eos_token_id=sorted(self._end_ids()) or None,
            stop_strings=list(sampling.stop) or None,
            **options,
        )

    def _pad_id(self) -> int:
        tokenizer = self._tokenizer
        candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id, 0)
        return next(int(token) for token in candidates if token is not None)

    def _end_ids(self) -> set[int]:
        """End tokens of generation_config.json, else of the model configuration, else of the tokenizer."""
        for source in (self._model.generation_config, self._model.config, self._tokenizer):
            found = getattr(source, "eos_token_id", None)
            if found is not None:
                return set(found) if isinstance(found, list | tuple) else {int(found)}
        return set()

    def close(self) -> None:
        """Free the model."""
        import torch

        del self._model
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
    """Name, version, number format and device: what the same answers depend on."""
    found = package_version("transformers")
    if not found or not package_version("torch"):
        raise missing_extra("transformers", "hf", "--engine transformers")
    return EngineInfo("transformers", f"{found}, {package_version('torch')}", settings.dtype, {"device": device_kind()})


def open_engine(settings: EngineSettings) -> TransformersEngine:
    """Load the checkpoint with transformers onto the GPU where there is one.

    Raises:
        InputError: for an architecture transformers does not know, or weights it cannot load.
    """
    checkpoint = settings.checkpoint
    if checkpoint is None:
        raise InputError("--engine transformers needs --model CHECKPOINT")
    info = describe(settings)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"trust_remote_code": checkpoint.trust_remote_code, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.path, **options)
        dtype = "auto" if settings.dtype == "auto" else getattr(torch, settings.dtype)
        model = AutoModelForCausalLM.from_pretrained(checkpoint.path, dtype=dtype, use_safetensors=True, **options)
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no message"])[0]
        raise InputError(
            f"transformers cannot load {checkpoint.path}: {type(error).__name__}: {first[:300]}"
        ) from error
    model = model.to(info.settings["device"]).eval()
    actual = str(model.dtype).removeprefix("torch.")
    return TransformersEngine(
        model, tokenizer, EngineInfo("transformers", info.version, actual, info.settings), settings.batch_tokens
    )


ENGINE = EngineSpec("transformers", local=True, cacheable=True, describe=describe, open=open_engine)
