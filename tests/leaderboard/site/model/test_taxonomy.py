"""Error kinds: each rule on answers as small models give them, and the order in which rules decide."""

from __future__ import annotations

import pytest

from telbench.leaderboard.site.model.taxonomy import KINDS, Quantity, error_kind, names, quantities

WRONG = {"token_f1": 0.2}
CONTEXT = (
    "The UE shall start timer T3512 when it enters the state of deregistration and the network has provided a value "
    "for the periodic update in the accept message of the last registration procedure"
)


@pytest.mark.parametrize(
    ("answer", "reference", "kind"),
    [
        ("", "AMF", "empty"),
        (" ...\n--", "AMF", "empty"),
        ("I don't know.", "AMF", "refused"),
        ("It takes 20 ms.", "10 ms", "wrong number or unit"),
        ("It takes 10 s.", "10 ms", "wrong number or unit"),
        ("The bandwidth is 100 MHz", "20 MHz", "wrong number or unit"),
        ("There are three slots.", "two slots", "wrong number or unit"),
        ("The SMF does.", "The AMF does", "wrong entity"),
        ("See TS 38.331", "TS 38.413", "wrong entity"),
        ("over the Xn interface of gNB", "N2", "wrong entity"),
        ("the network chooses one", "the handset chooses", "other"),
    ],
)
def test_a_wrong_answer_has_its_kind(answer: str, reference: str, kind: str) -> None:
    assert error_kind(answer, [reference], WRONG) == kind


def test_a_right_answer_has_none() -> None:
    assert error_kind("It is the AMF.", ["AMF"], {"token_f1": 0.67}) is None
    assert error_kind("B", ["the AMF"], {"choice_accuracy": 1.0}) is None
    assert error_kind("some other words", ["AMF"], {"answer_correctness": 0.8, "token_f1": 0.0}) is None


def test_a_whole_reference_in_a_long_answer_is_right_whatever_its_overlap() -> None:
    assert error_kind("As we know from many texts it is the AMF that does so.", ["The AMF"], WRONG) is None
    # One digit is found in many texts.
    assert error_kind("There are 15 of 4 kinds, 8 in all", ["4"], WRONG) == "other"


def test_the_judge_decides_before_the_words() -> None:
    assert error_kind("the network chooses", ["x y"], {"factual_correctness": 0.0, "token_f1": 0.9}) == "other"


def test_a_cut_answer_is_truncated_unless_it_is_right_already() -> None:
    assert error_kind("The SMF does the", ["AMF"], WRONG, finish_reason="length") == "truncated"
    assert error_kind("The AMF does and", ["AMF"], WRONG, finish_reason="length") is None


def test_refusing_is_right_where_there_is_no_answer() -> None:
    assert error_kind("The context does not mention it.", [], {}, answerable=False) is None
    assert error_kind("It is 10 ms.", [], {}, answerable=False) == "not refused"


def test_a_wrong_passage_repeated_is_copied_context() -> None:
    copied = "The UE shall start timer T3512 when it enters the state of deregistration and the network"
    assert error_kind(copied, ["T3511"], WRONG, context=CONTEXT) == "copied context"
    assert error_kind(copied, ["T3511"], WRONG) == "wrong entity"
    assert error_kind("The UE shall start timer T3510", ["T3511"], WRONG, context=CONTEXT) == "wrong entity"


def test_what_the_question_names_is_no_wrong_entity() -> None:
    assert error_kind("the gNB asks the core", ["the AMF"], WRONG, question="What does the gNB do?") == "other"


def test_a_quantity_that_one_reference_has_is_not_wrong() -> None:
    assert error_kind("about 1000 MHz or so it seems", ["1 GHz", "2 GHz"], WRONG) == "other"


def test_long_hostile_answers_have_a_kind() -> None:
    for answer in ("1" * 1_000_000, "A1-" * 400_000, "1,1." * 250_000, "\x00" * 1_000_000, "not " * 250_000):
        assert error_kind(answer, ["10 ms", "AMF"], WRONG, context="B2 " * 400_000) in KINDS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("-110 dBm", {Quantity(-110.0, "level")}),
        ("0.5 ms", {Quantity(0.0005, "time")}),
        ("1,024 bytes", {Quantity(8192.0, "size")}),
        ("between 5 and 10 slots", {Quantity(5.0, ""), Quantity(10.0, "")}),
        ("twelve symbols", {Quantity(12.0, "")}),
        ("5G NR in Release 15, TS 38.331, n78, Rel-16, T3512", set()),
    ],
)
def test_quantities_are_numbers_with_units_and_not_parts_of_names(text: str, found: set[Quantity]) -> None:
    assert quantities(text) == found


def test_names_are_the_same_in_singular_and_plural_and_either_spelling() -> None:
    assert names("gNBs use TS 38.331") == names("a gNB, TS38.331")
