"""Facts of a reference in an answer, by hand: agreed, contradicted, omitted."""

from __future__ import annotations

import pytest

from telbench.metrics.fact.agreement import findings
from telbench.metrics.fact.reading.reading import read
from telbench.metrics.fact.relations.findings import Finding


def found(reference: str, answer: str, question: str = "") -> tuple[Finding, ...]:
    return findings(read(reference), read(answer), read(question))


def contradicted(reference: str, answer: str, question: str = "") -> set[str]:
    return {each.kind for each in found(reference, answer, question) if each.status == "contradicted"}


@pytest.mark.parametrize(
    ("reference", "answer", "question", "kind"),
    [
        ("T3510 lasts 15 seconds.", "It lasts 16 seconds.", "How long is T3510?", "quantity"),
        ("T3510 lasts 15 seconds.", "It lasts 15 minutes.", "How long is T3510?", "quantity"),
        ("The level is 23 dBm.", "The level is 23 dB.", "What is the level?", "quantity"),
        ("At least 5 ms.", "At most 5 ms.", "How long?", "quantity"),
        ("Control loops of 1 second or longer.", "Loops of 10 ms to 1 second.", "How fast?", "quantity"),
        ("A 3-bit identity and a 5-bit size.", "A 5-bit identity and a 5-bit size.", "Which fields?", "quantity"),
        ("Port 2152.", "Port 2152 or 2123.", "Which port?", "quantity"),
        ("Port 2152.", "Ports 2123, 2152, 8805 and 38412.", "Which port?", "quantity"),
        ("The bit rate is given in bit/s.", "It is given in kbit/s.", "In which unit?", "quantity"),
        ("N1 lies between the UE and the AMF.", "Between the UE and the SMF.", "What does N1 connect?", "entity"),
        ("It runs over SCTP.", "It runs over UDP.", "Which transport?", "entity"),
        ("TS 23.501", "TS 23.502", "Which specification?", "entity"),
        ("Split Option 2 hosts RRC.", "Split Option 7 hosts RRC.", "What does split Option 2 host?", "quantity"),
        ("The O-RU does not perform precoding.", "The O-RU performs precoding.", "What of the O-RU?", "polarity"),
        ("UDP retransmits nothing.", "Yes, it does so.", "Does UDP retransmit datagrams?", "polarity"),
        ("An S-NSSAI is optional.", "It is mandatory.", "Is it needed?", "direction"),
        ("It is sent in the uplink.", "It is sent in the downlink.", "Where is it sent?", "direction"),
        ("The request goes before the response.", "The request goes after the response.", "When?", "direction"),
        ("From the O-DU to the O-RU.", "From the O-RU to the O-DU.", "Which way?", "direction"),
        ("The UE sends it to the gNB.", "The gNB sends it to the UE.", "Who sends it?", "direction"),
        (
            "10 Gbit/s downstream and 2.5 Gbit/s upstream.",
            "2.5 Gbit/s downstream and 10 Gbit/s upstream.",
            "Which rates?",
            "direction",
        ),
        (
            "Downstream is broadcast, upstream is TDMA.",
            "Upstream is broadcast, downstream is TDMA.",
            "How?",
            "direction",
        ),
        ("One slot.", "Two slots for each frame.", "How many?", "quantity"),
        ("Cells should not share the same PCI.", "Cells ought to have the same PCI.", "What of PCIs?", "direction"),
        ("Loss does not block others.", "Loss blocks the others.", "Does loss block others?", "polarity"),
        ("Stored information is considered invalid.", "Stored information remains valid.", "What of it?", "polarity"),
        ("PDCP is above RLC.", "RLC lies above PDCP.", "Which layer is above RLC?", "direction"),
        ("It is halved.", "It is doubled.", "What becomes of the window?", "quantity"),
        ("The splitting ratio is 1:32.", "The ratio is 1 to 64.", "Which ratio?", "quantity"),
        ("A header is present in each packet.", "In each packet a header is absent.", "What of a header?", "polarity"),
        ("XR tolerates delay.", "XR is intolerant of delay.", "What of XR?", "direction"),
        (
            "The UE must obey the handover command.",
            "The UE is free to ignore the handover command.",
            "What?",
            "direction",
        ),
        ("Several flows can share a bearer.", "Only one flow can share a bearer.", "How many?", "direction"),
        ("Latency falls with the spacing.", "Latency rises with the spacing.", "How?", "direction"),
        ("A longer prefix lowers efficiency.", "A longer prefix raises efficiency.", "What then?", "direction"),
        (
            "The lowest identifier wins.",
            "The bridge with the largest identifier wins.",
            "Which bridge wins?",
            "direction",
        ),
        (
            "First the CRC is attached, then the bits are scrambled.",
            "First the bits are scrambled, then the CRC is attached.",
            "How?",
            "direction",
        ),
        ("SDAP sits above PDCP.", "SDAP sits below PDCP.", "Does SDAP sit above PDCP?", "direction"),
        ("It is used in the uplink.", "The gNB transmits with it.", "Where is it used?", "direction"),
        ("The NF registers with the NRF.", "The NRF registers with the NF.", "Who registers?", "direction"),
        ("The SMF starts it.", "The AMF starts it.", "Does the SMF or the AMF start it?", "entity"),
        ("N26 is optional.", "Yes, networks need it.", "Is N26 mandatory?", "polarity"),
        (
            "O-RAN does not prescribe particular hardware; any server will do.",
            "O-RAN prescribes particular hardware, and general servers are not accepted.",
            "Is hardware prescribed in O-RAN?",
            "polarity",
        ),
        (
            "Yes, integrity protection of the user plane is supported in 5G.",
            "5G leaves user-plane traffic without any integrity protection.",
            "Is integrity protection of user plane traffic supported in 5G?",
            "polarity",
        ),
        (
            "ARP turns an IP address into a MAC address.",
            "ARP turns a MAC address into an IP address.",
            "What?",
            "direction",
        ),
        ("The UE monitors one occasion.", "It monitors two occasions.", "How many occasions?", "quantity"),
        (
            "Increasing the timer reduces ping-pong but delays others.",
            "Increasing the timer causes more ping-pong.",
            "What does a larger timer do?",
            "direction",
        ),
        ("The target node sends it.", "The old node sends it.", "Which node sends it?", "direction"),
        ("It lasts five nines of the time.", "It lasts 99.99 % of the time.", "How long?", "quantity"),
        ("It is ten times as fast.", "It is two orders of magnitude as fast.", "How fast?", "quantity"),
        ("10 ns", "Ten billionths of an hour.", "How long?", "quantity"),
        ("200 mW", "400 mW", "How much is 23 dBm in mW?", "quantity"),
        (
            "It keeps the link until the new one is up.",
            "It does not keep the link.",
            "Does it keep the link?",
            "polarity",
        ),
        ("AMBR guarantees nothing.", "AMBR guarantees the rate.", "What does AMBR do?", "polarity"),
        (
            "xApps do not access nodes directly.",
            "xApps access nodes directly.",
            "How do xApps access nodes?",
            "polarity",
        ),
        (
            "ECN marks packets instead of dropping them.",
            "ECN drops packets, without marking them.",
            "What of ECN?",
            "polarity",
        ),
        (
            "O-RAN prescribes no hardware.",
            "O-RAN prescribes its hardware.",
            "Does O-RAN prescribe hardware?",
            "polarity",
        ),
        (
            "Yes, integrity protection is supported.",
            "Traffic has no integrity protection.",
            "Is integrity protection supported?",
            "polarity",
        ),
        ("Rules are made without signalling.", "It needs signalling to make rules.", "How are rules made?", "polarity"),
        ("No resolution is needed.", "The UE must go through the resolution.", "What of resolution?", "polarity"),
        ("No report is needed.", "The UE has to wait for a report.", "What of reports?", "polarity"),
        ("Without X2, ICIC is impossible.", "ICIC works without X2.", "What of X2?", "polarity"),
        ("Paging is invisible to the AMF.", "The AMF is informed of paging.", "What of the AMF?", "direction"),
        ("User packets bypass the MME.", "User packets pass through the MME.", "Where do packets go?", "direction"),
        ("The flag is left unset.", "The flag is set.", "What of the flag?", "polarity"),
        (
            "A longer cycle saves power but increases latency.",
            "A longer cycle takes more power but brings down latency.",
            "What of a longer cycle?",
            "direction",
        ),
        (
            "The downlink is faster than the uplink.",
            "Downlink rates stay below uplink rates.",
            "Which is faster?",
            "direction",
        ),
        (
            "Noise is proportional to bandwidth.",
            "More bandwidth means less noise.",
            "How does noise grow?",
            "direction",
        ),
        (
            "The route with the higher value is preferred.",
            "The higher value loses.",
            "Which is preferred?",
            "direction",
        ),
    ],
)
def test_a_wrong_fact_is_a_contradiction(reference: str, answer: str, question: str, kind: str) -> None:
    assert kind in contradicted(reference, answer, question)


