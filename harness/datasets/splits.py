"""Splits that do not leak: whole documents go to one side, by a hash that no file order changes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from telbench.errors import InputError

from .items import Item
from .wording import normalised

SPLITS = ("train", "dev", "test")
ALL = "all"
FRACTIONS = (0.8, 0.1, 0.1)
SEED = "telbench-1"
Unit = Literal["source_document", "item"]


@dataclass(frozen=True)
class SplitRule:
    """How items come into splits: ``words`` are recorded with every run, ``assign`` names an item's split.

    ``published`` says that the rule belongs to the set itself (``data split`` keeps it unless told otherwise);
    ``shares_documents`` that it parts the wordings of questions and not the documents, on purpose.
    """

    words: str
    assign: Callable[[Item], str]
    published: bool = False
    shares_documents: bool = False


def everything_in(split: str, why: str) -> SplitRule:
    """All items in one split."""
    return SplitRule(f"all items in '{split}': {why}", lambda _: split)


def by_hash(unit: Unit = "source_document", fractions: Sequence[float] = FRACTIONS, seed: str = SEED) -> SplitRule:
    """Train/dev/test by the SHA-256 of the seed and the unit that an item belongs to.

    The unit is the source document, or the normalised question where there is none (and with ``unit="item"``): equal
    questions never part. The share that a split gets is the fraction of *units* expected, not an exact count.

    Raises:
        InputError: if the fractions are not three shares that sum to 1.
    """
    shares = tuple(float(fraction) for fraction in fractions)
    if len(shares) != len(SPLITS) or not all(0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-9:
        given = ",".join(f"{share:g}" for share in shares)
        raise InputError(f"--fractions {given}: three shares for train,dev,test that sum to 1, such as 0.8,0.1,0.1")
    named = "source document (by question where there is none)" if unit == "source_document" else "question"
    by_share = "/".join(f"{share:g}" for share in shares)

    def assign(item: Item) -> str:
        document = item.source_document if unit == "source_document" else None
        key = f"document\0{document}" if document else f"question\0{normalised(item.question)}"
        place = _place(seed, key)
        if place < shares[0]:
            return SPLITS[0]
        return SPLITS[1] if place < shares[0] + shares[1] or shares[2] == 0 else SPLITS[2]

    return SplitRule(f"train/dev/test {by_share} by SHA-256 of the {named}, seed '{seed}'", assign)


def _place(seed: str, key: str) -> float:
    """A number in [0, 1) that seed and key decide."""
    digest = hashlib.sha256(f"{seed}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def split_sizes(items: Sequence[Item]) -> dict[str, int]:
    """Number of items in each split: train, dev, test first, then others by name."""
    sizes = Counter(item.split or "" for item in items)
    order = [name for name in SPLITS if name in sizes] + sorted(sizes.keys() - set(SPLITS))
    return {name: sizes[name] for name in order}
