"""Near misses: wrong answers made by rule from right ones, one fact changed in each; restatements, which stay right.

The rules share no list with the metrics, the fact metrics included. So a metric is not measured by its own tables.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Literal

Kind = Literal["number", "unit", "entity", "negation", "direction"]
KINDS: tuple[Kind, ...] = ("number", "unit", "entity", "negation", "direction")
# Raise it when the same texts give other near misses or restatements.
VERSION = 1
# What `restated` gives, in words.
RESTATED = "reference in other words, by rule"

_NUMBER = re.compile(r"(?<![\w./:-])(?<!TS )(?<!TR )\d+(?:\.\d+)?(?![\w./:]|-\w*\d)(?!\.\d)")
_SPELT = {
    "two": "five",
    "three": "two",
    "four": "six",
    "five": "three",
    "six": "four",
    "eight": "nine",
    "ten": "twelve",
}
_SPELT_NUMBER = re.compile(rf"\b(?:{'|'.join(_SPELT)})\b")
_UNITS = {
    "ms": "s",
    "seconds": "minutes",
    "second": "minute",
    "milliseconds": "seconds",
    "minutes": "hours",
    "bits": "octets",
    "bit": "octet",
    "octets": "bits",
    "bytes": "bits",
    "byte": "bit",
    "kHz": "MHz",
    "MHz": "GHz",
    "GHz": "MHz",
    "Hz": "kHz",
    "THz": "GHz",
    "kbit/s": "Mbit/s",
    "Mbit/s": "Gbit/s",
    "Gbit/s": "Mbit/s",
    "nm": "mm",
    "ns": "ms",
    "dBm": "dB",
    "dB": "dBm",
    "symbols": "slots",
    "subframes": "slots",
    "slots": "symbols",
    "percent": "ppm",
    "ppm": "percent",
    "km": "m",
    "Mbps": "kbps",
}
_UNIT = re.compile(rf"(?<=\d)([ -]?)({'|'.join(sorted(map(re.escape, _UNITS), key=len, reverse=True))})(?![\w/-])")
# Names of one class stand in each other's place.
_CLASSES = tuple(
    names.split()
    for names in (
        "AMF SMF UPF PCF UDM UDR AUSF NRF NSSF NEF MME HSS PCRF SGSN GGSN MGCF",
        "TCP UDP SCTP",
        "RLC PDCP SDAP RRC MAC",
        "O-DU O-RU O-CU-CP O-CU-UP",
        "N1 N2 N3 N4 N6 N9 N26",
        "PDCCH PUCCH PDSCH PUSCH PBCH PRACH",
        "SUPI SUCI GUAMI IMSI IMEI",
        "BGP OSPF LDP IS-IS",
        "SIP RTP RTCP SDP",
        "IPv4 IPv6",
        "TDD FDD",
        "S1-U S6a S8 S12 S11",
        "PSS SSS CSI-RS DM-RS SRS PT-RS",
    )
)
_SIDES = (
    ("uplink", "downlink"),
    ("upstream", "downstream"),
    ("before", "after"),
    ("minimum", "maximum"),
    ("client", "server"),
    ("source", "target"),
    ("source", "destination"),
    ("increases", "decreases"),
    ("user plane", "control plane"),
    ("starts", "stops"),
    ("at least", "at most"),
    ("transmitter", "receiver"),
    ("home", "visited"),
    ("mandatory", "optional"),
    ("time domain", "frequency domain"),
    ("direct", "indirect"),
    ("local", "remote"),
    ("largest", "smallest"),
    ("encrypted", "unencrypted"),
    ("private", "public"),
    ("internal", "external"),
    ("permanent", "temporary"),
)
_HELPERS = re.compile(r"\b(is|are|can|may|must|should|was|has to be|will)\b(?! not\b)")
_DENIED = re.compile(r"\b(is|are|does|do|can|may|must|should) not\b|\bwithout\b|\bno longer\b")
_VERBS = re.compile(
    r"(?<=[a-z0-9A-Z] )"
    r"(supports|uses|carries|identifies|contains|defines|provides|allows|connects|selects|stores|handles)\b"
)
_YES_NO = re.compile(r"(yes|no)\b", re.IGNORECASE)
_FROM_TO = re.compile(r"\bfrom (the |a |an )?([A-Za-z][\w-]+) (to|towards) (the |a |an )?([A-Za-z][\w-]+)\b")
# Other words for the same: the first is replaced by the second wherever it stands as a word.
_SAME = {
    "milliseconds": "ms",
    "ms": "milliseconds",
    "kHz": "kilohertz",
    "MHz": "megahertz",
    "GHz": "gigahertz",
    "dB": "decibels",
    "percent": "%",
    "octets": "bytes",
    "bytes": "octets",
    "AMF": "access and mobility management function",
    "SMF": "session management function",
    "UPF": "user plane function",
    "PCF": "policy control function",
    "UDM": "unified data management",
    "NRF": "network repository function",
    "MME": "mobility management entity",
    "HSS": "home subscriber server",
    "UE": "user equipment",
    "PDCCH": "physical downlink control channel",
    "PDSCH": "physical downlink shared channel",
    "PUSCH": "physical uplink shared channel",
    "PUCCH": "physical uplink control channel",
    "TCP": "Transmission Control Protocol",
    "UDP": "User Datagram Protocol",
    "at least": "no less than",
    "at most": "no more than",
    "because": "since",
    "in order to": "to",
    "for example": "for instance",
    "such as": "for example",
    "consists of": "is made up of",
    "uses": "makes use of",
    "used": "employed",
    "allows": "enables",
    "allow": "enable",
    "ensures": "makes sure of",
    "multiple": "several",
    "various": "several",
    "therefore": "thus",
    "reduces": "lowers",
    "reduce": "lower",
    "contains": "holds",
    "specifies": "states",
    "approximately": "about",
    "indicates": "shows",
    "performs": "carries out",
    "obtain": "get",
    "requires": "needs",
    "transmits": "sends",
    "transmitted": "sent",
    "transmit": "send",
    "receives": "gets",
    "selects": "chooses",
    "selected": "chosen",
    "provides": "gives",
    "determines": "works out",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "eight": "8",
}
_SAME_WORD = re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(map(re.escape, _SAME), key=len, reverse=True))})(?![\w-])")


def near_misses(text: str, question: str = "", right: Collection[str] = (), seed: int = 0) -> dict[Kind, str]:
    """One wrong answer of each kind that ``text`` has room for.

    What the question gives is not changed: that would answer another question. A near miss never equals a text of
    ``right``, the references. The same arguments always give the same texts.

    >>> near_misses("The downlink uses 15 kHz.", "Which spacing has the downlink?")["unit"]
    'The downlink uses 15 MHz.'
    """
    known = {" ".join(each.split()).casefold() for each in (text, *right)}
    made: dict[Kind, str] = {}
    for kind, rule in _RULES.items():
        draw = random.Random(f"{seed}:{kind}:{text}")
        options = [each for each in rule(text, question, draw) if " ".join(each.split()).casefold() not in known]
        if options:
            made[kind] = draw.choice(options)
    return made


def near_miss(text: str, question: str = "", right: Collection[str] = (), seed: int = 0) -> tuple[Kind, str] | None:
    """One of the `near_misses` with its kind, drawn with the seed; None where no rule finds room."""
    found = near_misses(text, question, right, seed)
    if not found:
        return None
    kinds: list[Kind] = [kind for kind in KINDS if kind in found]
    kind = random.Random(f"{seed}:{text}").choice(kinds)
    return kind, found[kind]


def restated(text: str) -> str | None:
    """The same said a little differently: units, numerals, acronyms and common words replaced; None without any.

    >>> restated("It takes at most 10 ms")
    'It takes no more than 10 milliseconds'
    """
    made = _SAME_WORD.sub(lambda found: _SAME[found[0]], text)
    return None if made == text else made


def _number(text: str, question: str, draw: random.Random) -> Iterator[str]:
    given = set(_NUMBER.findall(question))
    if found := [match for match in _NUMBER.finditer(text) if match[0] not in given]:
        match = draw.choice(found)
        value = match[0]
        other = (
            f"{float(value) * draw.choice((2, 3, 0.5)):g}"
            if "." in value
            else str(int(value) + draw.choice((1, 2, 5, 7)))
        )
        yield text[: match.start()] + other + text[match.end() :]
    given = set(_SPELT_NUMBER.findall(question))
    if found := [match for match in _SPELT_NUMBER.finditer(text) if match[0] not in given]:
        match = draw.choice(found)
        yield text[: match.start()] + _SPELT[match[0]] + text[match.end() :]


def _unit(text: str, question: str, draw: random.Random) -> Iterator[str]:
    if found := [match for match in _UNIT.finditer(text) if match[0] not in question]:
        match = draw.choice(found)
        yield text[: match.start()] + match[1] + _UNITS[match[2]] + text[match.end() :]


def _entity(text: str, question: str, draw: random.Random) -> Iterator[str]:
    for names in _CLASSES:
        there = [name for name in names if _stands(name, text)]
        others = [name for name in names if name not in text]
        # A question that names two of a class asks which of them it is.
        if sum(_stands(name, question) for name in names) == 1:
            there = [name for name in there if not _stands(name, question)]
        if there and others:
            yield re.sub(rf"(?<![\w-]){re.escape(draw.choice(there))}(?![\w-])", draw.choice(others), text)


def _stands(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def _negation(text: str, question: str, draw: random.Random) -> Iterator[str]:
    if said := _YES_NO.match(text):
        other = "No" if said[1].lower() == "yes" else "Yes"
        yield (other if said[1][0].isupper() else other.lower()) + text[said.end() :]
    if denied := _DENIED.search(text):
        yield text[: denied.start()] + (denied[1] or "with") + text[denied.end() :]
    elif helper := _HELPERS.search(text):
        yield text[: helper.end()] + " not" + text[helper.end() :]
    elif verb := _VERBS.search(text):
        base = {"carries": "carry", "identifies": "identify"}.get(verb[1], verb[1][:-1])
        yield text[: verb.start()] + "does not " + base + text[verb.end() :]


def _direction(text: str, question: str, draw: random.Random) -> Iterator[str]:
    for one, other in _SIDES:
        for word, instead in ((one, other), (other, one)):
            found = re.search(rf"\b{word}\b", text, re.IGNORECASE)
            given = _has(word, question) and not _has(instead, question)
            if found and not given and not _has(instead, text):
                put = instead.capitalize() if found[0][0].isupper() else instead
                yield text[: found.start()] + put + text[found.end() :]
    turned = _FROM_TO.search(text)
    if turned and turned[2] != turned[5] and turned[0] not in question:
        swapped = f"from {turned[4] or ''}{turned[5]} {turned[3]} {turned[1] or ''}{turned[2]}"
        yield text[: turned.start()] + swapped + text[turned.end() :]


def _has(words: str, text: str) -> bool:
    return re.search(rf"\b{words}\b", text, re.IGNORECASE) is not None


_RULES: Mapping[Kind, Callable[[str, str, random.Random], Iterator[str]]] = {
    "number": _number,
    "unit": _unit,
    "entity": _entity,
    "negation": _negation,
    "direction": _direction,
}
