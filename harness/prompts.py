"""Items to prompts: open or closed book, through the chat template where there is one, cut only in the context.

The instruction is part of the user message (some templates refuse a system role), and the final token ids are made
here, so that every local engine reads the same ids and nothing adds a second beginning-of-sequence token.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Literal

from ..judges.errors import InputError
from ..metrics.base import list_fingerprint
from .engines.base import Continuation, Request
from .items import Item
from .passages import Passages, best_passage, take_apart

Book = Literal["open", "closed"]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
INSTRUCTIONS = {
    "closed": "Answer the telecom question in one or two sentences.",
    "open": "Answer the telecom question from the context, as briefly as possible.",
    "choices": "Answer the telecom question with the letter of the right option.",
    "several": "Answer the telecom question with the letters of all right options.",
}
# A base model without a chat template goes on inventing questions; these end its answer.
PLAIN_STOPS = ("\nQuestion:", "\nContext:", "\n\n")
GAP = "[...]"
PROMPT_VERSION = 1
RECENT_CONTEXTS = 16
# Some templates write today's date into the prompt, and the answers would change overnight: they are told this one.
TEMPLATE_DATE = date(2024, 7, 26)


@dataclass(frozen=True)
class PromptSettings:
    """What changes the prompts besides items and tokenizer; part of the run's identity."""

    book: Book
    choice_seed: int = 0
    chat: bool = True
    version: int = PROMPT_VERSION


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request ready for an engine, or the reason why there can be none; ``truncated`` tells of a cut context."""

    request: Request
    shown_choices: tuple[int, ...] = ()
    truncated: bool = False
    problem: str | None = None


def shown_order(item: Item, seed: int) -> tuple[int, ...]:
    """The permutation in which the options are listed: by item and seed, the same for every checkpoint."""
    order = list(range(len(item.choices)))
    random.Random(f"{seed}:{item.id}").shuffle(order)
    return tuple(order)


def message(item: Item, settings: PromptSettings, context: str | None) -> str:
    """The user's message for one item: instruction, context, question, options.

    Halves of a surrogate pair, which JSON can hold but no tokenizer reads, become U+FFFD.
    """
    parts = []
    if item.choices:
        parts.append(INSTRUCTIONS["several" if item.meta.get("multi_select") or len(item.answer) > 1 else "choices"])
    else:
        parts.append(INSTRUCTIONS["open" if context else "closed"])
    if context:
        parts.append(f"Context: {context}")
    parts.append(f"Question: {item.question}")
    if item.choices:
        order = shown_order(item, settings.choice_seed)
        parts.append("\n".join(f"{option_letter(k)}. {item.choices[index]}" for k, index in enumerate(order)))
    return whole_characters("\n".join(parts))


def whole_characters(text: str) -> str:
    """The text with halves of a surrogate pair, which no tokenizer reads, as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def option_letter(position: int) -> str:
    """A, B … Z, then AA, AB …"""
    quotient, rest = divmod(position, len(LETTERS))
    return (option_letter(quotient - 1) if quotient else "") + LETTERS[rest]


@dataclass(frozen=True)
class Encoder:
    """Message to token ids for one tokenizer: by its chat template, else by the plain question-and-answer template."""

    tokenizer: Any
    chat: bool
    _recent: dict[str, Passages] = field(default_factory=dict, repr=False, compare=False)

    def passages(self, text: str) -> Passages:
        """A context taken apart; the last ones are kept, as questions about one context stand together."""
        if text not in self._recent:
            if len(self._recent) >= RECENT_CONTEXTS:
                self._recent.pop(next(iter(self._recent)))
            self._recent[text] = take_apart(text, self.token_starts(text))
        return self._recent[text]

    def ids(self, content: str) -> list[int]:
        """Token ids of the whole prompt, special tokens included exactly once.

        Raises:
            InputError: when the chat template cannot be applied.
        """
        if self.chat:
            ids = self._from_template([{"role": "user", "content": content}])
        else:
            ids = list(self.tokenizer(f"{content}\nAnswer:", add_special_tokens=True)["input_ids"])
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
                    date_string=TEMPLATE_DATE.strftime("%d %b %Y"),
                    strftime_now=TEMPLATE_DATE.strftime,
                )
            )
        except Exception as error:
            reason = (str(error).strip().splitlines() or ["no message"])[0][:200]
            raise InputError(
                f"the checkpoint's chat template cannot be applied ({type(error).__name__}: {reason}): "
                "mend it, or pass --no-chat-template"
            ) from error

    def continuation(self, content: str, answer: str) -> tuple[list[int], int]:
        """Ids of prompt and answer, and where the answer starts.

        The two are tokenised apart: every option of a question then follows the very ids that generation follows,
        where a token that joined the prompt's end and the answer's start would condition each option on another
        prompt. The space between "Answer:" and the answer belongs to the answer, as words carry it in most
        vocabularies.
        """
        prompt = self.ids(content)
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


