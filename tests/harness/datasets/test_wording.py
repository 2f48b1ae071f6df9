"""Cleaning, comparing and showing text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telbench.harness.cli.terminal import visible
from telbench.harness.datasets.wording import clean, covered_share, distinct, numbers, stem


@given(st.text())
def test_cleaning_is_idempotent_and_gives_storable_text(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned == " ".join(cleaned.split())
    cleaned.encode("utf-8")


@given(st.lists(st.text()))
def test_distinct_texts_have_no_equals_and_no_empties(texts: list[str]) -> None:
    kept = distinct(texts)
    assert all(kept)
    assert len({text.casefold() for text in kept}) == len(kept)
    assert distinct(kept) == kept


@given(st.text())
def test_shown_text_holds_no_control_or_direction_characters(text: str) -> None:
    shown = visible(text)
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 or 0x202A <= ord(sign) <= 0x202E for sign in shown)
    assert not any(0x2066 <= ord(sign) <= 0x2069 for sign in shown)


def test_numbers_are_found_in_names_and_with_points() -> None:
    assert numbers("TS 38.331 sets T300 to 1,000 ms.") == {"38.331", "300", "1,000"}


@pytest.mark.parametrize(
    ("first", "second"),
    [("handles", "handling"), ("registration", "registrations"), ("mapping", "mapped"), ("carries", "carried")],
)
def test_forms_of_a_word_have_one_stem(first: str, second: str) -> None:
    assert stem(first) == stem(second)


def test_covered_share_ignores_stop_words() -> None:
    assert covered_share("The AMF handles mobility", "mobility handling in an AMF") == 1.0
    assert covered_share("The AMF pays invoices", "the AMF") == pytest.approx(1 / 3)
