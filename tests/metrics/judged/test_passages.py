"""Cutting a context into passages: all of it, in order, few, at ends of sentences or paragraphs."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.metrics.judged.recipe import SHORTEST, passages_of

WORDS = st.lists(st.text("aAbé. !?\n。,3", max_size=400), max_size=30).map(" ".join)


def bare(text: str) -> str:
    return re.sub(r"\s", "", text)


@given(WORDS, st.integers(1, 12))
@settings(max_examples=200, deadline=None)
def test_passages_are_few_none_blank_and_together_the_context(context: str, most: int):
    passages = passages_of(context, most)
    assert len(passages) <= most
    assert all(passage.strip() == passage != "" for passage in passages)
    assert bare("".join(passages)) == bare(context)


@given(WORDS)
@settings(max_examples=100, deadline=None)
def test_no_passage_but_the_last_is_short(context: str):
    assert all(len(passage) >= SHORTEST for passage in passages_of(context)[:-1])


def test_a_short_context_is_one_passage_and_a_blank_one_none():
    assert passages_of("The AMF terminates N1. It also terminates N2.") == (
        "The AMF terminates N1. It also terminates N2.",
    )
    assert passages_of(" \n ") == ()


def test_short_paragraphs_stay_whole_and_long_ones_are_cut_after_sentences():
    short = "The SMF manages sessions. " * 8
    long = "The UPF forwards packets on N3 and N6. " * 60
    passages = passages_of(f"{short}\n\n{short}\n{long}")
    assert passages[0] == f"{short.strip()}\n{short.strip()}"
    assert all(passage.endswith(".") for passage in passages)
    assert 2 < len(passages) <= 12


def test_a_table_without_sentences_is_not_torn():
    table = "band | 78 | 79 " * 200
    assert passages_of(table) == (table.strip(),)
