"""Entities of a text: network functions, interfaces, protocols, specifications, releases, bands, messages, addresses.

An entity has *keys* (an acronym and its expansion share one) and *tags*: what could stand in its place. Names in
running text are found by their form (capitals, digits, hyphens) and by the table of acronyms.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Literal

from .acronyms import Entry, singular, table, words_of
from .text import Text, Word
from .units import UNITS, unit_at

_SPEC = r"(?:\d{2}\.\d{3}(?:-\d{1,2}){0,2}|\d{2}\.\d{2}(?!\d))"
# Names with a number by their form, the first that fits at a place; the name of each group tells the class.
_NUMBERED = re.compile(
    rf"(?:(?:3GPP|ETSI)\s)?\bT[SR][ -]?(?P<spec>{_SPEC})"
    rf"|(?<![\w.,-])(?P<bare>[2-5]\d\.\d{{3}})(?![\w.]*\d)"
    r"|\bRFC[ -]?(?P<rfc>\d{3,5})\b"
    r"|\b(?:ITU-[TR]\s)?(?:Rec(?:ommendation|\.)?\s)?(?P<itu>[A-Z]\.\d{1,4}(?:\.\d{1,3}){0,2})(?![\w.]*\d)"
    r"|\bISO(?:/IEC)?\s(?P<iso>\d{3,6})\b|\bIEEE\s(?:Std\s)?(?P<ieee>\d{3,4}(?:\.\d{1,2})?[a-zA-Z]{0,2})\b"
    r"|(?:\b(?:[Ss]ub-?)?(?:[Cc]lause|[Ss]ection)s?|§)\s?(?P<clause>[A-Z]?\.?\d{1,3}(?:\.\d{1,3}){0,6}[a-z]?)(?![\w])"
    r"|\b[Aa]nnex\s(?P<annex>[A-Z](?:\.\d{1,3}){0,4})\b"
    r"|\b(?:[Rr]elease|[Rr]el\.?)[ -]?(?P<release>\d{1,2})(?![\w.]*\d)|\bR(?P<r>[89]|1\d|20)\b(?![.-]\w)"
    r"|\b(?P<band>[nB]\d{1,3})\b(?![.-]\w)|\b(?:LTE|E-UTRA|NR)?\s?[Bb]and\s(?P<bandno>[nB]?\d{1,3})\b(?![.-]\w)"
    r"|(?<![\w:])(?P<ipv6>[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:/\d{1,3})?)(?![\w:])"
    r"|(?<![\w.])(?P<ipv4>\d{1,3}(?:\.\d{1,3}){2,3}(?:/\d{1,2})?)(?![\w.]*\d)"
    r"|\b(?P<qam>\d{1,4})[ -]?QAM\b"
    r"|(?<![\w.-])(?P<split>\d-\d[a-z])\b"
)
_DIGIT = re.compile(r"\d")
# A word with hyphens and slashes; its own characters only, so that the search is linear.
_HEX = re.compile(r"(?:0[xX])([0-9A-Fa-f]{2,16})|([0-9A-F]*(?:[0-9][A-F]|[A-F][0-9]|[A-F]{4})[0-9A-F]*)")
_TOKEN = re.compile(r"[^\W_]+(?:[-/_.&+][^\W_]+)*\+?")
_INTERFACE = re.compile(
    r"(?:N\d{1,2}|S\d{1,2}[a-z]?|X2|Xn|E[12]|F1|A1|O[12]|Y1|R1|W1|NG|Uu|Un|PC5|Iub|Iur|Iuh?|Iu-[CP]S|Gi|SGi|G[npb]|"
    r"G[xyz]|Rx|[CDS][hx]|M[bwngr]|Um|Abis|T8|LTE-Uu)(?:-[CU])?"
)
_SPECIAL = frozenset(
    [
        "Xn",
        "Uu",
        "Un",
        "Iub",
        "Iur",
        "Iu",
        "Iuh",
        "Gi",
        "Gn",
        "Gp",
        "Gb",
        "Gx",
        "Gy",
        "Gz",
        "Rx",
        "Cx",
        "Dx",
        "Sh",
        "Mb",
        "Mw",
        "Um",
        "Abis",
    ]
)
_TIMER = re.compile(r"[TN]\d{3,4}[a-z]?$|t-[A-Z]\w+$")
_CAMEL = re.compile(r"[A-Z]?[a-z]+(?:[A-Z][a-z]+)+$|[A-Z]{2,}(?:[A-Z][a-z]{2,})+$")
_LETTERED = re.compile(
    r"\b(category|profile|point|class|type|configuration|mode|option|case|group|annex|appendix|model|plane|side|method)"
    r"\s([A-Z])(?![\w-])",
    re.IGNORECASE,
)
_OPENS = re.compile(r"[.!?\n:;*•]")
_TITLE = re.compile(r"[A-Z][a-z]{2,}")
# A unit is no name, with its number or without.
_MEASURE = re.compile(
    rf"(?:\d[\d.]*-?)?(?:{'|'.join(re.escape(each) for each in UNITS if len(each) > 1 and each.isalpha())})"
)
# "length-127" is a number with what it is of.
_COUNTED = re.compile(r"[a-z]+-\d+")
_GENERATION = re.compile(r"[2-7]G$")
# The head word of an expansion tells the class where the table does not.
_HEADS = {
    "function": "function", "gateway": "function", "server": "function", "node": "function", "entity": "function",
    "register": "function", "controller": "function", "proxy": "function", "repository": "function",
    "protocol": "protocol", "channel": "channel", "signal": "signal", "identifier": "identifier",
    "identity": "identifier", "id": "identifier", "interface": "interface", "duplex": "duplex", "layer": "layer",
}  # fmt: skip
# Those whom all else is done for: they stand beside the same words as any name.
PARTIES = frozenset({"ue", "ms", "gnb", "enb", "bts"})
# Other words for an entity that paraphrases use; they stand for it in an answer, and are none themselves.
SYNONYMS = {
    "ue": frozenset(["termin", "devic", "handset", "mobil", "phone", "smartphon"]),
    "gnb": frozenset({"station", "gnodeb"}), "enb": frozenset({"station", "enodeb"}), "bts": frozenset({"station"}),
    "nodeb": frozenset({"station"}), "fdd": frozenset({"pair"}), "tdd": frozenset({"unpair"}),
    "phy": frozenset({"physic"}), "5gc": frozenset({"core"}), "epc": frozenset({"core"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entity:
    """A name with its place; ``keys``: what it may be called, ``tags``: what could stand in its place."""

    keys: frozenset[str]
    tags: frozenset[str]
    start: int
    end: int

    @property
    def words(self) -> str:
        """One key, for telling."""
        return min(self.keys, key=lambda key: (len(key), key))


@lru_cache(maxsize=1 << 14)
def key_of(name: str) -> str:
    """A name without case, hyphens and the s of its plural.

    >>> key_of("O-DUs"), key_of("gNB"), key_of("5G-GUTI")
    ('odu', 'gnb', '5gguti')
    """
    name = name.rstrip(".+")
    if len(name) > 2 and name[-1] == "s" and name[-2].isupper():
        name = name[:-1]
    return re.sub(r"[-_/ &.]", "", name).lower()


@cache
def _by_acronym() -> dict[str, frozenset[str]]:
    """The classes of each acronym of the table, by its key."""
    kinds: dict[str, set[str]] = {}
    by_hand = {key_of(entry.acronym) for entry in table() if entry.kind}
    for entry in table():
        own = key_of(entry.acronym)
        kind = entry.kind or ("" if own in by_hand else _HEADS.get(entry.words[-1], ""))
        kinds.setdefault(own, set()).update({kind} - {""})
    return {own: frozenset(found) for own, found in kinds.items()}


@cache
def _by_expansion() -> dict[tuple[str, ...], tuple[tuple[tuple[str, ...], frozenset[str]], ...]]:
    """Expansions by their first two words or their only one, longest first, with the keys of their acronyms.

    Many begin with one word ("radio", "access"), few with the same two.
    """
    keys: dict[tuple[str, ...], set[str]] = {}
    for entry in (*table(), *_half_spelt()):
        if len(entry.words) > 1 or entry.kind:
            keys.setdefault(entry.words, set()).add(key_of(entry.acronym))
    first: dict[tuple[str, ...], list[tuple[tuple[str, ...], frozenset[str]]]] = {}
    for words, owners in keys.items():
        first.setdefault(words[:2], []).append((words, frozenset(owners)))
    return {opening: tuple(sorted(found, key=lambda each: -len(each[0]))) for opening, found in first.items()}


def _half_spelt() -> list[Entry]:
    """Names whose end stays an acronym: "serving CSCF", "single carrier FDMA"."""
    acronyms: dict[tuple[str, ...], list[str]] = {}
    for entry in table():
        if len(entry.words) > 1:
            acronyms.setdefault(entry.words, []).append(entry.acronym)
    return [
        Entry(entry.acronym, (*entry.words[:cut], *words_of(short)), entry.kind)
        for entry in table()
        for cut in range(1, len(entry.words) - 1)
        for short in acronyms.get(entry.words[cut:], ())
    ]


@cache
def _named_by_key() -> dict[str, str]:
    return {key_of(entry.acronym): entry.acronym for entry in reversed(table())}


@lru_cache(maxsize=1 << 14)
def tags_of(name: str) -> frozenset[str]:
    """What a name is one of: its class by the table or by its form, and the parts that it shares with its like.

    >>> sorted(tags_of("N2")), sorted(tags_of("INT-RNTI"))
    (['interface'], ['*-rnti', 'int-*', 'rnti'])
    """
    own = key_of(name)
    tags = set(_by_acronym().get(own, frozenset()))
    if _INTERFACE.fullmatch(name):
        tags = {"interface"}
    elif _TIMER.match(name):
        tags.add("timer")
    elif _GENERATION.match(name):
        tags.add("system")
    elif own.endswith("rnti"):
        tags.add("rnti")
    elif own.endswith("ap") and len(own) == 4:
        tags.add("protocol")
    elif re.match(r"[PSU]\w{0,3}(?:S?CH)$", name):
        tags.add("channel")
    elif _CAMEL.match(name):
        tags.add("message")
    parts = [part for part in re.split(r"[-_ /]", name) if part]
    tags = tags or {"?"}
    if len(parts) > 1:
        tags |= {f"*-{parts[-1].lower()}"} | ({f"{parts[0].lower()}-*"} if len(parts[0]) > 1 else set())
    return frozenset(tags)


def entities(text: Text) -> tuple[Entity, ...]:
    """The entities of a text in order of their places; of two that overlap the first and longer one.

    >>> [e.words for e in entities(Text("The AMF (access and mobility management function) of Rel-16, TS 23.501 §5.3"))]
    ['amf', 'amf', 'release 16', 'ts 23.501', 'clause 5.3']
    """
    found = [*_numbered(text), *_lettered(text)]
    found += _expanded(text, found)
    found += _formed(text, found)
    kept: list[Entity] = []
    for each in sorted(found, key=lambda each: (each.start, -each.end)):
        if not kept or each.start >= kept[-1].end:
            kept.append(each)
    return tuple(kept)


def _numbered(text: Text) -> list[Entity]:
    found = []
    # Nothing else has a form of these without a digit: an annex, and an address of IPv6.
    plain = text.plain
    possible = _DIGIT.search(plain) or "nnex" in plain or plain.count(":") > 1
    for match in _NUMBERED.finditer(plain) if possible else ():
        group = match.lastgroup or ""
        told = match[group]
        if group == "bare" and unit_at(text.plain, match.end()):
            continue
        kind, name = {
            "bare": ("spec", f"ts {told}"), "spec": ("spec", f"ts {told}"), "r": ("release", f"release {told}"),
            "bandno": ("band", told if told[0] in "nB" else f"B{told}"), "band": ("band", told),
            "itu": ("itu", told), "ipv4": ("address", told), "ipv6": ("address", told),
            "qam": ("modulation", told + "qam"),
        }.get(group, (group, f"{group} {told}"))  # fmt: skip
        found.append(Entity(frozenset({name.lower()}), frozenset({kind}), *match.span()))
    return found


def _lettered(text: Text) -> list[Entity]:
    return [
        Entity(
            frozenset({f"{match[1].lower()} {match[2].lower()}"}), frozenset({f"{match[1].lower()} *"}), *match.span()
        )
        for match in _LETTERED.finditer(text.plain)
    ]


def _free(place: int, taken: list[tuple[int, int]], starts: list[int]) -> bool:
    at = bisect_right(starts, place) - 1
    return at < 0 or taken[at][1] <= place


def _expanded(text: Text, before: list[Entity]) -> list[Entity]:
    words, table_of = text.words, _by_expansion()
    plain = [singular(word.text) for word in words]
    taken = sorted((each.start, each.end) for each in before)
    starts = [start for start, _ in taken]
    openings = list(pairwise([*plain, ""]))
    found, at = [], 0
    while at < len(words):
        # The longest first: one of several words, then one of the first word alone.
        opening = openings[at]
        for expansion, keys in (*table_of.get(opening, ()), *table_of.get(opening[:1], ())):
            if tuple(plain[at : at + len(expansion)]) == expansion and _free(words[at].start, taken, starts):
                span = words[at : at + len(expansion)]
                if _one_phrase(text.plain, span):
                    tags = frozenset().union(*(tags_of(_named_by_key()[key]) for key in keys)) - {"?"}
                    found.append(Entity(keys, tags or frozenset({"phrase"}), span[0].start, span[-1].end))
                    at += len(expansion) - 1
                    break
        at += 1
    return found


def _one_phrase(plain: str, span: tuple[Word, ...]) -> bool:
    return span[-1].sentence == span[0].sentence and not any(
        mark in plain[span[0].start : span[-1].end] for mark in ",;:()\n"
    )


def _formed(text: Text, before: list[Entity]) -> list[Entity]:
    """Names by their form: two capitals, a capital with a digit, or a capital within a sentence."""
    plain = text.plain
    taken = sorted((each.start, each.end) for each in before)
    starts = [start for start, _ in taken]
    known = _by_acronym()
    found: list[Entity] = []
    previous_end, opens = 0, True
    for token, start, end in _tokens(plain):
        between = plain[previous_end:start]
        if between != " ":
            opens = _OPENS.search(between) is not None or (opens and not between.strip(' "(['))
        opens = opens or previous_end == 0
        previous_end = end
        form, own = _form(token)
        if form == "hexadecimal":
            found.append(Entity(frozenset({own}), frozenset({"hexadecimal"}), start, end))
            continue
        if not form or (opens and form != "name") or not _free(start, taken, starts):
            continue
        if form == "title":
            found.append(Entity(frozenset({own}), frozenset({"name"}), start, end))
            continue
        if token.rstrip("s").isupper() and found and _continues(plain, found[-1], start, own, known):
            whole = plain[found[-1].start : end]
            found[-1] = Entity(frozenset({key_of(whole)}), tags_of(whole) | {"capitals"}, found[-1].start, end)
            continue
        tags = frozenset({"capitals"}) if _is_shouted(token, own, known) else tags_of(token.rstrip("."))
        found.append(Entity(frozenset({own}), tags, start, end))
    return found


@lru_cache(maxsize=1 << 14)
def _form(token: str) -> tuple[Literal["", "hexadecimal", "name", "inside", "title"], str]:
    """Is a word a name by its form, and the key of that name.

    A hexadecimal and a ``name`` are wherever they stand; what is ``inside`` or a ``title`` (capitalised, and in no
    table) is one where it does not open a sentence.
    """
    if token.islower() and token.isalpha():
        return "", ""
    hexadecimal = _HEX.fullmatch(token) if len(token) > 3 else None
    if hexadecimal:
        return "hexadecimal", (hexadecimal[1] or hexadecimal[2]).lower()
    if len(token) > 60 or _MEASURE.fullmatch(token):
        return "", ""
    capitals = sum(letter.isupper() for letter in token)
    digits = any(letter.isdigit() for letter in token)
    letters = any(letter.isalpha() for letter in token)
    own = key_of(token)
    in_table = capitals > 0 and own in _by_acronym()
    if (
        capitals >= 2
        or (capitals and digits)
        or token in _SPECIAL
        or (capitals and re.match(r"[a-z]-[A-Z]", token))
        or (digits and letters and not token[0].isdigit() and not _COUNTED.fullmatch(token))
        or (in_table and len(token) > 3)
    ):
        return "name", own
    if in_table:
        return "inside", own
    return ("title", own) if capitals and _TITLE.fullmatch(token) else ("", own)


def _tokens(plain: str) -> Iterator[tuple[str, int, int]]:
    """Words with hyphens; two names with a slash between them (UDM/ARPF) are two."""
    for match in _TOKEN.finditer(plain):
        if "/" not in match[0]:
            yield match[0], *match.span()
            continue
        parts = match[0].split("/")
        if (
            len(parts) > 1
            and all(len(part) > 1 and part.isalpha() and not part.islower() for part in parts)
            and key_of(match[0]) not in _by_acronym()
        ):
            start = match.start()
            for part in parts:
                yield part, start, start + len(part)
                start += len(part) + 1
        else:
            yield match[0], *match.span()


def _is_shouted(token: str, own: str, known: dict[str, frozenset[str]]) -> bool:
    return token.isupper() and token.isalpha() and len(token) >= 4 and own not in known


def _continues(plain: str, last: Entity, start: int, own: str, known: dict[str, frozenset[str]]) -> bool:
    """Is this the next word of a message name in capitals: INIT ACK, REGISTRATION REQUEST?"""
    return "capitals" in last.tags and plain[last.end : start] == " " and (own == "ack" or own not in known)
