"""One batch decoded by Hugging Face generate in a thread: each answer is handed on in the step that ends it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any

from .contract import Request, Sampling, request_seed
from .guided import Chances, Grammars, GuidedRequest, Mask, TokenChances
from .narrowing import RepetitionPenalty, likeliest
from .stopping import GrowingAnswer, hidden_tokens


class Decoding:
    """A batch at work; `finished` yields the row, the answer and the chances of each request as it ends."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        ends: frozenset[int],
        grammars: Grammars | None,
        batch: Sequence[GuidedRequest],
    ) -> None:
        self._model, self._grammars, self._batch = model, grammars, batch
        self._caller = _ThreadState(model.device.type)
        self._sampling = batch[0].sampling
        hidden = hidden_tokens(tokenizer, self._sampling.marks)
        self._answers = [
            GrowingAnswer(tokenizer, guided.request.token_ids, ends, self._sampling.stop, hidden) for guided in batch
        ]
        self._chances = Chances([guided.alternatives for guided in batch])
        self._found: SimpleQueue[int | BaseException | None] = SimpleQueue()
        self._push = _Push(self._answers, [guided.sampling.max_tokens for guided in batch], self._found.put)
        self._thread = Thread(target=self._work, name="generate", daemon=True)

    def finished(self) -> Iterator[tuple[int, GrowingAnswer, list[TokenChances]]]:
        """Begin, and yield what ends; what generate raises is raised here."""
        self._thread.start()
        try:
            while (found := self._found.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found, self._answers[found], self._chances.rows[found]
        finally:
            self.stop()

    def stop(self) -> None:
        """End with the step that is being made."""
        self._push.stopped = True
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        try:
            self._generate()
            self._found.put(None)
        except BaseException as error:
            self._found.put(error)

    def _generate(self) -> None:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        batch, sampling = self._batch, self._sampling
        ids, mask = _padded([guided.request.token_ids for guided in batch])
        processors: list[Any] = []
        criteria: list[Any] = []
        if sampling.repetition_penalty != 1.0:
            processors.append(RepetitionPenalty([len(guided.request.token_ids) for guided in batch], sampling))
        if (grammars := self._grammars) is not None and any(guided.schema for guided in batch):
            processors.append(Mask([grammars.matcher(each.schema) if each.schema else None for each in batch]))
        if any(guided.alternatives for guided in batch):
            processors.append(self._chances)
            criteria.append(self._chances.drawn)
        if sampling.temperature > 0:
            processors.append(_Draw([guided.request for guided in batch], sampling))
        # Last: what it reports as finished has the chances of its last token by then.
        criteria.append(self._push)
        longest = max(guided.sampling.max_tokens for guided in batch)
        device = self._model.device
        with self._caller.taken_over(), torch.inference_mode():
            self._model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                generation_config=GenerationConfig(max_new_tokens=longest, do_sample=False, pad_token_id=0),
                logits_processor=LogitsProcessorList(processors),
                stopping_criteria=StoppingCriteriaList(criteria),
            )


class _ThreadState:
    """What torch keeps for each thread: which GPU is meant, and whether to compute in another number format."""

    def __init__(self, kind: str) -> None:
        import torch

        self._kind = kind
        self._gpu = torch.cuda.current_device() if kind == "cuda" else None
        self._autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None

    @contextlib.contextmanager
    def taken_over(self) -> Iterator[None]:
        """Make it that of this thread."""
        import torch

        if self._gpu is not None:
            torch.cuda.set_device(self._gpu)
        with torch.autocast(self._kind, self._autocast, enabled=self._autocast is not None):
            yield


def _padded(prompts: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """Token ids and attention mask, padded on the left."""
    import torch

    width = max(map(len, prompts))
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(list(prompt), dtype=torch.long)
        mask[row, width - len(prompt) :] = 1
    return ids, mask


class _Push:
    """Stopping criterion: hands each new token to its answer, and reports the row whose answer has ended or is full."""

    def __init__(
        self, answers: Sequence[GrowingAnswer], limits: Sequence[int], report: Callable[[int], object]
    ) -> None:
        self.stopped = False
        self._rows = list(zip(answers, limits, strict=True))
        self._report = report
        self._done = [False] * len(answers)

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        import torch

        for row, token in enumerate(input_ids[:, -1].tolist()):
            if self._done[row]:
                continue
            answer, limit = self._rows[row]
            answer.push(token)
            if answer.ended or len(answer.tokens) >= limit:
                self._done[row] = True
                self._report(row)
        return torch.tensor([done or self.stopped for done in self._done], device=input_ids.device)


class _Draw:
    """Logits processor: draws each row's token with a generator of its own, and leaves only that token.

    So that what a prompt is answered depends on its seed, not on the batch it is in.
    """

    def __init__(self, batch: Sequence[Request], sampling: Sampling) -> None:
        self._draws = [random.Random(request_seed(sampling.seed, request.key)) for request in batch]
        self._temperature, self._top_p, self._sampling = sampling.temperature, sampling.top_p, sampling

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        probabilities = torch.softmax(scores.double() / self._temperature, dim=-1)
        ordered, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
        ordered = likeliest(ordered, self._sampling)
        total = ordered.cumsum(dim=-1)
        # Nucleus: the fewest tokens that hold top_p of the probability.
        nucleus = torch.where(total - ordered < self._top_p, ordered, 0.0).cumsum(dim=-1)
        level = torch.tensor([[draw.random()] for draw in self._draws], dtype=nucleus.dtype, device=nucleus.device)
        place = torch.searchsorted(nucleus, level * nucleus[:, -1:], right=True).clamp(max=nucleus.shape[-1] - 1)
        return torch.full_like(scores, float("-inf")).scatter(1, tokens.gather(1, place), 0.0)
