"""The facts of a reference held against an answer: told, contradicted or left out, each with its place in the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .direction import directions
from .entities import SYNONYMS, Entity
from .polarity import denials
from .quantities import Quantity, equal, same_kind
from .reading import Reading, neighbours
from .text import STOP, Word, stem

Kind = Literal["quantity", "entity", "polarity", "direction"]
Status = Literal["agreed", "contradicted", "omitted"]
KINDS: tuple[Kind, ...] = ("quantity", "entity", "polarity", "direction")
# A statement counts as made when the answer has this share of its words that are new to the question.
STATED = 1 / 3
# Tags of names that no class is known of, and of phrases in lower case: their neighbours have to tell.
_UNKNOWN, _PHRASE = frozenset({"?"}), frozenset({"phrase"})
_ALTERNATIVE = re.compile(r"\s*(?:,?\s*or|/)\s*(?:an? |the )?", re.IGNORECASE)
# The one word that the first number of a list counts.
_COUNTS = re.compile(r"^\s?(?!or\b|and\b)[A-Za-z]+(?=\s*(?:,|/|;|and\b|or\b))")
_LISTED = re.compile(r"\s*(?:,|/|;|,?\s*(?:and|or))\s*(?:an? |the )?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact of the reference in its own words, and what the answer makes of it.

    ``places`` in the answer: where the fact is told, or what stands there instead; empty where it is left out.
    ``only_if_seen`` marks what is no fact to be told: what the question gives, which can only be contradicted, and
    which of two goes with which, which is seen where both are named.
    """

    kind: Kind
    fact: str
    status: Status
    places: tuple[tuple[int, int], ...] = ()
    only_if_seen: bool = False


def findings(reference: Reading, answer: Reading, question: Reading) -> tuple[Finding, ...]:
    """What the answer makes of each fact of the reference that the question does not give.

    >>> from .reading import read
    >>> [(f.kind, f.fact, f.status) for f in findings(read("SCTP, port 38412"), read("port 2152"), read("Which port?"))]
    [('quantity', '38412', 'contradicted'), ('entity', 'SCTP', 'omitted')]
    """
    return (
        *_quantity_findings(reference, answer, question),
        *_entity_findings(reference, answer, question),
        *directions(reference, answer, question, Finding),
        *_statement_findings(reference, answer, question),
    )


# --- quantities


def _quantity_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    wanted, told = reference.quantities, answer.quantities
    known = (*wanted, *question.quantities)
    strange = [each for each in told if not any(_alike(each, other) for other in known)]
    for at, fact in enumerate(wanted):
        before = sum(equal(fact, other) for other in wanted[:at])
        given = any(equal(fact, other) for other in question.quantities)
        words = reference.text.raw[fact.start : fact.end]
        same = _told(fact, told)
        if len(same) > before:
            if before or given:
                continue
            opposed = [each for each in same if _opposed(fact, each)]
            rivals = opposed if len(opposed) == len(same) else _hedged(answer, same, strange, fact)
            status: Status = "contradicted" if rivals else "agreed"
            yield Finding("quantity", words, status, _places(rivals or same))
            continue
        rivals = [each for each in strange if same_kind(fact, each)]
        if before or given:
            # Told once already: only what stands in its very place contradicts it.
            around = neighbours(reference, fact.start, fact.end)
            rivals = [each for each in rivals if around & neighbours(answer, each.start, each.end)]
            if not rivals:
                continue
            yield Finding("quantity", words, "contradicted", _places(rivals), only_if_seen=True)
            continue
        if not rivals:
            rivals = _repeated(reference, fact, answer, told)
        status = "contradicted" if rivals else "omitted"
        yield Finding("quantity", words, status, _places(rivals))


def _repeated(reference: Reading, fact: Quantity, answer: Reading, told: Sequence[Quantity]) -> list[Quantity]:
    """Another value of the reference that the answer has once more, in the place of this one: 5 and 5 bits for 3 and 5."""
    around = neighbours(reference, fact.start, fact.end)
    found = []
    for each in told:
        times = sum(equal(each, other) for other in told)
        if times > sum(equal(each, other) for other in reference.quantities) > 0 and same_kind(fact, each):
            if around & neighbours(answer, each.start, each.end):
                found.append(each)
    return found


def _told(fact: Quantity, told: Sequence[Quantity]) -> list[Quantity]:
    """Where an answer tells a quantity: itself, both ends of a range, or as an end of one."""
    same = [each for each in told if equal(fact, each)]
    if same:
        return same
    if fact.high is not None:
        ends = [
            [each for each in told if each.high is None and _at(each, fact, value)] for value in (fact.value, fact.high)
        ]
        return [each for end in ends for each in end] if all(ends) else []
    return [
        each for each in told if each.high is not None and (_at(fact, each, each.value) or _at(fact, each, each.high))
    ]


def _opposed(fact: Quantity, told: Quantity) -> bool:
    """Is one the least and the other the most: "1 s or longer" and "10 ms to 1 s"?"""
    if fact.high is None and told.high is not None:
        return (fact.bound == "least" and _at(fact, told, told.high)) or (
            fact.bound == "most" and _at(fact, told, told.value)
        )
    return bool(fact.bound and told.bound and fact.bound != told.bound)


