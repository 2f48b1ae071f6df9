"""Items to prompts: open or closed book, through the chat template where there is one, cut only in the context.

The instruction is part of the user message (some templates refuse a system role), and the final token ids are made
here, so that every local engine reads the same ids and nothing adds a second beginning-of-sequence token.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..datasets.items import Item
from ..datasets.wording import whole_characters
from ..engines.contract import Continuation, Request
from .encoder import Encoder
from .options import option_labels, shown_order
from .passages import best_passage

Book = Literal["open", "closed"]
INSTRUCTIONS = {
    "closed": "Answer the telecom question in one or two sentences.",
    "open": "Answer the telecom question from the context, as briefly as possible.",
    "choices": "Answer the telecom question with the letter of the right option.",
    "several": "Answer the telecom question with the letters of all right options.",
    "choices by number": "Answer the telecom question with the number of the right option.",
    "several by number": "Answer the telecom question with the numbers of all right options.",
}
# A base model without a chat template goes on inventing questions; these end its answer.
PLAIN_STOPS = ("\nQuestion:", "\nContext:", "\n\n")
GAP = "[...]"
PROMPT_VERSION = 1


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


def message(item: Item, settings: PromptSettings, context: str | None) -> str:
    """The user's message for one item: instruction, context, question, options.

    Halves of a surrogate pair, which JSON can hold but no tokenizer reads, become U+FFFD.
    """
    parts = []
    labels = option_labels(item)
    if item.choices:
        asked = "several" if item.meta.get("multi_select") or len(item.answer) > 1 else "choices"
        parts.append(INSTRUCTIONS[asked if labels[0] == "A" else f"{asked} by number"])
    else:
        parts.append(INSTRUCTIONS["open" if context else "closed"])
    if context:
        parts.append(f"Context: {context}")
    parts.append(f"Question: {item.question}")
    if item.choices:
        listed = zip(labels, shown_order(item, settings.choice_seed), strict=True)
        parts.append("\n".join(f"{label}. {item.choices[index]}" for label, index in listed))
    return whole_characters("\n".join(parts))


def encoder_for(tokenizer: Any, settings: PromptSettings) -> Encoder:
    """The chat template's encoder where the tokenizer has one (and ``settings.chat``), else the plain one."""
    return Encoder(tokenizer, chat=settings.chat and bool(tokenizer.chat_template))


def build_prompt(item: Item, settings: PromptSettings, encoder: Encoder | None, budget: int | None) -> Prompt:
    """The prompt of one item within ``budget`` tokens (None: no limit known; without ``encoder`` no ids are made).

    Only the context is ever cut, around the passage that shares most with the question. A question that does not fit
    by itself gives a prompt with a ``problem``.
    """
    context = shown_context(item, settings)
    content = message(item, settings, context)
    ids: Sequence[int] = ()
    truncated, problem = False, None
    if encoder is not None:
        too_long = budget is not None and context is not None and _far_too_long(encoder, context, budget)
        ids = () if too_long else encoder.ids(content)
        if budget is not None and (too_long or len(ids) > budget):
            bare = len(encoder.ids(message(item, settings, GAP if context else None)))
            if context is None or bare > budget:
                ids, problem = (), f"the question alone takes {bare} tokens, the model's window leaves {budget}"
            else:
                content, ids = _cut(item, settings, encoder, context, budget)
                truncated = True
    packed = array("I", ids)
    key = hashlib.sha256(content.encode("utf-8") + packed.tobytes()).hexdigest()
    # All prompts without ids share one empty tuple.
    request = Request(key, item.id, ({"role": "user", "content": content},), packed if packed else ())
    order = shown_order(item, settings.choice_seed) if item.choices else ()
    return Prompt(request, order, truncated, problem)


def _far_too_long(encoder: Encoder, context: str, budget: int) -> bool:
    """Does the context alone exceed the budget by more than joining it to a prompt could change?"""
    # A token covers about four characters: most of the shorter contexts fit, and trying the whole prompt is quicker.
    return len(context) > 3 * budget and encoder.passages(context).tokens[-1] > budget + 64


def shown_context(item: Item, settings: PromptSettings) -> str | None:
    """The item's context in an open book, if there is more to it than white space."""
    return item.context if settings.book == "open" and item.context and item.context.strip() else None


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
