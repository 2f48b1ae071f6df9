"""Decoding held to a JSON schema, with the chances of each token: what a local judge asks of an engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .contract import Completion, Continuation, EngineInfo, Request, Sampling

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


class Grammars:
    """JSON schemas compiled for one vocabulary, each once."""

    def __init__(self, tokenizer: Any, vocabulary: int, ends: Iterable[int]) -> None:
        import xgrammar

        self._ends = sorted(ends)
        vocabulary_of = xgrammar.TokenizerInfo.from_huggingface
        self._compiler = xgrammar.GrammarCompiler(vocabulary_of(tokenizer, vocab_size=vocabulary))
        self._compiled: dict[str, Any] = {}

    def compile(self, schema: str) -> Any:
        """The grammar of a schema; raises what xgrammar raises for one that it cannot hold to."""
        if schema not in self._compiled:
            self._compiled[schema] = self._compiler.compile_json_schema(
                schema, any_whitespace=False, separators=COMPACT
            )
        return self._compiled[schema]

    def matcher(self, schema: str) -> Any:
        """What follows one text along the schema's grammar."""
        import xgrammar

        return xgrammar.GrammarMatcher(self.compile(schema), override_stop_tokens=self._ends or None)


class Mask:
    """Logits processor: leaves each row the tokens that its schema allows; rows without a matcher keep all."""

    def __init__(self, matchers: Sequence[Any | None]) -> None:
        self._matchers = list(matchers)
        self._begun = False

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Follow the tokens that were drawn, and forbid what cannot come next."""
        import xgrammar

        mask = xgrammar.allocate_token_bitmask(scores.shape[0], scores.shape[-1])
        for row, (matcher, token) in enumerate(zip(self._matchers, input_ids[:, -1].tolist(), strict=True)):
            # A row that ended at its limit is padded with whatever token; it is read no further.
            if matcher is None or (self._begun and not (matcher.accept_token(token) and not matcher.is_terminated())):
                self._matchers[row] = None
                continue
            matcher.fill_next_token_bitmask(mask, row)
        self._begun = True
        xgrammar.apply_token_bitmask_inplace(scores, mask.to(scores.device))
        return scores


class Chances:
    """Logits processor and stopping criterion: takes down, row by row, each token's chances; stops nothing."""

    def __init__(self, alternatives: Sequence[int]) -> None:
        self.rows: list[list[TokenChances]] = [[] for _ in alternatives]
        self._alternatives = alternatives
        self._scores: Any = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Keep the step's log-probabilities until its tokens are drawn."""
        self._scores = scores.float().log_softmax(dim=-1)
        return scores

    def drawn(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Take down the chances of the tokens that were drawn."""
        import torch

        tokens = input_ids[:, -1]
        own = self._scores.gather(1, tokens[:, None])[:, 0].tolist()
        best, places = self._scores.topk(min(max(self._alternatives), self._scores.shape[-1]), dim=-1)
        best, places = best.tolist(), places.tolist()
        for row, (count, token) in enumerate(zip(self._alternatives, tokens.tolist(), strict=True)):
            if count:
                likely = tuple(zip(places[row][:count], best[row][:count], strict=True))
                self.rows[row].append(TokenChances(token, own[row], likely))
        return torch.zeros(len(own), dtype=torch.bool, device=input_ids.device)
