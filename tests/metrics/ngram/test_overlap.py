"""Shared n-grams of many pairs, against counting with dictionaries."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.metrics.ngram.overlap import _sorted_shared, shared_ngrams

SYMBOLS = st.text(st.characters(exclude_characters=" \n"), max_size=30)


def counted(left: str, right: str, order: int) -> list[int]:
    return [
        (
            Counter(left[i : i + n] for i in range(len(left) - n + 1))
            & Counter(right[i : i + n] for i in range(len(right) - n + 1))
        ).total()
        for n in range(1, order + 1)
    ]


@given(st.lists(st.tuples(SYMBOLS, SYMBOLS), max_size=8), st.sampled_from([1, 2, 4, 6]))
@settings(max_examples=200, deadline=None)
def test_any_strings_are_counted_right(pairs: list[tuple[str, str]], order: int) -> None:
    assert shared_ngrams(pairs, order).tolist() == [counted(left, right, order) for left, right in pairs]


@given(st.lists(st.tuples(st.text("ab\0", max_size=40), st.text("ab\0", max_size=40)), min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_repetitive_strings_are_counted_right(pairs: list[tuple[str, str]]) -> None:
    assert shared_ngrams(pairs, 6).tolist() == [counted(left, right, 6) for left, right in pairs]


@pytest.mark.parametrize("distinct", [1_000, 1_100, 40_000])
def test_alphabets_too_large_to_pack_fall_back_to_counting(distinct: int) -> None:
    left = "".join(chr(0x4E00 + index) for index in range(distinct))
    pieces = [left[start : start + 7] for start in range(0, distinct, 7)]
    right = "".join(piece[::-1] if index % 3 == 0 else piece for index, piece in enumerate(pieces))
    pairs = [("abc", "abd"), (left, right), ("", "x")]
    assert shared_ngrams(pairs, 6).tolist() == [counted(a, b, 6) for a, b in pairs]


def test_pairs_beyond_one_chunk_keep_their_order() -> None:
    pairs = [("ab" * (index % 7) * 400, "ba" * (index % 5) * 300) for index in range(120)]
    assert shared_ngrams(pairs, 4).tolist() == [counted(left, right, 4) for left, right in pairs]


def most_of(group: tuple[str, ...], order: int) -> list[int]:
    """The same with several others: each n-gram at most as often as in the one that has most of it."""

    def grams(text: str, n: int) -> Counter[str]:
        return Counter(text[i : i + n] for i in range(len(text) - n + 1))

    most = [Counter[str]() for _ in range(order)]
    for text in group[1:]:
        most = [one | grams(text, n) for n, one in enumerate(most, 1)]
    return [(grams(group[0], n) & one).total() for n, one in enumerate(most, 1)]


@given(
    st.lists(st.lists(st.text("ab\0", max_size=30), min_size=2, max_size=6).map(tuple), min_size=1, max_size=8),
    st.sampled_from([1, 4, 6]),
)
@settings(max_examples=200, deadline=None)
def test_several_others_count_by_the_one_that_has_most(groups: list[tuple[str, ...]], order: int) -> None:
    assert shared_ngrams(groups, order).tolist() == [most_of(group, order) for group in groups]


def test_several_others_of_large_alphabets_fall_back_to_counting() -> None:
    letters = "".join(chr(0x4E00 + index) for index in range(40_000))
    groups = [("abab", "ab", "bab"), (letters, letters[:300], letters[200:900], letters[50:70])]
    assert shared_ngrams(groups, 4).tolist() == [most_of(group, 4) for group in groups]


def test_no_pairs_give_no_rows() -> None:
    assert shared_ngrams([], 4).shape == (0, 4)


def test_many_short_groups_take_time_in_proportion() -> None:
    def seconds(groups: int) -> float:
        texts = [("abcab", "bcabb", "abbac")] * groups
        times = []
        for _ in range(5):
            start = time.process_time()
            _sorted_shared(texts, 4)
            times.append(time.process_time() - start)
        return min(times)

    # Eight times the groups: eight times the time, where a step that looks at all groups for each takes 64.
    assert seconds(8_000) < 24 * seconds(1_000)
