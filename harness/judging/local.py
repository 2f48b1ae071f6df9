"""A checkpoint folder as a judge: in process, greedy, its replies held to the JSON schema of the verdict."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import weakref
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from telbench.errors import EngineError, InputError

from ...judges.chat import ChatReply, ChatRequest
from ...judges.contract import JudgeIdentity
from ...judges.likelihood import LikelihoodRequest
from ...judges.spec import JudgeKind, JudgeOptions, JudgeSpec
from ...metrics.fingerprints import fingerprint
from ..checkpoint import Checkpoint, open_checkpoint
from ..engines.contract import (
    Continuation,
    EngineInfo,
    EngineSettings,
    EngineSpec,
    Request,
    Sampling,
    engine_named,
    package_version,
)
from ..engines.guided import GRAMMARS, GuidedCompletion, GuidedEngine, GuidedRequest
from ..identity import ModelIdentity, identify_checkpoint
from ..prompts.build import PromptSettings, encoder_for
from ..prompts.encoder import Encoder, try_template
from ..tokenizing import read_tokenizer, require_own_tokens

FORM = "local:CHECKPOINT"
ENGINES = ("vllm", "transformers")
# Tokens of prompt and reply together: more than rubric, context and verdict take, and a cache of bearable size.
LONGEST_WINDOW = 16384
# A reply shorter than this holds no verdict with a reason: a prompt that leaves less room is not asked at all.
LEAST_ROOM = 64
# Requests are read so many at a time: enough to keep an engine busy, few enough to hold.
READ_AHEAD = 2000
# Raise when the same request would be put to the model, or its reply read, in another way.
VERSION = 2

# Two checkpoints may not fit into memory together: loading one judge frees whichever other was loaded.
_loaded: weakref.WeakSet[LocalJudge] = weakref.WeakSet()
# Engines that were put away by judges of these identities, while `kept_loaded` keeps them; None where it does not.
_kept: dict[str, GuidedEngine] | None = None


@contextlib.contextmanager
def kept_loaded() -> Iterator[None]:
    """Meanwhile a judge that is closed leaves its weights in memory for the next judge of the same identity."""
    global _kept
    before, _kept = _kept, {}
    try:
        yield
    finally:
        kept, _kept = _kept, before
        for engine in kept.values():
            engine.close()


class LocalJudge:
    """A judge of the checkpoint's own identity; its weights are loaded when it is first asked. See `local_judge`."""

    def __init__(
        self,
        place: str,
        checkpoint: Checkpoint,
        model: ModelIdentity,
        spec: EngineSpec,
        settings: EngineSettings,
        encoder: Encoder,
    ) -> None:
        self._place, self._checkpoint, self._spec, self._settings = place, checkpoint, spec, settings
        self._encoder = encoder
        self._window = settings.max_model_len or LONGEST_WINDOW
        self._engine: GuidedEngine | None = None
        self._texts: dict[int, str] = {}
        self.identity = _local_identity(checkpoint, model, spec.describe(settings), self._window)

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply]:
        """Yield one reply a request as each finishes; 2,000 at a time are read and put to the engine as one batch.

        A prompt that leaves fewer than 64 tokens of the window (and fewer than it asks for) is answered with an error;
        where less is left than ``max_tokens``, the reply may take what is left.

        Raises:
            InputError: where the engine cannot load the checkpoint. EngineError: where it died; what had finished has
            been yielded, and the next call loads it anew.
        """
        for batch in _batches(requests):
            ready: list[GuidedRequest] = []
            for request in batch:
                guided = self._guided(request)
                if isinstance(guided, str):
                    yield ChatReply(request.key, error=guided, model=self.identity.name)
                else:
                    ready.append(guided)
            if not ready:
                continue
            with self._working() as engine, contextlib.closing(_closable(engine.generate_guided(ready))) as finished:
                for guided in finished:
                    yield self._reply(guided)

    def log_likelihoods(self, requests: Iterable[LikelihoodRequest]) -> Iterator[tuple[str, float, int]]:
        """Yield (key, summed natural log-probability, tokens) of each continuation that can be scored, in any order.

        The continuation is tokenised apart from the conversation and stands where the judge's reply would; no
        end-of-sequence token is counted. One without a token, or too long for the window, is left out. Raises like
        `ask`.
        """
        for batch in _batches(requests):
            ready: list[Continuation] = []
            tokens: list[tuple[str, int]] = []
            for request in batch:
                prompt = self._encoder.conversation(request.messages)
                answer = self._encoder.answer_ids(request.continuation)
                # vLLM scores a prompt only where one more token would fit behind it.
                if prompt and answer and len(prompt) + len(answer) < self._window:
                    require_own_tokens(self._checkpoint, max(*prompt, *answer))
                    ready.append(Continuation(str(len(ready)), array("I", prompt + answer), len(prompt)))
                    tokens.append((request.key, len(answer)))
            if not ready:
                continue
            with self._working() as engine, contextlib.closing(_closable(engine.log_likelihoods(ready))) as scored:
                for index, total in scored:
                    key, count = tokens[int(index)]
                    yield key, total, count

    def close(self) -> None:
        """Free the weights; the judge can be asked again, and then loads them anew."""
        engine, self._engine = self._engine, None
        _loaded.discard(self)
        if engine is not None and _kept is not None:
            _kept[self.identity.fingerprint] = engine
        elif engine is not None:
            engine.close()

    @contextlib.contextmanager
    def _working(self) -> Iterator[GuidedEngine]:
        """The loaded engine; one that dies is put away, and says how to go on."""
        try:
            yield self._open()
        except EngineError as error:
            # A dead engine may not even close; what killed it is what the user has to know.
            dead, self._engine = self._engine, None
            with contextlib.suppress(Exception):
                self.close()
                if dead is not None:
                    dead.close()
            raise EngineError(
                f"{self._place}: {error}; finished verdicts are kept: run the same command again to go on"
            ) from error

    def _open(self) -> GuidedEngine:
        if self._engine is None:
            for other in list(_loaded):
                other.close()
            engine = _taken(self.identity.fingerprint)
            with _named(self._place):
                engine = engine or self._spec.open(self._settings)
            if not isinstance(engine, GuidedEngine):
                raise InputError(f"{self._place}: the engine {self._spec.name} does not decode by a schema")
            self._engine = engine
            _loaded.add(self)
        return self._engine

    def _guided(self, request: ChatRequest) -> GuidedRequest | str:
        """What the engine is asked, or why it is not."""
        body = request.body
        try:
            schema = _schema(body.get("response_format"))
            ids = self._encoder.conversation(request.messages)
            require_own_tokens(self._checkpoint, max(ids, default=0))
        except InputError as error:
            return str(error)
        if schema is not None and not self.identity.enforced:
            return f"this judge cannot enforce a JSON schema: pip install {GRAMMARS}"
        room = self._window - len(ids)
        wanted = int(body.get("max_tokens") or room)
        if room < min(wanted, LEAST_ROOM):
            return f"prompt of {len(ids)} tokens does not fit the judge's window of {self._window}"
        sampling = Sampling(
            max_tokens=min(wanted, room),
            temperature=float(body.get("temperature") or 0.0),
            seed=int(body.get("seed") or 0),
        )
        alternatives = int(body.get("top_logprobs") or 0) if body.get("logprobs") else 0
        return GuidedRequest(Request(request.key, "", (), array("I", ids)), sampling, schema, alternatives)

    def _reply(self, guided: GuidedCompletion) -> ChatReply:
        completion = guided.completion
        if completion.finish_reason == "error":
            return ChatReply(completion.key, error=completion.error, model=self.identity.name)
        return ChatReply(
            completion.key,
            text=completion.text,
            finish_reason=completion.finish_reason,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            logprobs=self._log_probabilities(guided),
            model=self.identity.name,
        )

    def _log_probabilities(self, guided: GuidedCompletion) -> dict[str, Any] | None:
        """As chat completions tell them, for the tokens that make up the text."""
        if not guided.chances:
            return None
        # The token that ends a reply is no part of its text.
        told = guided.chances[:-1] if guided.completion.finish_reason == "stop" else guided.chances
        return {
            "content": [
                {
                    **self._chance(each.token, each.log_probability),
                    "top_logprobs": [
                        # The schema forbids the others outright.
                        self._chance(token, chance)
                        for token, chance in each.alternatives
                        if math.isfinite(chance)
                    ],
                }
                for each in told
            ]
        }

    def _chance(self, token: int, log_probability: float) -> dict[str, Any]:
        if token not in self._texts:
            self._texts[token] = self._encoder.tokenizer.decode([token])
        return {"token": self._texts[token], "logprob": log_probability}


