"""The records of one completion, of a chat or of a text, and reading a server's answer into them, strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .strict_json import read_strict_json


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One conversation to be continued, or one text: a ``prompt``, whole or in token ids, without messages.

    ``body`` holds every further field of the request as the API names it (``temperature``, ``max_tokens``,
    ``response_format``, ``logprobs`` …).
    """

    key: str
    messages: Sequence[Mapping[str, str]]
    body: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | Sequence[int] | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """What is to be continued, as the API names it."""
        if self.prompt is None:
            return {"messages": [dict(message) for message in self.messages]}
        return {"prompt": self.prompt if isinstance(self.prompt, str) else list(self.prompt)}


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came of a request: an answer, or ``error``, one line that says why there is none.

    ``finish_reason``, ``logprobs`` and ``model`` are as the server gives them; token counts are None where it gives
    none. ``status`` is the HTTP status behind an error; ``timed_out`` tells that the error is a deadline that passed.
    ``reasoning`` is the trace of a model that thinks, where the server keeps it apart from the text. ``refusal`` is
    what a server says in the place of a text. ``finish_reason`` is "tool_calls" where tools are all that was answered.
    ``system_fingerprint`` is what a host calls the state of its model. ``batch``: it came at the price of a batch.
    ``prompt_logprobs`` are vLLM's, one entry a token of the prompt.
    """

    key: str
    text: str = ""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    logprobs: Mapping[str, Any] | None = None
    model: str | None = None
    error: str | None = None
    status: int | None = None
    timed_out: bool = False
    reasoning: str | None = None
    refusal: str | None = None
    system_fingerprint: str | None = None
    batch: bool = False
    prompt_logprobs: Sequence[Any] | None = None


class MalformedAnswerError(Exception):
    """A body that is not a chat completion; the message says what is wrong with it."""


def read_reply(key: str, body: bytes, *, text: bool = False) -> ChatReply:
    """The first choice of a completion's JSON body, of a chat or of a ``text``; raises `MalformedAnswerError`.

    Absent content is the empty text; content given in parts is joined.
    """
    answer = read_object(body)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise MalformedAnswerError(_server_error(answer) or "the answer has no choices")
    choice = choices[0]
    message = {"content": choice["text"]} if text and "text" in choice else choice.get("message")
    if not isinstance(message, dict):
        raise MalformedAnswerError("the answer's choice has no message")
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    reason, logprobs, model = choice.get("finish_reason"), choice.get("logprobs"), answer.get("model")
    content, refusal = _content(message.get("content")), message.get("refusal")
    if not content and (message.get("tool_calls") or message.get("function_call")):
        reason = "tool_calls"
    return ChatReply(
        key,
        text=content,
        finish_reason=reason if isinstance(reason, str) else None,
        prompt_tokens=_token_count(usage.get("prompt_tokens")),
        completion_tokens=_token_count(usage.get("completion_tokens")),
        logprobs=logprobs if isinstance(logprobs, dict) else None,
        model=model if isinstance(model, str) else None,
        reasoning=_reasoning(message),
        refusal=writable(refusal) if isinstance(refusal, str) and refusal else None,
        system_fingerprint=state if isinstance(state := answer.get("system_fingerprint"), str) else None,
        prompt_logprobs=told if isinstance(told := choice.get("prompt_logprobs"), list) else None,
    )


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object, NaN and infinities refused; raises `MalformedAnswerError`."""
    try:
        value = read_strict_json(body)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"the answer is not valid JSON ({error or type(error).__name__})") from None
    if not isinstance(value, dict):
        raise MalformedAnswerError("the answer is not a JSON object")
    return value


def _server_error(answer: Mapping[str, Any]) -> str | None:
    # Routers report a failed upstream with status 200 and an error object.
    error = answer.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return f"the answer is an error: {message}" if isinstance(message, str) and message else None


def _reasoning(message: Mapping[str, Any]) -> str | None:
    """The trace: ``reasoning_content`` of DeepSeek, vLLM and SGLang, ``reasoning`` of OpenRouter and newer vLLM."""
    for name in ("reasoning_content", "reasoning"):
        trace = message.get(name)
        if isinstance(trace, str) and trace:
            return writable(trace)
    return None


def _content(content: object) -> str:
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if isinstance(part, dict) and _is_text(part.get("text")))
    if content is None:
        return ""
    if not isinstance(content, str):
        raise MalformedAnswerError("the answer's content is not text")
    return writable(content)


def writable(text: str) -> str:
    """The text with lone surrogates replaced: legal in JSON when escaped, they can be sent and written nowhere."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _token_count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
