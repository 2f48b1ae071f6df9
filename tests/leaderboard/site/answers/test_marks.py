"""Marks: the pieces are the answer, and a fact is marked by whether a reference has it in whatever unit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.leaderboard.site.answers.marks import marked


def facts(answer: str, references: list[str], question: str = "") -> list[tuple[str, str]]:
    return [(piece.text, piece.status) for piece in marked(answer, references, question) if piece.status]


def test_a_number_is_told_in_another_unit_and_other_with_another_value() -> None:
    assert facts("1000 MHz or 2 GHz", ["1 GHz"]) == [("1000 MHz", "told"), ("2 GHz", "other")]


def test_what_the_question_gives_is_marked_in_neither_way() -> None:
    assert facts("The AMF asks the UDM", ["the UDM"], "Whom does the AMF ask?") == [("UDM", "told")]
    assert facts("Of 5 slots 3", ["3"], "Which of 5 slots?") == [("3", "told")]


def test_without_numbers_or_names_in_the_reference_nothing_is_marked() -> None:
    assert facts("It takes 3 ms on N2", ["for ever"]) == []


def test_texts_whose_normal_form_is_longer_stay_whole() -> None:
    assert marked("½ of 5 MHz", ["5 MHz"], "") == [("½ of 5 MHz", None)]


@settings(deadline=None)
@given(st.text(alphabet="AMF n2 10.msGHz\u00bd\u202e<", max_size=60), st.text(alphabet="AMF 10ms ", max_size=20))
def test_the_pieces_are_the_answer(answer: str, reference: str) -> None:
    assert "".join(piece.text for piece in marked(answer, [reference], "")) == answer
