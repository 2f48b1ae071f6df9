"""Items to prompts: open or closed book, through the chat template where there is one, cut only in the context.

The instruction is part of the user message (some templates refuse a system role), and the final token ids are made
here, so that every local engine reads the same ids and nothing adds a second beginning-of-sequence token.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..metrics.base import fingerprint
from .engines.base import Continuation, Request
from .items import Item

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
    """The user's message for one item: instruction, context, question, options."""
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
    return "\n".join(parts)


def option_letter(position: int) -> str:
    """A, B … Z, then AA, AB …"""
    quotient, rest = divmod(position, len(LETTERS))
    return (option_letter(quotient - 1) if quotient else "") + LETTERS[rest]


@dataclass(frozen=True)
class Encoder:
    """Message to token ids for one tokenizer: by its chat template, else by the plain question-and-answer template."""

    tokenizer: Any
    chat: bool

    def ids(self, content: str) -> list[int]:
        """Token ids of the whole prompt, special tokens included exactly once."""
        if self.chat:
            ids = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True, return_dict=False
            )
        else:
            ids = self.tokenizer(f"{content}\nAnswer:", add_special_tokens=True)["input_ids"]
        return single_start(list(ids), self.tokenizer.bos_token_id)

    def continuation(self, content: str, answer: str) -> tuple[list[int], int]:
        """Ids of prompt and answer, and where the answer starts (the tokens that the prompt alone does not have)."""
        prompt = self.ids(content)
        lead = "" if self.chat else " "
        return prompt + list(self.tokenizer(lead + answer, add_special_tokens=False)["input_ids"]), len(prompt)


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
    context = (item.context or None) if settings.book == "open" else None
    order = shown_order(item, settings.choice_seed) if item.choices else ()
    content = message(item, settings, context)
    ids = encoder.ids(content) if encoder else []
    truncated = False
    if encoder and budget is not None and len(ids) > budget:
        bare = len(encoder.ids(message(item, settings, GAP if context else None)))
        if context is None or bare > budget:
            problem = f"the question alone takes {bare} tokens, the model's window leaves {budget}"
            return Prompt(Request(item.id, item.id, ()), order, False, problem)
        context, truncated = _cut(item, settings, encoder, context, budget), True
        content = message(item, settings, context)
        ids = encoder.ids(content)
    return Prompt(_request(item, content, ids), order, truncated)


def _request(item: Item, content: str, ids: list[int]) -> Request:
    key = hashlib.sha256(content.encode("utf-8", "surrogatepass"))
    key.update(array("I", ids).tobytes())
    return Request(key.hexdigest(), item.id, ({"role": "user", "content": content},), array("I", ids))


def _cut(item: Item, settings: PromptSettings, encoder: Encoder, context: str, budget: int) -> str:
    """A window around the best passage whose prompt fits: its size is estimated, then shrunk by what is too much."""
    spans = [match.span() for match in re.finditer(r"\S+", context)]
    words = [context[first:last] for first, last in spans]
    query = f"{item.question} {' '.join(item.choices)}"
    frame = len(encoder.ids(message(item, settings, f"{GAP} {GAP}")))
    whole = len(encoder.ids(message(item, settings, context)))
    tokens_per_word = max(1e-9, (whole - frame) / len(words))
    size = min(len(words) - 1, int((budget - frame) / tokens_per_word))
    while size > 0:
        first = best_window(words, query, size)
        last = first + size
        text = context[spans[first][0] : spans[last - 1][1]]
        window = f"{f'{GAP} ' if first else ''}{text}{f' {GAP}' if last < len(words) else ''}"
        excess = len(encoder.ids(message(item, settings, window))) - budget
        if excess <= 0:
            return window
        size -= max(1, math.ceil(excess / tokens_per_word / 2))
    return GAP


def best_window(words: Sequence[str], query: str, size: int) -> int:
    """Start of the run of ``size`` words that covers most of the query's words, rare words weighing more.

    Weight of a word: log(1 + n / occurrences), each covered word counted once; among equals the window is centred on
    the words it covers, so that the sentence around them is kept.

    >>> best_window("a b c d e the AMF handles mobility f g h i j".split(), "What does the AMF handle?", 4)
    4
    """
    terms = {term for term in map(_term, query.split()) if term}
    positions = [(index, term) for index, term in enumerate(map(_term, words)) if term in terms]
    if not positions or size >= len(words):
        return 0
    counts: dict[str, int] = {}
    for _, term in positions:
        counts[term] = counts.get(term, 0) + 1
    weight = {term: math.log1p(len(words) / count) for term, count in counts.items()}
    inside: dict[str, int] = {}
    covered, best, span, left = 0.0, -1.0, (0, 0), 0
    for right, (index, term) in enumerate(positions):
        inside[term] = inside.get(term, 0) + 1
        covered += weight[term] if inside[term] == 1 else 0.0
        while index - positions[left][0] >= size:
            gone = positions[left][1]
            inside[gone] -= 1
            covered -= 0.0 if inside[gone] else weight[gone]
            left += 1
        if covered > best + 1e-9:
            best, span = covered, (positions[left][0], positions[right][0])
    start = (span[0] + span[1] + 1 - size) // 2
    return max(0, min(start, len(words) - size))


def _term(word: str) -> str:
    """A word for matching: lower case, outer punctuation off, a plural s off; empty for short words."""
    bare = word.strip(".,;:!?()[]{}\"'`").lower()
    return "" if len(bare) < 3 else bare.removesuffix("s")


def option_continuations(item: Item, settings: PromptSettings, encoder: Encoder) -> tuple[Continuation, ...]:
    """Each choice's text as the answer to the question alone (options not listed), in the order of the choices."""
    context = (item.context or None) if settings.book == "open" else None
    content = message(Item(item.id, item.question), settings, context)
    continuations = []
    for choice in item.choices:
        ids, start = encoder.continuation(content, choice)
        digest = hashlib.sha256(array("I", [start, *ids]).tobytes()).hexdigest()
        continuations.append(Continuation(f"option:{digest}", array("I", ids), start))
    return tuple(continuations)


def prompts_sha256(prompts: Iterable[Prompt]) -> str:
    """Fingerprint of all prompts in order: message text and token ids, and what could not be asked."""
    return fingerprint([prompt.problem or prompt.request.key for prompt in prompts])


def load_tokenizer(path: Any, *, trust_remote_code: bool = False) -> Any:
    """The checkpoint's tokenizer, from its folder only."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code, local_files_only=True)
