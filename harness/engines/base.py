"""The engine contract: requests go in as one list, completions come out as they finish."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Message = Mapping[str, str]
FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to decode; temperature 0 is greedy."""

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt. Local engines read ``token_ids`` (final: special tokens included), servers read ``messages``.

    ``key`` identifies the request within a run; ``item_id`` is for engines that answer from a file.
    """

    key: str
    item_id: str
    messages: tuple[Message, ...]
    token_ids: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine answered to one request; ``error`` is one line when ``finish_reason`` is ``error``."""

    key: str
    text: str
    finish_reason: FinishReason = "stop"
    token_ids: tuple[int, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str | None = None


def failed(request: Request, reason: str) -> Completion:
    """The completion of a request that failed alone."""
    return Completion(request.key, "", "error", prompt_tokens=len(request.token_ids), error=reason)


def request_seed(seed: int, key: str) -> int:
    """A seed of its own for each prompt, so that a resumed run samples what an uninterrupted one would."""
    return zlib.crc32(f"{seed}:{key}".encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Continuation:
    """Text to be scored: the log-likelihood of ``token_ids[start:]`` given ``token_ids[:start]`` is wanted."""

    key: str
    token_ids: Sequence[int]
    start: int


@dataclass(frozen=True)
class EngineInfo:
    """What belongs to the identity of a generation: engine, version, number format, further settings."""

    name: str
    version: str
    dtype: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """Something that generates. Made by its module's ``open_engine``; used in a ``with contextlib.closing(engine)``."""

    info: EngineInfo

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield one completion a request, in any order, as each finishes.

        A request that fails alone is a completion with ``finish_reason="error"``; an engine that dies raises
        `EngineError`.
        """
        ...

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """Yield (key, summed natural log-probability) of each continuation that has a finite one.

        Raises `NotImplementedError` where the engine cannot.
        """
        ...

    def close(self) -> None:
        """Free memory, processes and connections."""
        ...
