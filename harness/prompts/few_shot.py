"""Examples shown before the question: drawn by seed and item, and never such that tell the answer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ..datasets.items import Item
from ..datasets.wording import normalised


@dataclass(frozen=True)
class Examples:
    """Items with answers, of which each question is shown ``count`` others; ``source`` says where they come from."""

    items: tuple[Item, ...]
    count: int
    seed: int
    source: str

    def for_item(self, item: Item) -> tuple[Item, ...]:
        """The examples of one item, in the order in which they are shown; fewer where there are not enough.

        Seed and item decide. None is of the item's source document, has its context or asks its question.
        """
        pool = self._alike[bool(item.choices)] or self.items
        question, chosen = normalised(item.question), list[Item]()
        for place in _shuffled(len(pool), random.Random(f"few-shot:{self.seed}:{item.id}")):
            if len(chosen) == self.count:
                break
            if not _tells(pool[place], item, question):
                chosen.append(pool[place])
        return tuple(chosen)

    @cached_property
    def _alike(self) -> dict[bool, tuple[Item, ...]]:
        """Questions with options are shown examples with options, open ones open examples, where there are any."""
        return {kind: tuple(item for item in self.items if bool(item.choices) is kind) for kind in (True, False)}


def usable(item: Item) -> bool:
    """Can the item be an example: is there an answer to show?"""
    return bool(item.answerable and (item.answer if item.choices else item.references))


def _tells(example: Item, item: Item, question: str) -> bool:
    """Would the example tell the item's answer, or be the item itself?"""
    return (
        example.id == item.id
        or (example.source_document is not None and example.source_document == item.source_document)
        or (example.context is not None and example.context == item.context)
        or normalised(example.question) == question
    )


def _shuffled(size: int, rng: random.Random) -> Iterator[int]:
    """All places in random order, drawn one by one: of ten thousand examples a prompt needs a few."""
    moved: dict[int, int] = {}
    for place in range(size):
        other = rng.randrange(place, size)
        yield moved.get(other, other)
        moved[other] = moved.get(place, place)
