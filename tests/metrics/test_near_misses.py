"""Near misses change one fact and no other; restatements change none; both are the same every time."""

from __future__ import annotations

import pytest

from telbench.harness.datasets.loading import load_whole
from telbench.harness.datasets.settings import DataSettings
from telbench.metrics.near_misses import KINDS, Kind, near_miss, near_misses, restated


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("unit", "It lasts 5 ms.", "It lasts 5 s."),
        ("unit", "A spacing of 15 kHz", "A spacing of 15 MHz"),
        ("negation", "Yes, it is ciphered.", "No, it is ciphered."),
        ("negation", "It works without a SIM.", "It works with a SIM."),
        ("negation", "The MAC is not ciphered.", "The MAC is ciphered."),
        ("negation", "The AMF selects an SMF.", "The AMF does not select an SMF."),
        ("direction", "Before the handover", "After the handover"),
        ("direction", "It goes from the UE to the gNB.", "It goes from the gNB to the UE."),
        ("entity", "It runs over SCTP and IPv6.", "It runs over SCTP and IPv4."),
    ],
)
def test_a_rule_changes_what_its_kind_says(kind: Kind, right: str, wrong: str) -> None:
    made = {near_misses(right, seed=seed)[kind] for seed in range(12)}
    assert wrong in made


def test_a_number_becomes_another_one() -> None:
    for seed in range(20):
        wrong = near_misses("It has 32 bits.", seed=seed)["number"]
        assert wrong != "It has 32 bits."
        assert wrong.split()[:2] == ["It", "has"]
        assert int(wrong.split()[2]) > 32


def test_numbers_within_names_stay() -> None:
    for text in ("See TS 38.331 clause 5.3.1.", "The band n78 and T3512", "Rel-16 defines it"):
        assert "number" not in near_misses(text)


def test_what_the_question_gives_is_not_changed() -> None:
    assert "number" not in near_misses("With 15 kHz it is used.", "Which is used with 15 kHz?")
    assert "entity" not in near_misses("The AMF does it.", "What does the AMF do?")
    assert "direction" not in near_misses("In the downlink it is sent.", "What is sent in the downlink?")
    # A question that names both sides asks which of them it is.
    assert "direction" in near_misses("In the downlink.", "Is it sent in the uplink or the downlink?")
    assert "entity" in near_misses("The AMF.", "Does the AMF or the SMF select it?")


def test_a_near_miss_is_no_reference() -> None:
    right = ["It is the uplink.", "It is the downlink.", "It is not the uplink."]
    found = near_misses(right[0], right=right)
    assert {text.casefold() for text in found.values()}.isdisjoint(text.casefold() for text in right)


def test_the_same_text_gives_the_same_near_miss() -> None:
    text = "The AMF sends 3 messages of 5 ms in the uplink."
    assert near_misses(text) == near_misses(text)
    kinds = {found[0] for seed in range(40) if (found := near_miss(text, seed=seed))}
    assert kinds == set(KINDS) - {"negation"}


def test_a_text_without_room_has_none() -> None:
    assert near_misses("A beam") == {}
    assert near_miss("A beam") is None
    assert restated("A beam") is None


def test_half_of_the_references_have_room_for_a_wrong_fact_and_none_is_right_by_mistake() -> None:
    items = load_whole(DataSettings(data="telecom-nano")).split("test").items
    found = [near_misses(item.references[0], item.question, item.references) for item in items if item.references]
    assert sum(map(bool, found)) > 0.8 * len(found)
    for made, item in zip(found, (item for item in items if item.references), strict=True):
        assert set(made.values()).isdisjoint(item.references)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("The AMF uses 5 ms.", "The access and mobility management function makes use of 5 milliseconds."),
        ("at most two octets", "no more than 2 bytes"),
        ("PDCCH-ordered", None),
    ],
)
def test_a_restatement_says_the_same(text: str, other: str | None) -> None:
    assert restated(text) == other