@pytest.mark.parametrize(
    ("reference", "answer", "question"),
    [
        ("T3510 lasts 15 seconds.", "A quarter of a minute.", "How long is T3510?"),
        ("At least 5 ms.", "5 ms or more", "How long?"),
        ("The request goes before the response.", "The response goes after the request.", "When?"),
        ("From the O-DU to the O-RU.", "The O-RU receives it from the O-DU.", "Which way?"),
        ("The SMF controls the UPF.", "The UPF is controlled by the SMF.", "Who controls it?"),
        ("The packets are unencrypted.", "The packets are not encrypted.", "How are they sent?"),
        ("It does not segment SDUs.", "No segmentation of SDUs takes place.", "What does it do?"),
        ("Only the master sends it.", "The master sends it, and no other node does.", "Who sends it?"),
        ("Port 2152.", "Port 2152; the control plane uses 2123.", "Which port?"),
        (
            "It runs over SCTP.",
            "It runs over the Stream Control Transmission Protocol on top of IP.",
            "Which transport?",
        ),
        ("It grows tenfold.", "It grows by a factor of ten.", "How much?"),
        ("It was halved.", "It came down by 50 %.", "What of the delay?"),
        ("20 bytes", "The header has five 32-bit words.", "How long is it?"),
        ("0 to 1007", "There are 1008 identities.", "Which range?"),
        ("50 frames per second", "One frame every 20 ms.", "Which rate?"),
        ("3 of the 4 bits", "Three out of four bits.", "How many?"),
        ("75 % of users", "Three out of four users.", "How many?"),
        ("4:1", "There are four slots for each uplink slot.", "Which ratio?"),
        ("On the fifth expiry.", "Once it has expired five times.", "When does it abort?"),
        ("10,000 times", "It is ten thousand times as fast.", "How much faster?"),
        ("A minute and a half.", "90 seconds.", "How long?"),
        ("UEs shall not camp, not even for calls.", "Camping is forbidden to UEs, also for calls.", "May they?"),
        ("It supports neither A5 nor GEA.", "A5 and GEA are both unsupported.", "What does it support?"),
        ("Switches do not decide, the controller does.", "The controller decides, not the switches.", "Who decides?"),
        ("300 km/h", "83.3 m/s", "How fast?"),
        ("A dozen ports.", "There are 12 ports.", "How many ports?"),
        ("Downlink 256QAM is optional.", "A UE need not support 256QAM.", "Must a UE support 256QAM?"),
        ("It adds no header.", "A header is absent.", "What does it add?"),
        ("XR does not tolerate delay.", "XR is intolerant of delay.", "What of XR?"),
        ("Ciphering is done in PDCP, not in MAC.", "MAC leaves ciphering to PDCP.", "Where is ciphering done?"),
        ("Latency falls with the spacing.", "The larger the spacing, the lower the latency.", "How?"),
        ("The CRC is attached first, then bits are scrambled.", "Scrambling follows once a CRC is there.", "How?"),
        ("It is used in the uplink.", "The UE transmits with it.", "Where is it used?"),
        ("GEO has a greater delay than LEO.", "LEO's delay is smaller than that of GEO.", "Is it greater?"),
        ("99.999 %", "It has five nines.", "Which availability?"),
        ("It raises the rate of the link.", "It not only raises the rate of the link.", "What does it raise?"),
        (
            "xApps do not access nodes directly.",
            "All access to nodes is by way of the platform.",
            "How do xApps do it?",
        ),
        (
            "Routes from one peer are not passed to other peers unless reflection is used.",
            "Without reflection, what comes in from one of the internal peers of it is not passed to other peers.",
            "Are routes passed on?",
        ),
        ("10^-5", "Ten to the minus five.", "Which error rate?"),
        ("64 kbit/s", "Sixty-four kilobits a second.", "Which rate?"),
        ("255", "2^8 - 1", "Which value is the highest?"),
        ("2488 Mbit/s", "Just under 2.5 Gbit/s.", "Which rate?"),
        ("One to three symbols.", "It takes 1, 2 or 3 symbols.", "How many symbols?"),
        ("The phase is better than 3 us.", "The phase differs by no more than 3 us.", "How good is the phase?"),
        ("The UE and the gNB keep the context.", "Neither the UE nor the gNB drops the context.", "Who keeps it?"),
        ("The gNB-CU sends it.", "The CU sends it.", "Who sends it?"),
        ("The SGW is split.", "SGW-C and SGW-U are the parts of the SGW.", "What is split?"),
        ("Only one CU serves a DU.", "One CU is all that serves a DU, as a rule.", "How many serve a DU?"),
        ("It has no contention.", "Dedicated preambles rule out contention.", "What of contention?"),
        ("It increases the rate.", "It not only increases the rate but saves power.", "What does it do?"),
        ("The carrier is de-activated.", "The carrier is deactivated.", "What of the carrier?"),
        ("More interference lowers SINR and raises errors.", "Errors go up as interference grows.", "What then?"),
        ("NAT replaces private addresses by public ones.", "Private addresses become public by NAT.", "What of NAT?"),
        ("Messages are accepted when the limit is 255.", "Unless the limit is 255, no message is accepted.", "When?"),
    ],
)
def test_other_words_for_a_fact_are_no_contradiction(reference: str, answer: str, question: str) -> None:
    assert contradicted(reference, answer, question) == set()
    assert any(each.status == "agreed" for each in found(reference, answer, question))


