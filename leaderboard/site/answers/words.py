"""Texts as the words by which they are searched; ``assets/items.js`` cuts what is asked in the same way."""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A longer word is found by its beginning.
LONGEST_WORD = 32
# Scripts without spaces between words: every character is a word.
_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")
_ASCII = str.maketrans({chr(code): " " for code in range(128) if not chr(code).isalnum()})
# Pairs of a word and an item that are held at a time when lists are put together (16 MB).
_TOGETHER = 1 << 24


@dataclass(frozen=True)
class Words:
    """``words`` in order, and in which items each stands: ``places`` from its start to that of the next, rising."""

    words: Sequence[str]
    starts: NDArray[np.int64]
    places: NDArray[np.int32]


def words_of(text: str) -> set[str]:
    """The words of a text in small letters: runs of letters and digits.

    >>> sorted(words_of("TS 38.331: RRC_IDLE, 基站"))
    ['331', '38', 'idle', 'rrc', 'ts', '基', '站']
    """
    if text.isascii():
        found = text.lower().translate(_ASCII).split()
    else:
        found = _WORD.findall(unicodedata.normalize("NFKC", text).lower())
    return {word[:LONGEST_WORD] for word in found}


def bucket(word: str, length: int) -> str:
    """The file that holds a word: its first characters, those that a file name had better not have as ``_``.

    >>> bucket("rrc", 2), bucket("é", 2), bucket("a", 2)
    ('rr', '_', 'a')
    """
    return _written(word[:length])


@lru_cache(maxsize=4096)
def _written(letters: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in letters)


def words_in(texts: Iterable[str]) -> Words:
    """The words of texts, by their places."""
    import numpy as np

    known: dict[str, array[int]] = {}
    for place, text in enumerate(texts):
        for word in words_of(text):
            if word not in known:
                known[word] = array("i")
            known[word].append(place)
    words = sorted(known)
    starts = np.cumsum([0, *(len(known[word]) for word in words)], dtype=np.int64)
    places = np.frombuffer(b"".join(known[word].tobytes() for word in words), np.dtype("i"))
    return Words(words, starts, places.astype(np.int32))


def merged(lists: Sequence[Words], items: int) -> Iterator[tuple[str, NDArray[np.int32]]]:
    """The words of all the lists in order, each with the items (of so many) that it stands in by any of them."""
    import numpy as np

    words = sorted(set[str]().union(*(each.words for each in lists)))
    number = {word: place for place, word in enumerate(words)}
    numbers = [np.fromiter(map(number.__getitem__, each.words), np.int64, len(each.words)) for each in lists]
    height = max(1, _TOGETHER // max(1, items))
    for first in range(0, len(words), height):
        last = min(first + height, len(words))
        there = np.zeros((last - first, items), bool)
        for each, own in zip(lists, numbers, strict=True):
            low, high = np.searchsorted(own, [first, last]).tolist()
            counts = np.diff(each.starts[low : high + 1])
            rows = np.repeat(own[low:high] - first, counts)
            there[rows, each.places[each.starts[low] : each.starts[high]]] = True
        for row, word in zip(there, words[first:last], strict=True):
            yield word, np.flatnonzero(row).astype(np.int32)
