"""A teacher behind a vLLM server: the likeliest tokens of each answer row, by ``prompt_logprobs`` of its completions.

The server reads token ids, so it must have the tokenizer that made them; what it calls each token is compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from telbench.errors import EngineError, InputError

from ...judges.chat import ChatReply, ChatRequest
from ...judges.server.client import ChatClient
from ...judges.server.settings import VLLM_NEUTRAL, ServerSettings, model_and_server
from .rows import TeacherExample
from .sparse import Form

if TYPE_CHECKING:
    from torch import Tensor

PREFIX = "openai:"
# Tokens that half a character is left of are told by what stands around them.
UNREADABLE = "\ufffd"
# Some servers spell a token's spaces otherwise; of another vocabulary nearly all tokens differ.
MOST_OTHER = 0.05
# Sums of probabilities above this are none.
ABOVE_ONE = 1.001


def served_teacher(text: str) -> tuple[str, str] | None:
    """Model and URL of ``openai:MODEL@URL``; None for a folder.

    >>> served_teacher("openai:org/model@http://127.0.0.1:8000/v1/"), served_teacher("folder")
    (('org/model', 'http://127.0.0.1:8000/v1'), None)

    Raises:
        InputError: where model or URL are missing.
    """
    return model_and_server(text.removeprefix(PREFIX), "the teacher") if text.startswith(PREFIX) else None


@dataclass(frozen=True, eq=False)
class ServedTeacher:
    """A model on a server, asked for the ``form.count`` likeliest tokens of each answer row.

    ``tokenizer``: the one that made the examples' ids. ``_names``: tokens seen so far, and whether both call them so.
    """

    client: ChatClient
    tokenizer: Any
    form: Form
    _names: dict[int, tuple[str, str]] = field(default_factory=dict)

    def rows(self, examples: Sequence[TeacherExample]) -> Tensor:
        """Rows (rows of all examples, 2 · count): ids and log-probabilities.

        Raises:
            InputError: where the server gives no such numbers, fewer of them, or those of another vocabulary.
            EngineError: where it fails; what was stored before is kept.
        """
        import torch

        body = {"max_tokens": 1, "temperature": 0.0, **VLLM_NEUTRAL, "prompt_logprobs": self.form.count}
        asked = (ChatRequest(str(place), (), body, each.example.ids) for place, each in enumerate(examples))
        found: dict[int, list[list[float]]] = {}
        for reply in self.client.ask(asked):
            place = int(reply.key)
            found[place] = self._read(reply, examples[place])
        missing = [examples[place].item_id for place in range(len(examples)) if place not in found]
        if missing:
            raise EngineError(f"{self._url} gave no answer for item {missing[0]}")
        self._compare_names()
        return torch.tensor([row for place in range(len(examples)) for row in found[place]], dtype=torch.float32)

    @property
    def _url(self) -> str:
        return self.client.settings.base_url

    def _read(self, reply: ChatReply, example: TeacherExample) -> list[list[float]]:
        who = f"{self._url}, item {example.item_id}"
        if reply.error is not None:
            kind = InputError if reply.status in {400, 413, 422} else EngineError
            raise kind(f"{who}: {reply.error}")
        told, ids = reply.prompt_logprobs, example.example.ids
        if told is None:
            raise InputError(
                f"{who}: the answer has no prompt_logprobs: a served teacher must be a vLLM server (/v1/completions)"
            )
        if len(told) != len(ids):
            raise InputError(f"{who}: prompt_logprobs tell {len(told)} tokens of {len(ids)}: it reads other tokens")
        return [self._row(told[place], ids[place], who) for place in range(example.example.start, len(ids))]

    def _row(self, told: object, said: int, who: str) -> list[float]:
        try:
            entries = {int(key): dict(value) for key, value in told.items()} if isinstance(told, Mapping) else {}
            values = {index: float(entry["logprob"]) for index, entry in entries.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{who}: prompt_logprobs cannot be read: {type(error).__name__}") from error
        if said not in values:
            raise InputError(f"{who}: prompt_logprobs leave out the token {said} that was sent: it reads other tokens")
        best = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))[: self.form.count]
        if len(best) < self.form.count:
            raise InputError(f"{who}: prompt_logprobs tell {len(best)} tokens of a row, not {self.form.count}")
        mass = math.fsum(math.exp(min(1.0, value)) for _, value in best)
        if not all(map(math.isfinite, values.values())) or not 0 < mass < ABOVE_ONE:
            raise InputError(f"{who}: prompt_logprobs are no logarithms of probabilities")
        for index, entry in entries.items():
            name = entry.get("decoded_token")
            if index not in self._names and isinstance(name, str):
                self._names[index] = name, self.tokenizer.decode([index])
        return [*(float(index) for index, _ in best), *(value for _, value in best)]

    def _compare_names(self) -> None:
        """Refuse a server that calls its tokens otherwise."""
        known = {index: pair for index, pair in self._names.items() if UNREADABLE not in "".join(pair)}
        other = [index for index, (one, two) in known.items() if one.strip() != two.strip()]
        if len(other) > MOST_OTHER * len(known):
            one, two = known[other[0]]
            raise InputError(
                f"{self._url} has another vocabulary than the tokenizer here: it calls token {other[0]} {one!r}, here "
                f"it is {two!r} ({len(other)} of {len(known)} differ): name the served model's own with --tokenizer"
            )


def connect(model: str, url: str, tokenizer: Any, form: Form, at_once: int) -> ServedTeacher:
    """A teacher on a server, asked ``at_once`` questions at a time; no contact yet."""
    return ServedTeacher(ChatClient(ServerSettings(url, model, max_in_flight=at_once)), tokenizer, form)
