"""The prompts of a run whose answers are there already: no texts, but items with the order of their options."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

from ..datasets.items import Item
from ..engines.contract import Request
from .build import Prompt


class GivenPrompts(Sequence[Prompt]):
    """A prompt an item, made when it is asked for; memory holds 4 bytes each, and every order of options once."""

    def __init__(self, items: Sequence[Item]) -> None:
        """The prompts of these items, whose orders are still to be told (`add`)."""
        self._items = items
        self._orders: dict[tuple[int, ...], int] = {}
        self._known: list[tuple[int, ...]] = []
        self._numbers = array("I")

    def add(self, order: tuple[int, ...]) -> None:
        """Tell the next item's order of options."""
        number = self._orders.setdefault(order, len(self._known))
        if number == len(self._known):
            self._known.append(order)
        self._numbers.append(number)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Prompt: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Prompt, ...]: ...
    def __getitem__(self, place: int | slice) -> Prompt | tuple[Prompt, ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(*place.indices(len(self))))
        return self._made(self._items[place].id, self._numbers[place])

    def __iter__(self) -> Iterator[Prompt]:
        return (self._made(item.id, number) for item, number in zip(self._items, self._numbers, strict=True))

    @property
    def orders(self) -> Iterator[tuple[int, ...]]:
        """The orders of options, item by item."""
        return (self._known[number] for number in self._numbers)

    def beside(self, items: Sequence[Item]) -> Iterator[tuple[Item, Prompt]]:
        """Each of the items with its prompt."""
        return ((item, self._made(item.id, number)) for item, number in zip(items, self._numbers, strict=True))

    def _made(self, item_id: str, number: int) -> Prompt:
        return Prompt(Request(f"item:{item_id}", item_id, ()), self._known[number])


def prompts_beside(items: Sequence[Item], prompts: Sequence[Prompt]) -> Iterator[tuple[Item, Prompt]]:
    """Each item with its prompt, in order; items that are on disk are read once."""
    return prompts.beside(items) if isinstance(prompts, GivenPrompts) else zip(items, prompts, strict=True)