def test_a_list_of_names_is_no_statement_of_its_own() -> None:
    """Found in TeleQuAD: the names were facts, and their list once more."""
    facts = found("GPS [5], Galileo [8], QZSS [10], and BDS [20]", "GPS", "Who specifies the parameters?")
    assert {each.kind for each in facts} == {"entity"}


def test_leaving_out_is_not_contradicting() -> None:
    statuses = {each.fact: each.status for each in found("SCTP, port 38412", "SCTP", "What carries NGAP?")}
    assert statuses == {"38412": "omitted", "SCTP": "agreed"}


def test_what_the_question_gives_is_no_fact_unless_it_is_turned_round() -> None:
    facts = {each.fact for each in found("N1 joins the UE and the AMF.", "the AMF", "What does N1 join with the UE?")}
    assert "AMF" in facts
    assert not facts & {"N1", "UE"}
    turned = found("The O-RU is a logical node.", "The O-DU is a logical node.", "What is the O-RU?")
    assert [each.only_if_seen for each in turned if each.status == "contradicted"] == [True]


def test_facts_that_were_not_asked_for_contradict_nothing() -> None:
    answer = "Port 38412 of SCTP, with streams for 5 ms of data of the AMF in clause 9.2 and 3 retries."
    assert contradicted("SCTP, port 38412", answer, "What carries NGAP?") == set()


def test_every_place_is_in_the_answer() -> None:
    answer = "\u2212 It lasts １６ seconds over UDP, 😀 not over SCTP."
    for each in found("It lasts 15 seconds over SCTP.", answer):
        for start, end in each.places:
            assert answer[start:end].strip()
    places = [each.places for each in found("It lasts 15 seconds.", answer) if each.kind == "quantity"]
    assert [answer[start:end] for start, end in places[0]] == ["１６ seconds"]
