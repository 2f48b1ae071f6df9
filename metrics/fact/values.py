"""Quantities of a reference in an answer: told, another value in their place, or none."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from .reading.quantities import Quantity, equal, same_kind
from .reading.reading import Reading, found_once, neighbours
from .reading.units import Unit, units_alone
from .relations.findings import Finding, Status, places

_ALTERNATIVE = re.compile(r"\s*(?:,?\s*or|/)\s*(?:an? |the )?", re.IGNORECASE)
# The one word that the first number of a list counts.
_COUNTS = re.compile(r"^\s?(?!or\b|and\b)[A-Za-z]+(?=\s*(?:,|/|;|and\b|or\b))")
# A range of so few is told by its members, too.
_LISTED_VALUES = 8
_LISTED = re.compile(r"\s*(?:,|/|;|,?\s*(?:and|or))\s*(?:an? |the )?", re.IGNORECASE)


def quantity_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """For each quantity of the reference: does the answer tell it, or another value in its place?"""
    wanted, told = [each for each in reference.quantities if not each.implied], answer.quantities
    if not wanted:
        return
    known = (*wanted, *question.given)
    strange = [each for each in told if not each.implied and not any(_alike(each, other) for other in known)]
    strange = [each for each in strange if not any(_within(each, fact) and _told(fact, told) for fact in wanted)]
    for at, fact in enumerate(wanted):
        before = sum(equal(fact, other) for other in wanted[:at])
        # "How much is 23 dBm in mW?" does not give what it asks for.
        given = any(equal(fact, other) and math.isclose(fact.number, other.number) for other in question.given)
        words = reference.text.raw[fact.start : fact.end]
        same = _told(fact, told)
        if len(same) > before:
            if before or given:
                continue
            opposed = [each for each in same if _opposed(fact, each)]
            rivals = opposed if len(opposed) == len(same) else _hedged(answer, same, strange, fact)
            status: Status = "contradicted" if rivals else "agreed"
            yield Finding("quantity", words, status, places(rivals or same))
            continue
        rivals = [each for each in strange if same_kind(fact, each)]
        if before or given:
            # Told once already: only what stands in its very place contradicts it.
            around = neighbours(reference, fact.start, fact.end)
            rivals = [each for each in rivals if around & neighbours(answer, each.start, each.end)]
            if not rivals:
                continue
            yield Finding("quantity", words, "contradicted", places(rivals), only_if_seen=True)
            continue
        if not rivals:
            rivals = _repeated(reference, fact, answer, told)
        status = "contradicted" if rivals else "omitted"
        yield Finding("quantity", words, status, places(rivals))


def _repeated(reference: Reading, fact: Quantity, answer: Reading, told: Sequence[Quantity]) -> list[Quantity]:
    """Another value of the reference that the answer has once more in this one's place: 5 and 5 bits for 3 and 5."""
    around = neighbours(reference, fact.start, fact.end)
    return [
        each
        for each in told
        if same_kind(fact, each)
        and (wanted := sum(equal(each, other) for other in reference.quantities))
        and sum(equal(each, other) for other in told) > wanted
        and around & neighbours(answer, each.start, each.end)
    ]


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
        each
        for each in told
        if each.high is not None and not each.implied and (_at(fact, each, each.value) or _at(fact, each, each.high))
    ]


def _within(told: Quantity, span: Quantity) -> bool:
    """Is it one of the whole numbers of a short range: the 2 of "1, 2 or 3" for one to three?"""
    if span.high is None or told.high is not None or told.dimension != span.dimension:
        return False
    return span.value < told.value < span.high and span.high - span.value < _LISTED_VALUES


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
    told = [each for each in answer.quantities if not each.implied]
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


@found_once
def _units(reading: Reading) -> list[tuple[Unit, int, int]]:
    return units_alone(reading.text.plain)


def unit_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """Units that the reference speaks of without a number: "given in bit/s"."""
    wanted = _units(reference)
    if not wanted:
        return
    told = _units(answer)
    seen = {unit for unit, _, _ in _units(question)}
    known = seen.union(unit for unit, _, _ in wanted)
    for unit, start, end in wanted:
        if unit in seen:
            continue
        seen.add(unit)
        words = reference.text.raw[start:end]
        same = tuple((at, to) for other, at, to in told if other == unit)
        rivals = tuple((at, to) for other, at, to in told if other not in known and other.dimension == unit.dimension)
        status: Status = "agreed" if same else "contradicted" if rivals else "omitted"
        yield Finding("quantity", words, status, same or rivals)
