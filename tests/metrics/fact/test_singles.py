"""One, none and several of a thing."""

from __future__ import annotations

import pytest

from telbench.metrics.fact.reading.reading import read
from telbench.metrics.fact.singles import single_findings


def statuses(reference: str, answer: str, question: str = "") -> list[tuple[str, bool]]:
    return [(each.status, each.only_if_seen) for each in single_findings(read(reference), read(answer), read(question))]


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("One tunnel carries a single PDU session.", "A tunnel can carry fifteen PDU sessions."),
        ("Four BWPs, of which only one is active.", "Four BWPs, and two of them are active."),
        ("The UE monitors one paging occasion.", "It monitors two paging occasions."),
        ("Three attempts are made.", "Only one attempt is made."),
        ("Two retransmissions follow.", "No retransmission follows."),
    ],
)
def test_another_number_of_the_same_thing_contradicts(reference: str, answer: str) -> None:
    assert ("contradicted", True) in statuses(reference, answer)


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("One tunnel carries a single PDU session.", "It carries exactly one PDU session."),
        ("One of the two sends it.", "Two nodes are there."),
        ("Three attempts are made.", "There are three attempts, only one attempt at a time."),
        ("Three attempts are made.", "No further attempt follows after three."),
        ("The first symbol is used.", "Two symbols are used."),
    ],
)
def test_the_same_number_or_other_things_do_not(reference: str, answer: str) -> None:
    assert all(status != "contradicted" for status, _ in statuses(reference, answer))


def test_one_is_a_fact_to_be_told_where_a_number_is_asked_for() -> None:
    asked = "How many paging occasions per cycle?"
    assert statuses("The UE monitors one paging occasion.", "It sleeps.", asked) == [("omitted", False)]
    assert statuses("The UE monitors one paging occasion.", "Just a single PO.", asked) == [("agreed", False)]
    assert statuses("The UE monitors one paging occasion.", "It sleeps.") == []
