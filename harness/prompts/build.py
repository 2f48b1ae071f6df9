"""Items to prompts: open or closed book, through the chat template where there is one, cut only in the context.

The instruction is part of the user message (some templates refuse a system role), and the final token ids are made
here, so that every local engine reads the same ids and nothing adds a second beginning-of-sequence token.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ...metrics.parsed.forms import FORMS
from ..datasets.items import Item
from ..datasets.wording import whole_characters
from ..engines.contract import Continuation, Message, Request
from .encoder import Encoder
from .options import option_labels, shown_order
from .passages import best_passage
from .plain import CUE, plain_text, text_continuation
from .template import UserTemplate

Book = Literal["open", "closed"]
INSTRUCTIONS = {
    "closed": "Answer the telecom question in one or two sentences.",
    "open": "Answer the telecom question from the context, as briefly as possible.",
    "closed in full": "Answer the telecom question in full.",
    "open in full": "Answer the telecom question from the context, in full.",
    "choices": "Answer the telecom question with the letter of the right option.",
    "several": "Answer the telecom question with the letters of all right options.",
    "choices by number": "Answer the telecom question with the number of the right option.",
    "several by number": "Answer the telecom question with the numbers of all right options.",
    "number": "Solve the telecom problem step by step. End with the number alone, in the unit asked for, in \\boxed{}.",
    "label": "Answer the telecom question with one label, in \\boxed{}.",
    "labels": "Answer the telecom question with all labels that apply, separated by commas, in \\boxed{}.",
    "yaml": "Answer the telecom request with one YAML document and nothing else.",
    "table": "Answer the telecom question with one Markdown table and nothing else.",
}
# A base model without a chat template goes on inventing questions; these end its answer.
PLAIN_STOPS = ("\nQuestion:", "\nContext:", "\n\n")
GAP = "[...]"
PROMPT_VERSION = 1


@dataclass(frozen=True)
class PromptSettings:
    """What changes the prompts besides items and tokenizer; part of the run's identity.

    ``instruction`` None is telbench's own, empty is none. ``raw``: the question is the whole message. ``few_shot``
    counts the examples, and ``few_shot_from`` says where they come from; `build_prompt` is given them.
    """

    book: Book
    choice_seed: int = 0
    chat: bool = True
    version: int = PROMPT_VERSION
    system: str | None = None
    instruction: str | None = None
    template: UserTemplate | None = None
    raw: bool = False
    few_shot: int = 0
    few_shot_from: str = ""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recorded(self) -> dict[str, Any]:
        """What a run is identified by and records: of what the user may add, only what was added."""
        base = {"book": self.book, "choice_seed": self.choice_seed, "chat": self.chat, "version": self.version}
        added = {
            "system": self.system,
            "instruction": self.instruction,
            "template": None if self.template is None else self.template.text,
            "raw": self.raw or None,
            "few_shot": self.few_shot or None,
            "few_shot_from": self.few_shot_from or None,
            "chat_template_kwargs": dict(self.chat_template_kwargs) or None,
        }
        return base | {name: value for name, value in added.items() if value is not None}

    @property
    def lists_options(self) -> bool:
        """Do the prompts list the options in an order of telbench's?"""
        return not self.raw and (self.template is None or self.template.reads("choices"))

    @property
    def shows_context(self) -> bool:
        """Would an open book's context be in the prompts?"""
        return not self.raw and (self.template is None or self.template.reads("context"))


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request ready for an engine, or the reason why there can be none; ``truncated`` tells of a cut context.

    ``examples`` are the ids of those shown, ``left_out`` counts those that did not fit.
    """

    request: Request
    shown_choices: tuple[int, ...] = ()
    truncated: bool = False
    problem: str | None = None
    examples: tuple[str, ...] = ()
    left_out: int = 0


def message(item: Item, settings: PromptSettings, context: str | None) -> str:
    """The user's message for one item: instruction, context, question, options; or as the user's template has it.

    Halves of a surrogate pair, which JSON can hold but no tokenizer reads, become U+FFFD.
    """
    if settings.raw:
        return whole_characters(item.question)
    labels = option_labels(item)
    instruction = _instruction(item, labels, context) if settings.instruction is None else settings.instruction
    listed = [item.choices[index] for index in option_order(item, settings)]
    if settings.template is not None:
        seen = {
            "question": item.question,
            "context": context,
            "choices": listed,
            "labels": list(labels),
            "several": _several(item),
            "instruction": instruction,
            "id": item.id,
            "category": item.category,
            "source_document": item.source_document,
            "meta": dict(item.meta),
        }
        return whole_characters(settings.template.render(seen))
    parts = [instruction] if instruction else []
    if context:
        parts.append(f"Context: {context}")
    parts.append(f"Question: {item.question}")
    if item.choices:
        parts.append("\n".join(f"{label}. {choice}" for label, choice in zip(labels, listed, strict=True)))
    return whole_characters("\n".join(parts))


def _instruction(item: Item, labels: Sequence[str], context: str | None) -> str:
    if item.meta.get("instructed"):
        # The question says itself how it wants to be answered.
        return ""
    if not item.choices and (form := str(item.meta.get("form"))) in FORMS:
        return INSTRUCTIONS[form]
    if not item.choices:
        book = "open" if context else "closed"
        return INSTRUCTIONS[f"{book} in full" if item.meta.get("in_full") else book]
    asked = "several" if _several(item) else "choices"
    return INSTRUCTIONS[asked if labels[0] == "A" else f"{asked} by number"]


def _several(item: Item) -> bool:
    return bool(item.meta.get("multi_select")) or len(item.answer) > 1


def option_order(item: Item, settings: PromptSettings) -> tuple[int, ...]:
    """The order that letters of an answer mean: as listed, or that of the data where the prompt lists none."""
    if settings.lists_options:
        return shown_order(item, settings.choice_seed)
    return tuple(range(len(item.choices)))


def conversation(
    item: Item, settings: PromptSettings, context: str | None, examples: Sequence[Item] = ()
) -> tuple[Message, ...]:
    """All messages of one item's prompt: system, examples with their answers, the item's own."""
    told: list[Message] = [] if settings.system is None else [_turn("system", whole_characters(settings.system))]
    for example in examples:
        told.append(_turn("user", message(example, settings, shown_context(example, settings))))
        told.append(_turn("assistant", whole_characters(example_answer(example, settings))))
    return (*told, _turn("user", message(item, settings, context)))


def _turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def example_answer(example: Item, settings: PromptSettings) -> str:
    """What an example answers: the labels of the right options where they are listed, else the first right text."""
    if not (example.choices and settings.lists_options):
        return _open(example).references[0]
    labels, order = option_labels(example), option_order(example, settings)
    return ", ".join(label for label, index in zip(labels, order, strict=True) if index in example.answer)


def encoder_for(tokenizer: Any, settings: PromptSettings) -> Encoder:
    """The chat template's encoder where the tokenizer has one (and ``settings.chat``), else the plain one."""
    chat = settings.chat and bool(tokenizer.chat_template)
    return Encoder(tokenizer, chat=chat, cue=cue_of(settings), variables=settings.chat_template_kwargs)


