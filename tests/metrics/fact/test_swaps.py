"""Words that change places in an answer which is a copy otherwise, and orders that say the same."""

from __future__ import annotations

import pytest

from telbench.metrics.fact.reading.reading import read
from telbench.metrics.fact.swaps import swap_findings


def swapped(reference: str, answer: str) -> list[str]:
    found = list(swap_findings(read(reference), read(answer)))
    assert {(each.kind, each.status, each.only_if_seen) for each in found} <= {("direction", "contradicted", True)}
    return [answer[start:end] for each in found for start, end in each.places]


@pytest.mark.parametrize(
    ("reference", "answer", "places"),
    [
        ("The AMF selects the SMF for a session.", "The SMF selects the AMF for a session.", ["SMF", "AMF"]),
        (
            "ARP resolves an IP address into a MAC address.",
            "ARP resolves a MAC address into an IP address.",
            ["MAC", "IP"],
        ),
        (
            "NF instances register their profile with the NRF at start.",
            "The NRF registers its profile with each NF instance at start.",
            ["NRF", "NF instance"],
        ),
        (
            "TCP raises its window additively and cuts it multiplicatively.",
            "TCP raises its window multiplicatively and cuts it additively.",
            ["multiplicatively", "additively"],
        ),
        # Phrases of several words, and one against several.
        (
            "SDAP maps QoS flows to data radio bearers.",
            "SDAP maps data radio bearers to QoS flows.",
            ["data radio bearers", "QoS flows"],
        ),
        (
            "The UE conceals the SUPI, and the SIDF in the home network reveals it.",
            "The SIDF in the home network conceals the SUPI, and the UE reveals it.",
            ["SIDF in the home network", "UE"],
        ),
        # UP is a name, and no small word.
        (
            "RRC is hosted by the gNB-CU-CP and user data by the gNB-CU-UP.",
            "RRC is hosted by the gNB-CU-UP and user data by the gNB-CU-CP.",
            ["gNB-CU-UP", "gNB-CU-CP"],
        ),
    ],
)
def test_two_that_change_places_are_seen_where_they_stand(reference: str, answer: str, places: list[str]) -> None:
    assert swapped(reference, answer) == places


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("The AMF selects the SMF for a session.", "The SMF is selected by the AMF for a session."),
        ("The MN controls the SN.", "The SN is under the control of the MN."),
        ("The request precedes the response of the server.", "The response follows the request of the server."),
        ("N2 connects the gNB and the AMF.", "N2 connects the AMF and the gNB."),
        ("The gNB talks to the AMF over N2.", "The AMF talks to the gNB over N2."),
        ("It lies between the gNB and the UPF.", "It lies between the UPF and the gNB."),
        # Clauses that change places.
        (
            "The UE conceals the SUPI, and the SIDF reveals it.",
            "The SIDF reveals the SUPI, and the UE conceals it.",
        ),
        ("A shorter DRX cycle gives lower latency.", "Latency is lower with a shorter DRX cycle."),
        ("Switches do not decide, the controller does.", "The controller decides, not the switches."),
        ("IPv4, IPv6 and Ethernet sessions exist.", "Ethernet, IPv6 and IPv4 sessions exist."),
        ("The AMF selects the SMF.", "The SMF forwards what the UPF buffers for the AMF."),
        (
            "The receiver descrambles what the transmitter scrambled.",
            "What the transmitter scrambled the receiver descrambles.",
        ),
        ("", ""),
        ("SCTP", "UDP"),
    ],
)
def test_other_orders_say_the_same(reference: str, answer: str) -> None:
    assert swapped(reference, answer) == []


def test_long_texts_are_left_alone() -> None:
    long = "The AMF selects the SMF for a session. " + "It is so in each network that was built. " * 8
    assert swapped(long, long.replace("AMF selects the SMF", "SMF selects the AMF")) == []
