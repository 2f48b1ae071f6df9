"""What a loader is and what it hands over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from .items import Item
from .splits import SplitRule

Task = Literal[
    "extractive QA",
    "table QA",
    "open QA",
    "long QA",
    "definition",
    "multiple choice",
    "multi-select",
    "number",
    "label",
    "YAML",
]


@dataclass(frozen=True)
class LoadedItems:
    """All items of a set in file order, what was dropped and what was mended or recognised (reason to count).

    ``warnings`` are lines that a person should read, ``unread`` the columns that nothing is taken from.
    """

    items: Sequence[Item]
    dropped: Mapping[str, int] = field(default_factory=dict)
    repaired: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetSpec:
    """A data set that can be loaded by name; the object behind an entry point of the group ``telbench.datasets``.

    ``files`` are the published file names, looked for in the data folder and in its ``folder``; none for an embedded
    set. ``also`` has further names that a file goes by. ``load`` is given them by name, with the options that the user
    set. ``options`` maps each option to the values it takes, the default first. ``origin`` says where the set comes
    from. ``protected``: its publisher keeps the texts from being crawled, so pages do not show them unless asked.
    """

    name: str
    summary: str
    task: Task
    folder: str
    files: tuple[str, ...]
    licence: str
    origin: str
    load: Callable[[Mapping[str, Path], Mapping[str, str]], LoadedItems]
    split_rule: SplitRule
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protected: bool = False


@dataclass
class Collector:
    """Items as they are read, with drops and mendings counted by reason."""

    items: list[Item] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)

    def drop(self, reason: str) -> None:
        """Count one record that is left out."""
        self.dropped[reason] += 1

    def loaded(self) -> LoadedItems:
        """Everything read, ids made unique."""
        items, renamed = unique_ids(self.items)
        if renamed:
            self.repaired["repeated id numbered"] = renamed
        return LoadedItems(items, dict(self.dropped), dict(self.repaired))


def unique_ids(items: Iterable[Item]) -> tuple[tuple[Item, ...], int]:
    """Items with ids made unique in file order (``a``, ``a#2``, ``a#3``), and how many were changed."""
    items = tuple(items)
    taken = {item.id for item in items}
    seen: Counter[str] = Counter()
    unique: list[Item] = []
    renamed = 0
    for item in items:
        seen[item.id] += 1
        if seen[item.id] == 1:
            unique.append(item)
            continue
        renamed += 1
        while (name := f"{item.id}#{seen[item.id]}") in taken:
            seen[item.id] += 1
        taken.add(name)
        unique.append(replace(item, id=name))
    return tuple(unique), renamed


def chosen(choices: tuple[str, ...], answer: Iterable[int]) -> tuple[str, ...]:
    """The texts of the right choices: what n-gram metrics compare a free answer with."""
    from .wording import distinct

    return distinct(choices[index] for index in answer)