def _taken(identity: str) -> GuidedEngine | None:
    """The engine that a judge of this identity left in memory; those of others make room."""
    found = None if _kept is None else _kept.pop(identity, None)
    for other in list(_kept or ()):
        if _kept is not None:
            _kept.pop(other).close()
    return found


def local_judge(folder: str, engine: str = "auto", *, window: int | None = None) -> LocalJudge:
    """The judge that ``--judge local:FOLDER`` names, inspected but not loaded.

    ``engine`` is vllm, transformers or auto. ``window`` (tokens of prompt and reply) is at most that of the model, and
    without a value at most 16,384.

    Raises:
        InputError: where the folder is no checkpoint that can be loaded safely, its tokenizer or chat template does
            not work, or no engine is there for it.
    """
    place = f"--judge local:{folder}"
    with _named(place):
        if engine != "auto" and engine not in ENGINES:
            raise InputError(f"a local judge runs on {' or '.join(ENGINES)}, not on '{engine}'")
        spec, _ = engine_named(engine)
        checkpoint = open_checkpoint(folder)
        longest = min(window or LONGEST_WINDOW, checkpoint.context_length or LONGEST_WINDOW)
        if longest < 2 * LEAST_ROOM:
            raise InputError(f"a window of {longest} tokens has no room for a rubric: take a model with a longer one")
        settings = EngineSettings(checkpoint=checkpoint, max_model_len=longest)
        spec.describe(settings)
        tokenizer = read_tokenizer(checkpoint)
        encoder = encoder_for(tokenizer, PromptSettings("closed"))
        try_template(encoder, checkpoint, "mend the chat template")
        template = tokenizer.chat_template if encoder.chat else None
        model = identify_checkpoint(checkpoint, template if isinstance(template, str) else None)
        return LocalJudge(place, checkpoint, model, spec, settings, encoder)


