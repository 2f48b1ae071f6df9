"""What comes first, what grows, and what comes off."""

from __future__ import annotations

import pytest

from telbench.metrics.fact.reading.reading import read
from telbench.metrics.fact.relations.grades import grade_findings
from telbench.metrics.fact.relations.outcomes import outcome_findings
from telbench.metrics.fact.relations.sequence import sequence_findings


@pytest.mark.parametrize(
    ("reference", "same", "turned", "question"),
    [
        (
            "It ciphers after integrity protection.",
            "Integrity protection comes first, ciphering last.",
            "Ciphering comes first, integrity protection last.",
            "",
        ),
        (
            "Before it retrieves PFDs from the NEF.",
            "It subscribes first and retrieves PFDs afterwards.",
            "It retrieves PFDs first and subscribes afterwards.",
            "When does the SMF subscribe?",
        ),
        (
            "The stronger signal is decoded before the weaker one.",
            "It starts with the strong signal and then moves on to the weak one.",
            "It starts with the weak signal and then moves on to the strong one.",
            "",
        ),
        (
            "After the target has admitted the UE.",
            "First the target admits the UE; the command is sent next.",
            "First the command is sent; the target admits the UE next.",
            "When is the command sent?",
        ),
        (
            "Ringing must not start before the decision.",
            "The decision is made first, then ringing starts.",
            "Ringing starts first, then the decision is made.",
            "",
        ),
    ],
)
def test_what_comes_first_does_not_come_last(reference: str, same: str, turned: str, question: str) -> None:
    for answer, status in ((same, "agreed"), (turned, "contradicted")):
        found = sequence_findings(read(reference), read(answer), read(question))
        assert [each.status for each in found] == [status]


def test_once_per_slot_tells_no_order() -> None:
    reference, answer = read("It adjusts the power once per slot."), read("The power is adjusted by it, once per slot.")
    assert list(sequence_findings(reference, answer, read(""))) == []


@pytest.mark.parametrize(
    ("reference", "same", "turned"),
    [
        (
            "Accuracy on clean data drops.",
            "It becomes less accurate on clean data.",
            "It becomes more accurate on clean data.",
        ),
        ("Transmission is less robust.", "Robustness suffers.", "Robustness improves."),
        ("It prolongs battery life.", "Batteries last longer.", "Batteries last shorter."),
    ],
)
def test_what_grows_does_not_shrink(reference: str, same: str, turned: str) -> None:
    for answer, status in ((same, "agreed"), (turned, "contradicted")):
        assert [each.status for each in grade_findings(read(reference), read(answer), ())] == [status]


@pytest.mark.parametrize(
    ("reference", "same", "turned"),
    [
        ("Registration is refused.", "A registration will not succeed.", "A registration will succeed."),
        ("The NG connection is kept.", "The NG connection is not torn down.", "The NG connection is torn down."),
    ],
)
def test_what_fails_does_not_succeed(reference: str, same: str, turned: str) -> None:
    for answer, status in ((same, "agreed"), (turned, "contradicted")):
        found = outcome_findings(read(reference), read(answer), read(""))
        assert [each.status for each in found] == [status]
