"""Names in telecom sentences, by form and by the table of acronyms."""

from __future__ import annotations

import pytest

from telbench.metrics.fact.reading.acronyms import defined, spells, table
from telbench.metrics.fact.reading.entities import tags_of
from telbench.metrics.fact.reading.reading import read


def keys(text: str) -> set[str]:
    return {key for entity in read(text).entities for key in entity.keys}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("AMF", "Access and Mobility Management Function"),
        ("AMF", "access and mobility management functions"),
        ("O-DU", "O-DUs"),
        ("gNB-CU", "gNB central unit"),
        ("Near-RT RIC", "Near-Real-Time RIC"),
        ("S-CSCF", "serving CSCF"),
        ("SC-FDMA", "single-carrier FDMA"),
        ("TS 23.501", "3GPP TS 23.501"),
        ("TS 38.331", "TS38.331"),
        ("clause 5.3", "§5.3"),
        ("Section 5.3", "clause 5.3"),
        ("Rel-16", "Release 16"),
        ("Rel-16", "R16"),
        ("n78", "band n78"),
        ("B7", "LTE band 7"),
        ("RFC 793", "RFC793"),
        ("16QAM", "16-QAM"),
        ("0xAEFE", "AEFE"),
        ("Serving Gateway", "SGW"),
        ("user equipment", "UEs"),
    ],
)
def test_two_names_share_a_key(left: str, right: str) -> None:
    assert keys(left) & keys(right), (keys(left), keys(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [("AMF", "SMF"), ("TS 23.501", "TS 23.502"), ("n78", "n7"), ("Rel-16", "Rel-17"), ("N2", "N26"), ("F1-C", "F1-U")],
)
def test_different_names_share_none(left: str, right: str) -> None:
    assert keys(left) and keys(right) and not keys(left) & keys(right)


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("AMF", "function"),
        ("N2", "interface"),
        ("Xn", "interface"),
        ("F1-C", "interface"),
        ("SCTP", "protocol"),
        ("NGAP", "protocol"),
        ("PDCCH", "channel"),
        ("T3512", "timer"),
        ("SI-RNTI", "rnti"),
        ("RRCSetupRequest", "message"),
        ("TDD", "duplex"),
    ],
)
def test_a_name_knows_what_it_is_one_of(name: str, tag: str) -> None:
    assert tag in tags_of(name)


def test_message_names_in_capitals_are_read_whole() -> None:
    assert {"init", "initack", "cookieecho", "cookieack"} <= keys("INIT, INIT ACK, COOKIE ECHO and COOKIE ACK")


def test_units_and_small_words_are_no_names() -> None:
    assert keys("it takes 20 MHz and 23 dBm, 10ms, or many kHz") == set()


def test_two_names_with_a_slash_are_two() -> None:
    assert {"udm", "arpf"} <= keys("the UDM/ARPF") and "http2" in keys("HTTP/2")


def test_definitions_in_brackets_are_found_both_ways() -> None:
    text = "the Foo Bar Function (FBF), and the XYZ (Xylophone Yellow Zone)"
    assert list(defined(text)) == [("FBF", "Foo Bar Function"), ("XYZ", "Xylophone Yellow Zone")]


def test_the_table_spells_its_acronyms() -> None:
    """All of the table that the script made does, and the ambiguous keep all they stand for."""
    made = [entry for entry in table() if not entry.kind]
    spelt = sum(spells(" ".join(entry.words), entry.acronym) for entry in made)
    assert spelt > 0.85 * len(made) > 1000
    assert len({entry.words for entry in table() if entry.acronym == "RS"}) > 1