def checkpoint_folder(text: str) -> tuple[str, None]:
    """The folder after ``local:``. Raises `InputError` where there is none."""
    if not text:
        raise InputError(f"--judge local: names no model: write {FORM}")
    return text, None


def _open_local(spec: JudgeSpec, options: JudgeOptions) -> LocalJudge:
    return local_judge(spec.model, engine=options.engine)


LOCAL = JudgeKind("local", FORM, checkpoint_folder, _open_local)


def _local_identity(checkpoint: Checkpoint, model: ModelIdentity, info: EngineInfo, window: int) -> JudgeIdentity:
    """By content: the same checkpoint at another place is the same judge."""
    grammars = package_version(GRAMMARS) or None
    facts = {"engine": asdict(info), "structured_output": grammars, "window": window}
    # Signatures and tables use other signs to keep their parts apart.
    name = re.sub(r"[^\w.-]+", "_", checkpoint.name)
    return JudgeIdentity(
        name=f"{name}@{model.sha256[:8]}",
        fingerprint=fingerprint({"version": VERSION, "model": model.sha256, **facts}),
        enforced=grammars is not None,
        log_probabilities=True,
        facts={"path": str(checkpoint.path), **asdict(model), **facts},
    )


def _schema(response_format: Any) -> str | None:
    """The JSON schema of a request as text, its properties in their order."""
    if response_format is None:
        return None
    described = response_format.get("json_schema") if isinstance(response_format, Mapping) else None
    schema = described.get("schema") if isinstance(described, Mapping) else None
    if not isinstance(schema, Mapping):
        raise InputError("a local judge takes a response_format of type json_schema with a schema")
    return json.dumps(schema)


def _batches(requests: Iterable[Any]) -> Iterator[list[Any]]:
    stream = iter(requests)
    while batch := list(itertools.islice(stream, READ_AHEAD)):
        yield batch


def _closable(stream: Iterator[Any]) -> Any:
    # Generators have close, which withdraws what an engine still has in its queue; the contract says iterator.
    return stream if hasattr(stream, "close") else (each for each in stream)


@contextlib.contextmanager
def _named(place: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
