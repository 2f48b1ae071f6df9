"""Where the record of a key stands: a hash table of numbers, some 25 bytes a key, beside records kept elsewhere.

A dict from texts to numbers takes 150 bytes or more: the keys of a million answers would fill memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

# Keys for each slot of the table, at most.
_FULL = 2 / 3
_SLOTS = 64


class KeyIndex:
    """Places by key, in the order in which the keys came. A place is any number from 0: an offset, or one in a list.

    Keys are not held. Two that share a 64-bit hash are told apart by ``key_at``, which reads the key at a place.
    """

    def __init__(self, key_at: Callable[[int], str]) -> None:
        """No keys yet."""
        self._key_at = key_at
        self._hashes, self._places = array("q"), array("Q")
        # Number of the key plus one; 0 is free.
        self._table = array("I", bytes(4 * _SLOTS))

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, key: str) -> bool:
        return self.find(key) is not None

    def __iter__(self) -> Iterator[int]:
        """The places, in the order in which their keys came first."""
        return iter(self._places)

    def find(self, key: str) -> int | None:
        """The place of a key; None where there is none."""
        number = self._table[self._slot(key)]
        return self._places[number - 1] if number else None

    def put(self, key: str, place: int) -> None:
        """Say where a key is, for the first time or anew."""
        slot = self._slot(key)
        if number := self._table[slot]:
            self._places[number - 1] = place
            return
        self._hashes.append(hash(key))
        self._places.append(place)
        self._table[slot] = len(self._hashes)
        if len(self._hashes) > _FULL * len(self._table):
            self._grow()

    def _slot(self, key: str) -> int:
        """The slot of a key, or the free one where it would be put."""
        own, table, hashes = hash(key), self._table, self._hashes
        mask = len(table) - 1
        slot = own & mask
        while number := table[slot]:
            if hashes[number - 1] == own and self._key_at(self._places[number - 1]) == key:
                break
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        table = self._table = array("I", bytes(8 * len(self._table)))
        mask = len(table) - 1
        for number, own in enumerate(self._hashes, start=1):
            slot = own & mask
            while table[slot]:
                slot = (slot + 1) & mask
            table[slot] = number
