"""The canonical item, and what a loader hands over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ...metrics.fingerprints import fingerprint


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


@dataclass(frozen=True)
class DataSet:
    """Items of one split with what was dropped (reason to count) and how the split was made (in words, recorded).

    ``dropped`` and ``repaired`` (records mended, such as repeated ids, or read by what their file looks like) are
    counted over the whole set, before the split. ``warnings`` are lines on how a file was read.
    """

    name: str
    split: str
    items: tuple[Item, ...]
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
