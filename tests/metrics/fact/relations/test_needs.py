"""What something needs and does without, in many words for it."""

from __future__ import annotations

import pytest

from telbench.metrics.fact.reading.reading import read
from telbench.metrics.fact.relations.needs import need_findings, needed_alike


def statuses(reference: str, answer: str) -> set[str]:
    return {each.status for each in need_findings(read(reference), read(answer))}


NEEDED = "Recovery requires random access."
UNNEEDED = "User consent is not needed."


@pytest.mark.parametrize(
    ("reference", "answer", "status"),
    [
        (NEEDED, "Recovery cannot be done unless the UE performs random access.", "agreed"),
        (NEEDED, "Recovery is impossible without random access.", "agreed"),
        (NEEDED, "Recovery works only with random access.", "agreed"),
        (NEEDED, "Recovery can be done without random access.", "contradicted"),
        (NEEDED, "Random access is unnecessary.", "contradicted"),
        (UNNEEDED, "It works irrespective of the user's consent.", "agreed"),
        (UNNEEDED, "It works without user consent.", "agreed"),
        (UNNEEDED, "It is given only with the user's consent.", "contradicted"),
        ("A call has to be anchored in IMS.", "A call that is not anchored in IMS cannot move.", "agreed"),
        ("Handover requires the call to be anchored.", "A call that is not anchored can move.", "contradicted"),
        ("Authentication may be skipped.", "The UE need not be authenticated.", "agreed"),
        ("The UE may skip measurements.", "The UE has to measure.", "contradicted"),
        ("No activation is needed.", "Type 1 needs no activation.", "agreed"),
        ("No connection has to be set up.", "It works without a connection.", "agreed"),
    ],
)
def test_needs_are_held_against_one_another(reference: str, answer: str, status: str) -> None:
    assert statuses(reference, answer) == {status}


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        (NEEDED, "It works without a measurement gap."),
        # Each is needed by another.
        ("A heterodyne receiver needs a laser, direct detection does not need a laser.", "It works without a laser."),
        ("Cells that do not overlap need a carrier.", "Cells are quiet."),
    ],
)
def test_needs_of_other_things_say_nothing(reference: str, answer: str) -> None:
    assert statuses(reference, answer) == set()


def test_what_both_need_is_known() -> None:
    alike = needed_alike(read("The call has to be anchored."), read("A call that is not anchored cannot move."))
    assert "anchor" in alike
