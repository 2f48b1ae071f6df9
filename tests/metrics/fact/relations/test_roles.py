"""Who does it to whom, in the active, in the passive and with prepositions."""

from __future__ import annotations

import pytest

from telbench.metrics.fact.reading.reading import read
from telbench.metrics.fact.relations.parties import mentions_in
from telbench.metrics.fact.relations.roles import role_findings
from telbench.metrics.fact.relations.voices import voice_findings


def statuses(reference: str, answer: str, question: str = "") -> set[str]:
    return {each.status for each in role_findings(read(reference), read(answer), read(question))}


@pytest.mark.parametrize(
    ("reference", "same", "turned"),
    [
        (
            "The VLR allocates the TMSI to the mobile station.",
            "The mobile station is given its TMSI by the VLR.",
            "The VLR is given its TMSI by the mobile station.",
        ),
        ("The MN controls the SN.", "The SN is under the control of the MN.", "The MN is under the control of the SN."),
        (
            "The AMF sends the request to the LMF.",
            "A request reaches the LMF from the AMF.",
            "A request reaches the AMF from the LMF.",
        ),
        (
            "The MME requests it from the MSC server.",
            "The MSC server is asked by the MME.",
            "The MME is asked by the MSC server.",
        ),
        (
            "From the gNB to the AMF.",
            "The gNB is its sender, the AMF its receiver.",
            "The AMF is its sender, the gNB its receiver.",
        ),
        (
            "The SMF instructs the UPF to release it.",
            "The UPF releases it at the behest of the SMF.",
            "The SMF releases it at the behest of the UPF.",
        ),
        (
            "Data is compressed at the UE and decompressed at the eNB.",
            "The UE compresses data, which the eNB then decompresses.",
            "The eNB compresses data, which the UE then decompresses.",
        ),
        (
            "The home operator pays the visited operator.",
            "The visited operator is paid by the home operator.",
            "The home operator is paid by the visited operator.",
        ),
        (
            "The AUSF authenticates the UE.",
            "Authentication of the UE is performed by the AUSF.",
            "Authentication of the AUSF is performed by the UE.",
        ),
    ],
)
def test_who_acts_and_who_is_acted_on(reference: str, same: str, turned: str) -> None:
    assert statuses(reference, same) == {"agreed"}
    assert statuses(reference, turned) == {"contradicted"}


def test_it_is_the_one_that_the_question_asks_about() -> None:
    question = "What does the UPF report?"
    assert statuses("It reports usage to the SMF.", "The SMF is told of it by the UPF.", question) == {"agreed"}
    assert statuses("It reports usage to the SMF.", "The UPF is told of it by the SMF.", question) == {"contradicted"}


def test_a_thing_is_no_party() -> None:
    assert mentions_in(read("The P-RNTI is sent on the PDCCH.")) == ()
    assert [each.party for each in mentions_in(read("The source gNB and the remote UE"))] == ["sourc", "remot"]


def test_one_verb_in_both_voices() -> None:
    reference = read("The key-encryption key protects the traffic key.")
    turned = read("The key-encryption key is protected by the traffic key.")
    same = read("The traffic key is protected by the key-encryption key.")
    assert [each.status for each in voice_findings(reference, turned)] == ["contradicted"]
    assert list(voice_findings(reference, same)) == []
