"""Generation by an OpenAI-compatible server: a hosted model, or vLLM, SGLang, llama.cpp … on one's own machine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

from telbench.errors import EngineError, InputError, missing_extra

from ...judges.chat import ChatReply, ChatRequest
from ...judges.server.client import ChatClient
from ...judges.server.settings import VLLM_NEUTRAL, ServerSettings, check_base_url
from .contract import Completion, Continuation, EngineInfo, EngineSettings, EngineSpec, FinishReason, Request, Sampling

FINISH_REASONS: dict[str | None, FinishReason] = {"stop": "stop", "eos_token": "stop", None: "stop", "length": "length"}


# A server that continues texts also gives likelihoods, if it repeats the prompt with the chances of its tokens. Some
# take no 0 for the length of an answer.
ECHO = {"echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0.0}
# The request itself is at fault: asked again, it would be refused again.
REFUSED = frozenset({400, 413, 422})


def open_engine(
    *,
    model: str,
    base_url: str,
    max_in_flight: int = 32,
    deadline: float = 120.0,
    chat_template_kwargs: Mapping[str, Any] = MappingProxyType({}),
    completions: bool = False,
) -> OpenAIEngine:
    """Connect to the server at ``base_url``; ``deadline`` in seconds for one request with its repetitions.

    ``completions``: requests have token ids or texts, which ``/v1/completions`` goes on with. The key comes from
    ``OPENAI_API_KEY``. Raises `InputError` for an address that is none or cannot be reached, and if the package
    ``openai`` is missing.
    """
    package_version = _package_version(model, base_url)
    settings = ServerSettings(base_url.rstrip("/"), model, max_in_flight=max_in_flight, deadline=deadline)
    return OpenAIEngine(ChatClient(settings), package_version, chat_template_kwargs, completions=completions)


def _package_version(model: str, base_url: str) -> str:
    check_base_url(base_url)
    if not model:
        raise InputError("--engine openai needs --model NAME: the name under which the server offers the model")
    try:
        return version("openai")
    except PackageNotFoundError:
        raise missing_extra("openai", "judge", "generation by an OpenAI-compatible server") from None


class OpenAIEngine:
    """Completions of ``Request.messages`` by chat, where the server applies its chat template, or of texts.

    ``notes`` are lines for the user about what was asked.
    """

    def __init__(
        self,
        client: ChatClient,
        package_version: str,
        template_kwargs: Mapping[str, Any] = MappingProxyType({}),
        *,
        completions: bool = False,
    ) -> None:
        served = client.served_model()
        self.notes: list[str] = []
        self._client = client
        self._completions = completions
        self._template_kwargs = template_kwargs
        self._neutral = VLLM_NEUTRAL if served is not None and served.owned_by == "vllm" else {}
        self.info = EngineInfo(
            name="openai",
            version=package_version,
            settings={
                "base_url": client.settings.base_url,
                "model": client.settings.model,
                "server_model": None if served is None else served.root or served.id,
                "neutral_sampling": dict(self._neutral),
                **({"endpoint": "completions"} if completions else {}),
            },
        )

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield one completion a request as each finishes; greedy requests that are the same are asked once.

        Raises `InputError` where no request can succeed and `EngineError` where the server stops working.
        """
        groups: dict[object, list[Request]] = {}
        for index, request in enumerate(requests):
            conversation: object = tuple(tuple(sorted(message.items())) for message in request.messages)
            if self._completions:
                conversation = tuple(request.token_ids) or request.text
            own = index if sampling.temperature > 0 else None
            groups.setdefault((request.key, conversation, own), []).append(request)
        asked = list(groups.values())
        body = self._body(sampling)
        questions = (self._question(str(number), group[0], body) for number, group in enumerate(asked))
        for reply in self._client.ask(questions):
            for request in asked[int(reply.key)]:
                yield completion_of(request.key, reply)

    def _question(self, key: str, request: Request, body: Mapping[str, Any]) -> ChatRequest:
        if not self._completions:
            return ChatRequest(key, request.messages, body)
        return ChatRequest(key, (), body, request.token_ids or request.text)

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """Log-probabilities of repeated prompts, summed over the continuation's tokens.

        Texts are cut by the server. The answer begins with the token after those of the prompt alone. Where a token
        holds letters of both, or the answer changes the prompt's tokens, there is no value, and a note says how often.

        Raises `NotImplementedError`, with the reason, for a chat and for a server that does not repeat prompts with
        their log-probabilities. Raises `EngineError` where the server fails: nothing is lost, asking again goes on.
        """
        if not self._completions:
            raise NotImplementedError("a chat tells nothing of given text: --no-chat-template or --tokenizer")
        least = min(continuations, key=lambda each: (len(each.token_ids), len("".join(each.texts))))
        if problem := self._refuses(least):
            url = self._client.settings.base_url
            raise NotImplementedError(f"{url} gives no log-probabilities of prompts ({problem})")
        prompts = sorted({each.texts[0] for each in continuations if not each.token_ids})
        before = {prompts[place]: tokens for place, tokens in self._echoed(prompts)}
        joined = 0
        for place, tokens in self._echoed([each.token_ids or "".join(each.texts) for each in continuations]):
            wanted = continuations[place]
            start = wanted.start
            if not wanted.token_ids:
                own = before.get(wanted.texts[0], [])
                start = len(own)
                if not own or [token for token, _ in own] != [token for token, _ in tokens[:start]]:
                    joined += 1
                    continue
            # The first token of all has no probability: nothing stands before it.
            values = [value for _, value in tokens[max(1, start) :]]
            if values and None not in values:
                yield wanted.key, math.fsum(value for value in values if value is not None)
        if joined:
            self.notes.append(
                f"{joined} of {len(continuations)} likelihoods have no value: a token reaches from the prompt into the "
                "answer (--tokenizer FOLDER cuts them apart)"
            )

    def _refuses(self, sample: Continuation) -> str | None:
        """Why the server gives no log-probabilities of a prompt; None where it does."""
        try:
            found = list(self._echoed([sample.token_ids or "".join(sample.texts)]))
        except (InputError, EngineError) as error:
            return str(error)
        return None if found else "it takes no 'echo' with 'logprobs'"

    def _echoed(self, prompts: Sequence[str | Sequence[int]]) -> Iterator[tuple[int, list[tuple[str, float | None]]]]:
        """Place, and tokens with log-probabilities, of each prompt that the server repeats."""
        named = {"return_tokens_as_token_ids": True} if self._neutral else {}
        body = {**ECHO, **self._neutral, **named}
        questions = (ChatRequest(str(place), (), body, prompt) for place, prompt in enumerate(prompts))
        for reply in self._client.ask(questions):
            if reply.error is not None:
                if reply.status in REFUSED:
                    continue
                raise EngineError(f"a likelihood failed: {reply.error}")
            prompt, tokens = prompts[int(reply.key)], _tokens(reply)
            known = len(prompt) if not isinstance(prompt, str) else reply.prompt_tokens
            # The one token that was generated comes last, where the server knows no length of 0.
            if tokens and known and len(tokens) >= known and tokens[0][1] is None:
                yield int(reply.key), tokens[:known]

    def close(self) -> None:
        """Cancel whatever is open."""
        self._client.close()

    def _body(self, sampling: Sampling) -> dict[str, Any]:
        body: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            **self._neutral,
            **sampling.added,
        }
        if self._template_kwargs and not self._completions:
            body["chat_template_kwargs"] = dict(self._template_kwargs)
        if sampling.marks:
            if not self._neutral:
                raise InputError(
                    f"the marks of this model's traces are special tokens ({' '.join(sampling.marks)}), which "
                    f"{self._client.settings.base_url} leaves out of texts: drop --tokenizer, so that its chat keeps "
                    "traces apart"
                )
            body["skip_special_tokens"] = False
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        return body