def cue_of(settings: PromptSettings) -> str:
    """What stands before an answer: nothing where the user's own template or the data say all."""
    return "" if settings.raw or settings.template is not None else CUE


def build_prompt(
    item: Item,
    settings: PromptSettings,
    encoder: Encoder | None,
    budget: int | None,
    examples: Sequence[Item] = (),
) -> Prompt:
    """The prompt of one item within ``budget`` tokens (None: no limit known; without ``encoder`` no ids are made).

    Where it does not fit, examples are left out from the last one on. Then the context is cut, around the passage that
    shares most with the question. A question that does not fit by itself gives a prompt with a ``problem``.
    """
    fitted = _fitted(item, settings, encoder, budget, examples)
    packed = array("I", fitted.ids)
    # All prompts without ids share one empty tuple.
    request = Request(_key(fitted.messages, packed), item.id, fitted.messages, packed if packed else ())
    order = option_order(item, settings) if item.choices else ()
    shown = tuple(example.id for example in examples[: fitted.kept])
    return Prompt(request, order, fitted.truncated, fitted.problem, shown, len(examples) - fitted.kept)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What is asked of one item, and what of it had to give way; ``kept`` counts the examples."""

    messages: tuple[Message, ...]
    ids: Sequence[int]
    kept: int
    truncated: bool = False
    problem: str | None = None


def _fitted(
    item: Item, settings: PromptSettings, encoder: Encoder | None, budget: int | None, examples: Sequence[Item]
) -> _Fitted:
    context = shown_context(item, settings)
    messages = conversation(item, settings, context, examples)
    if encoder is None:
        return _Fitted(messages, (), len(examples))
    too_long = budget is not None and context is not None and _far_too_long(encoder, context, budget)
    ids = () if too_long else encoder.ids(messages)
    if budget is None or (not too_long and len(ids) <= budget):
        return _Fitted(messages, ids, len(examples))
    if examples and not too_long:
        kept = _fitting(item, settings, encoder, budget, examples)
        messages = conversation(item, settings, context, examples[:kept])
        ids = encoder.ids(messages)
        if len(ids) <= budget:
            return _Fitted(messages, ids, kept)
    bare = len(encoder.ids(conversation(item, settings, GAP if context else None)))
    if context is None or bare > budget:
        problem = f"the question alone takes {bare} tokens, the model's window leaves {budget}"
        return _Fitted(messages, (), 0, problem=problem)
    return _Fitted(*_cut(item, settings, encoder, context, budget), 0, truncated=True)


def _key(messages: Sequence[Message], ids: array[int]) -> str:
    """The hash of what is asked; a single message is hashed as its text, whatever its role would be."""
    told = messages[0]["content"] if len(messages) == 1 else json.dumps([*map(dict, messages)])
    return hashlib.sha256(told.encode("utf-8") + ids.tobytes()).hexdigest()


def _fitting(item: Item, settings: PromptSettings, encoder: Encoder, budget: int, examples: Sequence[Item]) -> int:
    """The most examples that fit beside the whole context."""
    context = shown_context(item, settings)

    def too_long(count: int) -> bool:
        return len(encoder.ids(conversation(item, settings, context, examples[:count]))) > budget

    return max(0, bisect_left(range(len(examples)), True, key=too_long) - 1)


def _far_too_long(encoder: Encoder, context: str, budget: int) -> bool:
    """Does the context alone exceed the budget by more than joining it to a prompt could change?"""
    # A token covers about four characters: most of the shorter contexts fit, and trying the whole prompt is quicker.
    return len(context) > 3 * budget and encoder.passages(context).tokens[-1] > budget + 64


def shown_context(item: Item, settings: PromptSettings) -> str | None:
    """The item's context in an open book, if there is more to it than white space."""
    shown = settings.book == "open" and item.context and item.context.strip() and settings.shows_context
    return item.context if shown else None


