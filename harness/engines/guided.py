"""Decoding held to a JSON schema, with the chances of each token: what a local judge asks of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from .base import Completion, Continuation, EngineInfo, Request, Sampling

# One library for both engines: vLLM applies its masks with xgrammar whatever makes them, and it holds texts to every
# keyword of the verdicts' schemas (lengths of texts and lists, enumerations, bounds of integers, order of properties).
GRAMMARS = "xgrammar"
# Between its tokens JSON may hold white space without end, and a small model writes it until its tokens run out.
COMPACT = (",", ":")


@dataclass(frozen=True, slots=True)
class GuidedRequest:
    """A prompt with a sampling of its own.

    The text has to match the JSON schema ``schema`` (a JSON text: the order of properties counts), if there is one; at
    each token so many most likely ``alternatives`` are reported.
    """

    request: Request
    sampling: Sampling
    schema: str | None = None
    alternatives: int = 0


@dataclass(frozen=True, slots=True)
class TokenChances:
    """A token with its natural log-probability, and the most likely tokens at its place with theirs.

    Probabilities are those among the tokens that the schema allows at this place.
    """

    token: int
    log_probability: float
    alternatives: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class GuidedCompletion:
    """A completion, and the chances of its tokens where they were asked for."""

    completion: Completion
    chances: tuple[TokenChances, ...] = ()


@runtime_checkable
class GuidedEngine(Protocol):
    """An engine that a judge can run on."""

    info: EngineInfo

    def generate_guided(self, requests: Sequence[GuidedRequest]) -> Iterator[GuidedCompletion]:
        """Like `Engine.generate`, each request with its own sampling, schema and alternatives."""
        ...

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """Like `Engine.log_likelihoods`."""
        ...

    def close(self) -> None:
        """Free memory, processes and connections."""
        ...