def encoder_for(tokenizer: Any, settings: PromptSettings) -> Encoder:
    """The chat template's encoder where the tokenizer has one (and ``settings.chat``), else the plain one."""
    return Encoder(tokenizer, chat=settings.chat and bool(tokenizer.chat_template))


def single_start(ids: list[int], start: int | None) -> list[int]:
    """Drop repeated beginning-of-sequence tokens at the front: a template and a tokenizer may both add one.

    >>> single_start([1, 1, 5, 1], 1)
    [1, 5, 1]
    """
    while start is not None and len(ids) > 1 and ids[0] == ids[1] == start:
        ids = ids[1:]
    return ids


def build_prompt(item: Item, settings: PromptSettings, encoder: Encoder | None, budget: int | None) -> Prompt:
    """The prompt of one item within ``budget`` tokens (None: no limit known; without ``encoder`` no ids are made).

    Only the context is ever cut, around the passage that shares most with the question. A question that does not fit
    by itself gives a prompt with a ``problem``.
    """
    context = shown_context(item, settings)
    order = shown_order(item, settings.choice_seed) if item.choices else ()
    content = message(item, settings, context)
    if encoder is None:
        return Prompt(_request(item, content, ()), order)
    if budget is None or context is None or not _far_too_long(encoder, context, budget):
        ids = encoder.ids(content)
        if budget is None or len(ids) <= budget:
            return Prompt(_request(item, content, ids), order)
    bare = len(encoder.ids(message(item, settings, GAP if context else None)))
    if context is None or bare > budget:
        problem = f"the question alone takes {bare} tokens, the model's window leaves {budget}"
        return Prompt(_request(item, content, ()), order, False, problem)
    content, ids = _cut(item, settings, encoder, context, budget)
    return Prompt(_request(item, content, ids), order, truncated=True)


def _far_too_long(encoder: Encoder, context: str, budget: int) -> bool:
    """Does the context alone exceed the budget by more than joining it to a prompt could change?"""
    # A token covers about four characters: most of the shorter contexts fit, and trying the whole prompt is quicker.
    return len(context) > 3 * budget and encoder.passages(context).tokens[-1] > budget + 64


def shown_context(item: Item, settings: PromptSettings) -> str | None:
    """The item's context in an open book, if there is more to it than white space."""
    return item.context if settings.book == "open" and item.context and item.context.strip() else None


def _request(item: Item, content: str, ids: Sequence[int]) -> Request:
    key = hashlib.sha256(content.encode("utf-8"))
    packed = array("I", ids)
    key.update(packed.tobytes())
    # All prompts without ids share one empty tuple.
    return Request(key.hexdigest(), item.id, ({"role": "user", "content": content},), packed if packed else ())


def _cut(item: Item, settings: PromptSettings, encoder: Encoder, context: str, budget: int) -> tuple[str, list[int]]:
    """Message and ids with the best passage that fits; where tokens join differently at its edges, it gives way."""
    query = " ".join((item.question, *item.choices))
    passages = encoder.passages(context)
    room = budget - len(encoder.ids(message(item, settings, f"{GAP} {GAP}")))
    while room > 0:
        first, last = best_passage(passages, query, room)
        if first == last:
            break
        before, after = context[:first].strip(), context[last:].strip()
        window = f"{f'{GAP} ' if before else ''}{context[first:last]}{f' {GAP}' if after else ''}"
        content = message(item, settings, window)
        ids = encoder.ids(content)
        if len(ids) <= budget:
            return content, ids
        room -= len(ids) - budget
    content = message(item, settings, GAP)
    return content, encoder.ids(content)


def option_continuations(item: Item, settings: PromptSettings, encoder: Encoder) -> tuple[Continuation, ...]:
    """Each choice's text as the answer to the question alone (options not listed), in the order of the choices.

    Empty where a choice has no token: its likelihood would be that of saying nothing, which beats every answer.
    """
    context = shown_context(item, settings)
    content = message(Item(item.id, item.question), settings, context)
    continuations = []
    for choice in item.choices:
        ids, start = encoder.continuation(content, choice)
        if start == len(ids):
            return ()
        digest = hashlib.sha256(array("I", [start, *ids]).tobytes()).hexdigest()
        continuations.append(Continuation(f"option:{digest}", array("I", ids), start))
    return tuple(continuations)


def prompts_sha256(prompts: Iterable[Prompt]) -> str:
    """Fingerprint of all prompts in order: message text and token ids, and what could not be asked."""
    return list_fingerprint([prompt.request.key, prompt.problem] for prompt in prompts)


def load_tokenizer(path: Any, *, trust_remote_code: bool = False) -> Any:
    """The checkpoint's tokenizer, from its folder only."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code, local_files_only=True)
