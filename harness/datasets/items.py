"""The canonical item, and what a loader hands over."""

from __future__ import annotations

import hashlib
import marshal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any, Literal, overload

from ...metrics.fingerprints import fingerprint
from ..spool import Spool

# So many items of a file are kept in memory; of more, all are on disk.
HELD = 20_000


@dataclass(frozen=True, slots=True)
class Item:
    """One question; ``answer`` holds 0-based indices into ``choices`` (several for multi-select), empty for open ones.

    ``references`` are deduplicated without regard to case, empties dropped; a score is the maximum over them.
    ``source_document`` is the cluster that the item's sampling error goes by. ``passages`` are the parts of a context
    that came as several, else empty.
    """

    id: str
    question: str
    references: tuple[str, ...] = ()
    context: str | None = None
    choices: tuple[str, ...] = ()
    answer: tuple[int, ...] = ()
    source_document: str | None = None
    category: str | None = None
    split: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    passages: tuple[str, ...] = ()

    @property
    def answerable(self) -> bool:
        """Is there an answer? Questions with ``meta["unanswerable"]`` ought to be refused."""
        return not self.meta.get("unanswerable")

    @property
    def gold_references(self) -> tuple[str, ...]:
        """The references to score or train against: none where the question cannot be answered, whatever it carries."""
        return self.references if self.answerable else ()


_names = [each.name for each in fields(Item)]
_fields, _SPLIT = attrgetter(*_names), _names.index("split")


class Items(Sequence[Item]):
    """Items in their order: in memory while they are few, else in a file without a name, read as they are asked for.

    Then memory holds 8 bytes an item. ``splits`` counts the items of each split.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        """The items to begin with."""
        self.splits: Counter[str | None] = Counter()
        self._held: list[Item] = []
        self._spool: Spool | None = None
        # A file that names no split is all of one: its items need not be written anew.
        self._split: str | None = None
        for item in items:
            self.append(item)

    def append(self, item: Item) -> None:
        """Add an item. Raises `InputError` when the disk is full."""
        self.splits[item.split] += 1
        if self._spool is not None:
            self._write(self._spool, item)
            return
        self._held.append(item)
        if len(self._held) > HELD:
            self._spool = Spool()
            for each in self._held:
                self._write(self._spool, each)
            self._held = []

    def all_of(self, split: str) -> Items:
        """The same items, of which none names a split, as those of this one."""
        if self._spool is None:
            return Items(replace(item, split=split) for item in self._held)
        made = Items()
        made._spool, made._split, made.splits = self._spool, split, Counter({split: len(self)})
        return made

    @property
    def kept(self) -> Sequence[Item]:
        """The items as they are kept from now on: few as a tuple, many as they are."""
        return tuple(self._held) if self._spool is None else self

    @property
    def ids(self) -> Sequence[str]:
        """The ids in order."""
        return _Ids(self)

    def __len__(self) -> int:
        return len(self._held) if self._spool is None else len(self._spool)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, place: int | slice) -> Item | tuple[Item, ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(*place.indices(len(self))))
        if self._spool is None:
            return self._held[place]
        return self._read(self._spool[place if place >= 0 else len(self) + place])

    def __iter__(self) -> Iterator[Item]:
        return iter(self._held) if self._spool is None else map(self._read, self._spool)

    @staticmethod
    def _write(spool: Spool, item: Item) -> None:
        # Written and read by one process alone, so that the format need not outlive it.
        spool.append(marshal.dumps([*_fields(item)[:-2], dict(item.meta), item.passages]))

    def _read(self, record: bytes) -> Item:
        told: list[Any] = marshal.loads(record)  # noqa: S302 - this process wrote it, to a file that no other can open
        if self._split is not None:
            told[_SPLIT] = self._split
        return Item(*told)


class _Ids(Sequence[str]):
    """The ids of items, each read with its item."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        return tuple(item.id for item in self._items[place]) if isinstance(place, slice) else self._items[place].id

    def __iter__(self) -> Iterator[str]:
        return (item.id for item in self._items)


@dataclass(frozen=True)
class DataSet:
    """Items of one split with what was dropped (reason to count) and how the split was made (in words, recorded).

    ``dropped`` and ``repaired`` (records mended, such as repeated ids, or read by what their file looks like) are
    counted over the whole set, before the split. ``warnings`` are lines on how a file was read.
    """

    name: str
    split: str
    items: Sequence[Item]
    dropped: Mapping[str, int] = field(default_factory=dict)
    split_rule: str = ""
    source: str = ""
    repaired: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """What a person should hear before trusting how the items were read, a line each."""
        return (*self.warnings, *(f"{what}: {count:,}" for what, count in self.repaired.items()))

    @property
    def item_ids(self) -> Sequence[str]:
        """The ids of the items, in order."""
        return self.items.ids if isinstance(self.items, Items) else tuple(item.id for item in self.items)

    @property
    def book(self) -> Literal["open", "closed"]:
        """What the data set means (``meta.book``), else open where any item has a context."""
        meant = {str(item.meta.get("book")) for item in self.items if item.meta.get("book")}
        if meant == {"closed"}:
            return "closed"
        return "open" if any(item.context for item in self.items) else "closed"

    @property
    def items_sha256(self) -> str:
        """Fingerprint of everything that scoring and prompting read, in order, item by item."""
        digest = hashlib.sha256()
        for item in self.items:
            # Fields hold nothing but texts and tuples of them: no deep copy of each is needed.
            facts = {field.name: getattr(item, field.name) for field in fields(item)}
            if not item.passages:
                # Items without passages keep the fingerprint that they had before there were any.
                del facts["passages"]
            digest.update(fingerprint(facts).encode())
        return digest.hexdigest()
