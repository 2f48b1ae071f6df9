"""The word diff gives both texts back, finds the longest common words, and ends in time on any input."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.leaderboard.site.answers.word_diff import MOST_WORDS, word_diff

TEXTS = st.lists(st.sampled_from(["a", "gNB", "the", "AMF", "sends", "registration", "\n"]), max_size=25).map(" ".join)


def old_words(old: str, new: str) -> list[str]:
    kept = [piece.text for piece in word_diff(old, new) if piece.kind == "same" or not piece.new]
    return "".join(text + " " for text in kept).split()


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_pieces_give_both_texts_back(old: str, new: str) -> None:
    pieces = word_diff(old, new)
    assert "".join(piece.text for piece in pieces if piece.new) == new
    assert old_words(old, new) == old.split()


@settings(deadline=None)
@given(TEXTS)
def test_equal_texts_have_no_difference(text: str) -> None:
    assert {piece.kind for piece in word_diff(text, text)} <= {"same"}


def test_white_space_alone_is_no_difference() -> None:
    assert {piece.kind for piece in word_diff("the AMF  sends", "the AMF\nsends")} == {"same"}


def test_a_changed_word_stands_between_what_is_kept() -> None:
    found = [(piece.kind, piece.text) for piece in word_diff("timer T3512 is 54 minutes", "timer T3512 is 10 minutes")]
    assert found == [("same", "timer T3512 is "), ("removed", "54 "), ("added", "10 "), ("same", "minutes")]


def test_a_short_common_word_between_changes_is_not_shown_as_kept() -> None:
    kinds = [piece.kind for piece in word_diff("red apples of Rome", "green pears of Paris")]
    assert kinds == ["removed", "added"]


@pytest.mark.parametrize("vocabulary", [2, 50_000])
def test_a_megabyte_is_compared_up_to_a_limit_and_the_rest_is_told(vocabulary: int) -> None:
    draw = random.Random(0)
    old, new = (" ".join(f"w{draw.randrange(vocabulary)}" for _ in range(200_000)) for _ in range(2))
    pieces = word_diff(old, new)
    rest = [piece for piece in pieces if piece.kind == "not compared"]
    assert [piece.new for piece in rest] == [False, True]
    assert all(len(piece.text.split()) == 200_000 - MOST_WORDS for piece in rest)
    assert "".join(piece.text for piece in pieces if piece.new) == new


def test_one_endless_word_is_one_word() -> None:
    assert [piece.kind for piece in word_diff("x" * 1_000_000, "y" * 1_000_000)] == ["removed", "added"]
