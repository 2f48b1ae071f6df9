"""Wrong answers made by rule from right ones, one fact changed in each; the rules know no list of the metrics."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "unit", "entity", "negation", "direction"]
KINDS: tuple[Kind, ...] = ("number", "unit", "entity", "negation", "direction")


@dataclass(frozen=True, slots=True)
class Triple:
    """A question with its reference, another right wording, and a wrong answer of one kind."""

    kind: Kind
    question: str
    reference: str
    paraphrase: str
    wrong: str


_NUMBER = re.compile(r"(?<![\w./:-])\d+(?:\.\d+)?(?![\w./:]|-\w*\d)(?!\.\d)")
_WORDS = {
    "two": "five",
    "three": "two",
    "four": "six",
    "five": "three",
    "six": "four",
    "eight": "nine",
    "ten": "twelve",
}
_SPELT = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b")
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
_CLASSES = (
    [
        "AMF",
        "SMF",
        "UPF",
        "PCF",
        "UDM",
        "UDR",
        "AUSF",
        "NRF",
        "NSSF",
        "NEF",
        "MME",
        "HSS",
        "PCRF",
        "SGSN",
        "GGSN",
        "MGCF",
    ],
    ["TCP", "UDP", "SCTP"],
    ["RLC", "PDCP", "SDAP", "RRC", "MAC"],
    ["O-DU", "O-RU", "O-CU-CP", "O-CU-UP"],
    ["N1", "N2", "N3", "N4", "N6", "N9", "N26"],
    ["PDCCH", "PUCCH", "PDSCH", "PUSCH", "PBCH", "PRACH"],
    ["SUPI", "SUCI", "GUAMI", "IMSI", "IMEI"],
    ["BGP", "OSPF", "LDP", "IS-IS"],
    ["SIP", "RTP", "RTCP", "SDP"],
    ["IPv4", "IPv6"],
    ["TDD", "FDD"],
    ["S1-U", "S6a", "S8", "S12", "S11"],
    ["PSS", "SSS", "CSI-RS", "DM-RS", "SRS", "PT-RS"],
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
    r"(?<=[a-z0-9A-Z] )(supports|uses|carries|identifies|contains|defines|provides|allows|connects|selects|stores|handles)\b"
)
_FROM_TO = re.compile(r"\bfrom (the |a |an )?([A-Za-z][\w-]+) (to|towards) (the |a |an )?([A-Za-z][\w-]+)\b")


def _number(text: str, draw: random.Random) -> Iterator[str]:
    found = list(_NUMBER.finditer(text))
    if found:
        match = draw.choice(found)
        value = match[0]
        other = (
            f"{float(value) * draw.choice((2, 3, 0.5)):g}"
            if "." in value
            else str(int(value) + draw.choice((1, 2, 5, 7)))
        )
        yield text[: match.start()] + other + text[match.end() :]
    spelt = list(_SPELT.finditer(text))
    if spelt:
        match = draw.choice(spelt)
        yield text[: match.start()] + _WORDS[match[0]] + text[match.end() :]


def _unit(text: str, draw: random.Random) -> Iterator[str]:
    found = list(_UNIT.finditer(text))
    if found:
        match = draw.choice(found)
        yield text[: match.start()] + match[1] + _UNITS[match[2]] + text[match.end() :]


def _entity(text: str, draw: random.Random) -> Iterator[str]:
    for names in _CLASSES:
        there = [name for name in names if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]
        others = [name for name in names if name not in text]
        if there and others:
            yield re.sub(rf"(?<![\w-]){re.escape(draw.choice(there))}(?![\w-])", draw.choice(others), text)


def _negation(text: str, draw: random.Random) -> Iterator[str]:
    denied = _DENIED.search(text)
    if denied:
        yield text[: denied.start()] + (denied[1] or "with") + text[denied.end() :]
        return
    helper = _HELPERS.search(text)
    if helper:
        yield text[: helper.end()] + " not" + text[helper.end() :]
        return
    verb = _VERBS.search(text)
    if verb:
        base = {"carries": "carry", "identifies": "identify"}.get(verb[1], verb[1][:-1])
        yield text[: verb.start()] + "does not " + base + text[verb.end() :]


def _direction(text: str, draw: random.Random) -> Iterator[str]:
    for one, other in _SIDES:
        for word, instead in ((one, other), (other, one)):
            found = re.search(rf"\b{word}\b", text, re.IGNORECASE)
            if found and not re.search(rf"\b{instead}\b", text, re.IGNORECASE):
                put = instead.capitalize() if found[0][0].isupper() else instead
                yield text[: found.start()] + put + text[found.end() :]
    turned = _FROM_TO.search(text)
    if turned and turned[2] != turned[5]:
        swapped = f"from {turned[4] or ''}{turned[5]} {turned[3]} {turned[1] or ''}{turned[2]}"
        yield text[: turned.start()] + swapped + text[turned.end() :]


_RULES: dict[Kind, Callable[[str, random.Random], Iterator[str]]] = {
    "number": _number,
    "unit": _unit,
    "entity": _entity,
    "negation": _negation,
    "direction": _direction,
}


def triples(items: Iterable[tuple[str, Sequence[str]]], kind: Kind, seed: int = 0) -> list[Triple]:
    """One triple of a kind from each item (question, its references) whose first reference has room for the fault.

    What the question gives is not changed: the wrong answer would be one to another question.
    """
    draw = random.Random(seed)
    made = []
    for question, references in items:
        if len(references) < 2:
            continue
        options = [wrong for wrong in _RULES[kind](references[0], draw) if wrong != references[0]]
        if options:
            made.append(Triple(kind, question, references[0], references[1], draw.choice(options)))
    return made
