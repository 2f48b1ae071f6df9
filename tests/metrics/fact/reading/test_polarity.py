"""What a text denies, and which side of a contrast it names."""

from __future__ import annotations

import pytest

from telbench.metrics.fact.reading.polarity import polarity
from telbench.metrics.fact.reading.reading import read
from telbench.metrics.fact.reading.text import Text, stem


@pytest.mark.parametrize(
    ("text", "denied", "said"),
    [
        ("The O-RU does not perform precoding.", "perform precoding", ""),
        ("It works without encryption, and adds a header.", "encryption", "header adds"),
        ("It never sends data.", "sends", ""),
        ("It cannot be changed.", "changed", ""),
        ("The link is unencrypted.", "encrypted", "link"),
        ("It fails to answer.", "answer", ""),
        ("It isn't supported.", "supported", ""),
        ("It is not only supported.", "", "supported"),
        ("It takes no more than three hops.", "", "hops"),
        ("It is not free of dispersion.", "", "dispersion"),
        ("It neither encrypts nor compresses.", "encrypts compresses", ""),
        ("The Non-RT RIC uses non-3GPP access.", "", "access"),
    ],
)
def test_a_negation_covers_its_clause(text: str, denied: str, said: str) -> None:
    found = polarity(Text(text))
    assert {stem(word) for word in denied.split()} <= set(found.denied) - set(found.said)
    assert {stem(word) for word in said.split()} <= set(found.said) - set(found.denied)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("uplink", [("link direction", 0)]),
        ("downstream", [("link direction", 1)]),
        ("the packets are not encrypted", [("encryption", 1)]),
        ("the receiver", [("parties", 1)]),
        ("it is received", [("transfer", 1)]),
        ("the O-DU", []),
    ],
)
def test_the_sides_of_contrasts_are_told(text: str, expected: list[tuple[str, int]]) -> None:
    assert [(pole.group.name, pole.side) for pole in read(text).poles] == expected
