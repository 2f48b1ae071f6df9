"""A hash table beside the records: it has to say what a dict says."""

from __future__ import annotations

import random

import pytest

from telbench.harness import key_index
from telbench.harness.key_index import KeyIndex


def test_it_says_what_a_dict_says_of_keys_that_come_again() -> None:
    draw = random.Random(1)
    records: list[str] = []
    index, known = KeyIndex(lambda place: records[place]), dict[str, int]()
    for _ in range(5_000):
        key = f"k{draw.randrange(2_000)}"
        assert index.find(key) == known.get(key)
        index.put(key, len(records))
        known[key] = len(records)
        records.append(key)
    assert len(index) == len(known)
    assert list(index) == list(known.values())
    assert all(key in index for key in known)
    assert "k2000" not in index
    assert index.find("") is None


def test_two_keys_of_one_hash_are_told_apart_by_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_index, "hash", len, raising=False)
    records = ["aa", "bb", "cc"]
    index = KeyIndex(records.__getitem__)
    for place, key in enumerate(records):
        assert index.find(key) is None
        index.put(key, place)
    assert [index.find(key) for key in (*records, "dd")] == [0, 1, 2, None]


def test_a_key_takes_less_than_thirty_bytes() -> None:
    index = KeyIndex(str)
    for place in range(100_000):
        index.put(str(place), place)
    arrays = (index._hashes, index._places, index._table)
    assert sum(each.itemsize * len(each) for each in arrays) < 30 * len(index)
