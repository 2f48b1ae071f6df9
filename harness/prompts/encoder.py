"""Message to token ids, for one tokenizer, special tokens included exactly once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ..checkpoint import Checkpoint
from ..datasets.wording import whole_characters
from ..engines.contract import Message
from ..tokenizing import first_line, require_own_tokens
from .passages import Passages, take_apart
from .plain import CUE, plain_text

RECENT_CONTEXTS = 16
# Some templates write today's date into the prompt, and the answers would change overnight: they are told this one.
TEMPLATE_DATE = date(2024, 7, 26)


@dataclass(frozen=True)
class Encoder:
    """Messages to token ids for one tokenizer: by its chat template, else by the plain question-and-answer template.

    ``cue`` is what the plain template writes before an answer; ``variables`` are more that the chat template reads.
    """

    tokenizer: Any
    chat: bool
    cue: str = CUE
    variables: Mapping[str, Any] = field(default_factory=dict)
    _recent: dict[str, Passages] = field(default_factory=dict, repr=False, compare=False)

    def passages(self, text: str) -> Passages:
        """A context taken apart; the last ones are kept, as questions about one context stand together."""
        if text not in self._recent:
            if len(self._recent) >= RECENT_CONTEXTS:
                self._recent.pop(next(iter(self._recent)))
            self._recent[text] = take_apart(text, self.token_starts(text))
        return self._recent[text]

    def ids(self, asked: str | Sequence[Message]) -> list[int]:
        """Token ids of the whole prompt, special tokens included exactly once; a text is one message of the user's.

        Raises:
            InputError: when the chat template cannot be applied.
        """
        messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else [dict(one) for one in asked]
        if self.chat:
            ids = self._from_template(messages)
        else:
            ids = list(self.tokenizer(plain_text(messages, self.cue), add_special_tokens=True)["input_ids"])
            # Some tokenizers close every text; the answer has to go on where the prompt stops.
            if len(ids) > 1 and ids[-1] == self.tokenizer.eos_token_id:
                ids.pop()
        return single_start(ids, self.tokenizer.bos_token_id)

    def conversation(self, messages: Iterable[Mapping[str, str]]) -> list[int]:
        """Token ids of a conversation up to the reply; without a chat template its texts are one message.

        A control token that a message spells out is broken by a space: a tokenizer reads it wherever it stands, and a
        text could end its own message and go on as another speaker.

        Raises:
            InputError: when the chat template cannot be applied.
        """
        told = [{**message, "content": self._plain(message["content"])} for message in messages]
        if not self.chat:
            return self.ids("\n\n".join(message["content"] for message in told))
        return single_start(self._from_template(told), self.tokenizer.bos_token_id)

    def _plain(self, text: str) -> str:
        text = whole_characters(text)
        for token in self._control_tokens:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    @cached_property
    def _control_tokens(self) -> tuple[str, ...]:
        added = [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        # White space, which a few tokenizers also hold for special, has no inside.
        return tuple(sorted({token for token in added if len(token.strip()) > 1}))

    def _from_template(self, messages: list[dict[str, str]]) -> list[int]:
        try:
            return list(
                self.tokenizer.apply_chat_template(
                    messages,
                    tokenize=True,
                    add_generation_prompt=True,
                    return_dict=False,
                    **{
                        "date_string": TEMPLATE_DATE.strftime("%d %b %Y"),
                        "strftime_now": TEMPLATE_DATE.strftime,
                        **self.variables,
                    },
                )
            )
        except Exception as error:
            reason = (str(error).strip().splitlines() or ["no message"])[0][:200]
            raise InputError(
                f"the checkpoint's chat template cannot be applied ({type(error).__name__}: {reason}): "
                "mend it, or pass --no-chat-template"
            ) from error

    def continuation(self, asked: str | Sequence[Message], answer: str) -> tuple[list[int], int]:
        """Ids of prompt and answer, and where the answer starts.

        The two are tokenised apart: every option of a question then follows the very ids that generation follows,
        where a token that joined the prompt's end and the answer's start would condition each option on another
        prompt. The space between "Answer:" and the answer belongs to the answer, as words carry it in most
        vocabularies.
        """
        prompt = self.ids(asked)
        return prompt + self.answer_ids(answer), len(prompt)

    def answer_ids(self, answer: str) -> list[int]:
        """Ids of an answer as they follow a prompt's, in training, for options and for references alike."""
        return list(self.tokenizer(self.answer_lead + whole_characters(answer), add_special_tokens=False)["input_ids"])

    @property
    def answer_lead(self) -> str:
        """What stands before the answer's text: the space after "Answer:", where the tokenizer puts none itself."""
        return "" if self.chat or self._adds_space() else " "

    def _adds_space(self) -> bool:
        """Does the tokenizer itself put a space before a text (SentencePiece's dummy prefix)?"""
        first = self.tokenizer("A", add_special_tokens=False)["input_ids"][:1]
        return bool(first) and str(self.tokenizer.convert_ids_to_tokens(first)[0]).startswith("\u2581")

    def token_starts(self, text: str) -> list[int]:
        """Where each token of a text starts in it; evenly spread where the tokenizer does not tell."""
        if self.tokenizer.is_fast:
            found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            return [first for first, _ in found["offset_mapping"]]
        count = len(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return [index * len(text) // count for index in range(count)]


def single_start(ids: list[int], start: int | None) -> list[int]:
    """Drop repeated beginning-of-sequence tokens at the front: a template and a tokenizer may both add one.

    >>> single_start([1, 1, 5, 1], 1)
    [1, 5, 1]
    """
    while start is not None and len(ids) > 1 and ids[0] == ids[1] == start:
        ids = ids[1:]
    return ids


def try_template(encoder: Encoder, checkpoint: Checkpoint, cure: str) -> None:
    """Refuse a chat template (or tokenizer) that fails, or under which all questions read the same.

    Raises:
        InputError: with ``cure`` where the chat template is to blame.
    """
    cure = cure if encoder.chat else "copy the tokenizer's files again"
    try:
        one, other = (encoder.ids(f"What is the {name}?") for name in ("AMF", "SMF"))
    except InputError as error:
        raise InputError(f"{checkpoint.path}: {error}") from error
    except Exception as error:
        what = "the chat template fails" if encoder.chat else "the tokenizer fails"
        raise InputError(f"{checkpoint.path}: {what}: {first_line(error)}: {cure}") from error
    if not one or one == other:
        what = "the chat template leaves out the question" if encoder.chat else "the tokenizer does not know letters"
        raise InputError(f"{checkpoint.path}: {what}: {cure}")
    require_own_tokens(checkpoint, max(*one, *other))


def try_system(encoder: Encoder, path: Path) -> None:
    """Refuse a system message that the chat template of the checkpoint in ``path`` refuses, or leaves out.

    Raises:
        InputError: saying where to put the text instead.
    """
    cure = "put its text into --instruction"
    try:
        one, other = (encoder.ids([_said("system", word), _said("user", "What?")]) for word in ("Alpha.", "Omega."))
    except InputError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0][:200]
        raise InputError(f"--system: the chat template of {path} takes no system message ({reason}): {cure}") from error
    if one == other:
        raise InputError(f"--system: the chat template of {path} leaves out the system message: {cure}")


def try_variables(encoder: Encoder, path: Path) -> None:
    """Refuse variables that the chat template of the checkpoint in ``path`` does not read.

    Raises:
        InputError: naming the first one.
    """
    own = set(inspect.signature(encoder.tokenizer.apply_chat_template).parameters) - {"kwargs"}
    for name in encoder.variables:
        if name in own | {"messages", "strftime_now"}:
            raise InputError(f"--chat-template-kwargs {name}: telbench sets it itself: leave it out")
        if not (encoder.chat and re.search(rf"\b{re.escape(name)}\b", str(encoder.tokenizer.chat_template))):
            raise InputError(f"--chat-template-kwargs {name}: the chat template of {path} does not read it: drop it")


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}
