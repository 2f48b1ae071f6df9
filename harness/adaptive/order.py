"""In which order items are asked: a random one, which data, seed and nothing else decide."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

# The first look needs enough items for a spread; later ones follow when an eighth more is known.
FIRST = 32
GROWTH = 8


def asking_order(ids: Sequence[str], seed: int) -> list[int]:
    """Places of the items in the order in which they are asked: by the hash of seed and id.

    Every model is asked in the same order, however the data are sorted. Any first n of them are a simple random sample
    without replacement.

    >>> sorted(asking_order(["a", "b", "c"], 0)), asking_order(["b", "a"], 1) == [1 - k for k in asking_order("ab", 1)]
    ([0, 1, 2], True)
    """
    keys = [hashlib.sha256(f"adaptive:{seed}:{each}".encode()).digest() for each in ids]
    return sorted(range(len(ids)), key=keys.__getitem__)


def looks(count: int) -> Iterator[int]:
    """After how many of ``count`` items to look: few times, and never an eighth too late; the last is ``count``.

    >>> list(looks(100))
    [32, 64, 96, 100]
    """
    asked = 0
    while asked < count:
        asked = min(count, asked + max(FIRST, asked // GROWTH))
        yield asked