def _tokens(reply: ChatReply) -> list[tuple[str, float | None]]:
    """The tokens that a reply tells of, each with its log-probability if it has one; none where it tells none."""
    told = reply.logprobs or {}
    tokens, values = told.get("tokens"), told.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        return []
    sound = (
        None if isinstance(value, bool) or not isinstance(value, int | float) else float(value) for value in values
    )
    return list(zip(map(str, tokens), sound, strict=True))


def completion_of(key: str, reply: ChatReply) -> Completion:
    """The reply as a completion; any end but a stop or the length limit is an error with that end as its reason."""
    error = reply.error
    if error is None and reply.finish_reason not in FINISH_REASONS:
        error = f"the server ended the answer with finish_reason '{reply.finish_reason}'"
    return Completion(
        key,
        text="" if error else reply.text,
        finish_reason="error" if error else FINISH_REASONS[reply.finish_reason],
        prompt_tokens=reply.prompt_tokens or 0,
        completion_tokens=reply.completion_tokens or 0,
        error=error,
        reasoning=None if error else reply.reasoning,
    )


def describe(settings: EngineSettings) -> EngineInfo:
    """Server and model by name; no contact yet. The weights behind a name are unknown, so nothing is cached."""
    found = _package_version(settings.model, settings.base_url)
    known = {"base_url": settings.base_url.rstrip("/"), "model": settings.model}
    return EngineInfo("openai", found, settings=known | ({"endpoint": "completions"} if settings.completions else {}))


def _open(settings: EngineSettings) -> OpenAIEngine:
    return open_engine(
        model=settings.model,
        base_url=settings.base_url,
        max_in_flight=settings.max_in_flight,
        deadline=settings.deadline,
        chat_template_kwargs=settings.chat_template_kwargs,
        completions=settings.completions,
    )


ENGINE = EngineSpec("openai", local=False, cacheable=False, describe=describe, open=_open, texts=True)