def _cut(
    item: Item, settings: PromptSettings, encoder: Encoder, context: str, budget: int
) -> tuple[tuple[Message, ...], list[int]]:
    """Messages and ids with the best passage that fits; where tokens join differently at its edges, it gives way."""
    query = " ".join((item.question, *item.choices))
    passages = encoder.passages(context)
    room = budget - len(encoder.ids(conversation(item, settings, f"{GAP} {GAP}")))
    while room > 0:
        first, last = best_passage(passages, query, room)
        if first == last:
            break
        before, after = context[:first].strip(), context[last:].strip()
        window = f"{f'{GAP} ' if before else ''}{context[first:last]}{f' {GAP}' if after else ''}"
        messages = conversation(item, settings, window)
        ids = encoder.ids(messages)
        if len(ids) <= budget:
            return messages, ids
        room -= len(ids) - budget
    messages = conversation(item, settings, GAP)
    return messages, encoder.ids(messages)


def option_continuations(
    item: Item, settings: PromptSettings, encoder: Encoder | None, examples: Sequence[Item] = ()
) -> tuple[Continuation, ...]:
    """Each choice's text as the answer to the question alone (options not listed), in the order of the choices.

    Examples are asked and answered likewise. Empty where a choice has no token: its likelihood would be that of saying
    nothing, which beats every answer. Without ``encoder`` they are texts.
    """
    context = shown_context(item, settings)
    messages = conversation(_open(item), settings, context, [*map(_open, examples)])
    continuations = []
    for choice in item.choices:
        if encoder is None:
            if not choice.strip():
                return ()
            continuations.append(text_continuation("option", plain_text(messages, cue_of(settings)), choice))
            continue
        ids, start = encoder.continuation(messages, choice)
        if start == len(ids):
            return ()
        digest = hashlib.sha256(array("I", [start, *ids]).tobytes()).hexdigest()
        continuations.append(Continuation(f"option:{digest}", array("I", ids), start))
    return tuple(continuations)


def _open(item: Item) -> Item:
    """The question without its options; the texts of the right ones are its references."""
    right = tuple(item.choices[index] for index in item.answer)
    return replace(item, choices=(), answer=(), references=right or item.references)
