"""Generation by an OpenAI-compatible server: a hosted model, or vLLM, SGLang, llama.cpp … on one's own machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

from telbench.errors import InputError, missing_extra

from ...judges.chat import ChatReply, ChatRequest
from ...judges.server.client import ChatClient
from ...judges.server.settings import VLLM_NEUTRAL, ServerSettings, check_base_url
from .contract import Completion, Continuation, EngineInfo, EngineSettings, EngineSpec, FinishReason, Request, Sampling

FINISH_REASONS: dict[str | None, FinishReason] = {"stop": "stop", "eos_token": "stop", None: "stop", "length": "length"}


def open_engine(
    *,
    model: str,
    base_url: str,
    max_in_flight: int = 32,
    deadline: float = 120.0,
    chat_template_kwargs: Mapping[str, Any] = MappingProxyType({}),
) -> OpenAIEngine:
    """Connect to the server at ``base_url``; ``deadline`` in seconds for one request with its repetitions.

    The key comes from ``OPENAI_API_KEY``. Raises `InputError` for an address that is none or cannot be reached, and
    if the package ``openai`` is missing.
    """
    package_version = _package_version(model, base_url)
    settings = ServerSettings(base_url.rstrip("/"), model, max_in_flight=max_in_flight, deadline=deadline)
    return OpenAIEngine(ChatClient(settings), package_version, chat_template_kwargs)


def _package_version(model: str, base_url: str) -> str:
    check_base_url(base_url)
    if not model:
        raise InputError("--engine openai needs --model NAME: the name under which the server offers the model")
    try:
        return version("openai")
    except PackageNotFoundError:
        raise missing_extra("openai", "judge", "generation by an OpenAI-compatible server") from None


class OpenAIEngine:
    """Completions of ``Request.messages`` by chat; the server applies the chat template."""

    def __init__(
        self, client: ChatClient, package_version: str, template_kwargs: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        served = client.served_model()
        self._client = client
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
            },
        )

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield one completion a request as each finishes; greedy requests that are the same are asked once.

        Raises `InputError` where no request can succeed and `EngineError` where the server stops working.
        """
        groups: dict[object, list[Request]] = {}
        for index, request in enumerate(requests):
            conversation = tuple(tuple(sorted(message.items())) for message in request.messages)
            own = index if sampling.temperature > 0 else None
            groups.setdefault((request.key, conversation, own), []).append(request)
        asked = list(groups.values())
        body = self._body(sampling)
        questions = (ChatRequest(str(number), group[0].messages, body) for number, group in enumerate(asked))
        for reply in self._client.ask(questions):
            for request in asked[int(reply.key)]:
                yield completion_of(request.key, reply)

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """Chat servers do not score given text."""
        raise NotImplementedError("an OpenAI-compatible chat server gives no log-likelihood of given text")

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
        if self._template_kwargs:
            body["chat_template_kwargs"] = dict(self._template_kwargs)
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        return body


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
    return EngineInfo("openai", found, settings={"base_url": settings.base_url.rstrip("/"), "model": settings.model})


def _open(settings: EngineSettings) -> OpenAIEngine:
    return open_engine(
        model=settings.model,
        base_url=settings.base_url,
        max_in_flight=settings.max_in_flight,
        deadline=settings.deadline,
        chat_template_kwargs=settings.chat_template_kwargs,
    )


ENGINE = EngineSpec("openai", local=False, cacheable=False, describe=describe, open=_open)