def _at(single: Quantity, span: Quantity, value: float) -> bool:
    alike = single.dimension == span.dimension or not (single.dimension and span.dimension)
    return alike and abs(single.value - value) <= 1e-6 * max(abs(value), abs(single.value))


def _alike(one: Quantity, other: Quantity) -> bool:
    return equal(one, other) or bool(_told(one, [other]))


def _hedged(answer: Reading, same: Sequence[Quantity], strange: Sequence[Quantity], fact: Quantity) -> list[Quantity]:
    """Values that the answer offers beside the right one: one more with "or", or two more in a list."""
    if not strange:
        return []
    told = answer.quantities
    wrong = {(each.start, each.end) for each in strange if same_kind(fact, each)}
    places = {(each.start, each.end) for each in same}
    for at, each in enumerate(told):
        if (each.start, each.end) not in places:
            continue
        listed: list[Quantity] = []
        offered: list[Quantity] = []
        for step in (1, -1):
            place = at
            while 0 <= place + step < len(told) and len(listed) < 20:
                first, second = sorted((told[place], told[place + step]), key=lambda one: one.start)
                between = _COUNTS.sub("", answer.text.plain[first.end : min(second.start, first.end + 60)])
                if not _LISTED.fullmatch(between):
                    break
                place += step
                if (told[place].start, told[place].end) in wrong:
                    listed.append(told[place])
                    if place == at + step and _ALTERNATIVE.fullmatch(between):
                        offered.append(told[place])
        if offered or len(listed) > 1:
            return offered or listed
    return []


def _places(found: Sequence[Quantity] | Sequence[Entity]) -> tuple[tuple[int, int], ...]:
    return tuple((each.start, each.end) for each in found)


# --- entities


def _entity_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    known = frozenset().union(*(each.keys for each in (*reference.entities, *question.entities)))
    rivals = [each for each in answer.entities if not each.keys & known and not each.keys & question.keys]
    seen = set[str]()
    for fact in reference.entities:
        words = reference.text.raw[fact.start : fact.end]
        # A phrase in small letters that happens to have an acronym is told by its words, or not at all.
        if fact.keys & seen or ("phrase" in fact.tags and words.islower()):
            continue
        seen |= fact.keys
        given = bool(fact.keys & question.keys)
        places = _named(fact, answer)
        if places is not None:
            if not given:
                yield Finding("entity", words, "agreed", places)
            continue
        around = neighbours(reference, fact.start, fact.end) if rivals else frozenset()
        against = [each for each in rivals if _stands_for(each, fact, answer, around, given)]
        if against or not given:
            status: Status = "contradicted" if against else "omitted"
            yield Finding("entity", words, status, _places(against), only_if_seen=given)


def _stands_for(rival: Entity, fact: Entity, answer: Reading, around: frozenset[tuple[int, str]], given: bool) -> bool:
    """Does a name stand where another should: one of its class, or of any between the same words?

    Both is asked for where the question gives the fact: an answer need not repeat it.
    """
    alike = bool(rival.tags & fact.tags - _UNKNOWN)
    if alike and not given:
        return True
    return (alike or not (given or rival.tags & _PHRASE)) and bool(around & neighbours(answer, rival.start, rival.end))


def _named(fact: Entity, answer: Reading) -> tuple[tuple[int, int], ...] | None:
    """Where the answer names an entity; empty where it does in lower case, None where it does not."""
    places = tuple((each.start, each.end) for each in answer.entities if each.keys & fact.keys)
    if places:
        return places
    if fact.keys & answer.keys:
        return ()
    others = frozenset().union(*(SYNONYMS.get(key, frozenset()) for key in fact.keys))
    if "name" in fact.tags:
        others |= {stem(key) for key in fact.keys}
    found = [word for word in answer.text.words if word.stem in others] if others & answer.text.stems else []
    return tuple((word.start, word.end) for word in found[:1]) or None


# --- statements


def _statement_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """Each sentence of the reference: is it made, or does the answer deny it?"""
    heard = question.text.stems
    clashes = denials(reference.polarity, answer.polarity, heard)
    by_sentence: dict[int, list[Word]] = {}
    for word in reference.text.words:
        if word.text not in STOP:
            by_sentence.setdefault(word.sentence, []).append(word)
    denying = {negation.cue.sentence for negation in reference.polarity.negations}
    for sentence, words in by_sentence.items():
        new = {word.stem for word in words} - heard
        denies = sentence in denying
        if len(words) < 3 or (len(new) < 2 and not denies):
            continue
        told = reference.text.raw[words[0].start : words[-1].end]
        against = [clash for clash in clashes if clash.reference.sentence == sentence]
        if against:
            places = tuple((clash.answer.start, clash.answer.end) for clash in against)
            yield Finding("polarity", told, "contradicted", places)
            continue
        made = new & answer.text.stems or ({word.stem for word in words} & answer.text.stems if not new else set())
        enough = len(made) >= STATED * max(1, len(new))
        yield Finding("polarity", told, "agreed" if enough else "omitted")
