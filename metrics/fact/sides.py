"""Contrasts of a reference in an answer: the same side (uplink), the other one, or none."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from .comparisons import reciprocal
from .reading.contrasts import Pole
from .reading.polarity import CONDITIONS, LIMITS, NEGATIONS, ROUND
from .reading.reading import Reading, neighbours
from .reading.text import STOP
from .relations.findings import Finding, Places, places
from .relations.grades import SIGNS
from .relations.ways import link_sides

# Words at most between a contrast and its arguments.
_ARGUMENT = 8
# An answer of so few words has no context to compare.
_BRIEF = 12
# So many words have two clauses in common that speak of the same thing, where they have as many.
_SHARED = 2
# And this share of the shorter one's: long sentences have words in common by chance.
_PART = 0.34
# Longer texts say the same word of several things.
_PLAIN = 40
# Words that grow and shrink together: where the reference has both sides, their places tell nothing.
_GRADED = frozenset({"change", "magnitude", "speed", "timing"})
# Contrasts whose arguments alone tell which is meant, whatever the question says.
_PLACED = frozenset({"order", "magnitude"})
_LINK = "link direction"
_NEEDS = frozenset({"need", "needed", "necessary", "necessarily", "required"})
# Contrasts of which a negation says the other side, wherever it stands in the clause.
_TURNED_BY_NOT = frozenset({"likeness", "presence", "openness", "connecting", "obeying"})
_BECOMES = frozenset({"becomes", "become", "gets", "get", "grows", "grow", "is", "are", "turns"})
_IF = frozenset({"if", "when", "whenever", "provided"})
_HEDGES = CONDITIONS | ROUND


def side_findings(
    reference: Reading, answer: Reading, question: Reading, *, straight: bool = False, trending: bool = False
) -> Iterator[Finding]:
    """For each side of a contrast that the reference names: does the answer name it, or another?

    ``straight`` where the ways of both are known to be the same: who sends and who receives says nothing then.
    ``trending`` where both tell one trend: what grows and what shrinks says nothing then.
    """
    told: dict[str, dict[int, list[Pole]]] = {}
    for pole in answer.poles:
        told.setdefault(pole.group.name, {}).setdefault(pole.side, []).append(pole)
    _add_links(reference, answer, told)
    asked: dict[str, set[int]] = {}
    for pole in question.poles:
        asked.setdefault(pole.group.name, set()).add(pole.side)
    # Where the question offers both sides, it gives neither.
    asked = {name: sides for name, sides in asked.items() if len(sides) == 1}
    wanted: dict[tuple[str, int], list[Pole]] = {}
    for pole in reference.poles:
        wanted.setdefault((pole.group.name, pole.side), []).append(pole)
    for (name, side), used in wanted.items():
        words = reference.text.raw[used[0].start : used[0].end]
        there = told.get(name, {})
        same = there.get(side, [])
        if used[0].group.weak:
            yield from _weak(reference, used, answer, there, wanted)
            continue
        if side in asked.get(name, set()):
            # What the question gives need not be told, but it must not be turned round.
            if name in _PLACED:
                rest = [pole for other, found in there.items() if other != side for pole in found]
                against = reciprocal(reference, used[0], answer, same, rest, words)
                turned = against.places if against.status == "contradicted" else ()
            else:
                # Who sends to whom is told by their ways.
                told_so = same or name == "transfer"
                turned = () if told_so else _in_place(reference, used, answer, there, side)
                if question.asks and not (told_so or turned):
                    # Whether it is so is asked, and not given.
                    rest = [pole for other, found in there.items() if (name, other) not in wanted for pole in found]
                    turned = places(each for each in rest if _opposes(reference, used, answer, each))
            if turned:
                yield Finding("direction", words, "contradicted", turned, only_if_seen=True)
            continue
        others = [
            pole
            for other, found in there.items()
            for pole in found
            if (name, other) not in wanted
            and not _asked_again(pole, answer, question)
            and (used[0].group.reciprocal or other not in asked.get(name, set()))
            and _opposes(reference, used, answer, pole)
        ]
        if used[0].group.reciprocal:
            if name == "magnitude" and _compares_other(reference, used[0], answer, [*same, *others], question):
                same, others = others, same
            found = reciprocal(reference, used[0], answer, same, others, words)
            known = (straight and name == "transfer") or (trending and name in SIGNS)
            yield replace(found, status="agreed") if known and found.status == "contradicted" else found
        elif same:
            alike = [
                pole
                for pole in same
                if not _denied_apart(answer, pole, reference, used[0])
                or answer.text.words[pole.first].sentence in answer.polarity.conditional_sentences
            ]
            yield Finding("direction", words, "agreed" if alike else "contradicted", places(alike or same))
        elif others:
            known = trending and name in SIGNS
            yield Finding("direction", words, "omitted" if known else "contradicted", () if known else places(others))
        else:
            both = name in _GRADED and (name, 1 - side) in wanted
            turned = () if both else _in_place(reference, used, answer, there, side)
            yield Finding("direction", words, "contradicted" if turned else "omitted", turned)


def _add_links(reference: Reading, answer: Reading, told: dict[str, dict[int, list[Pole]]]) -> None:
    """Where the answer names no side of the link that the reference names, who sends in it tells: the UE, uplink."""
    group = next((pole.group for pole in reference.poles if pole.group.name == _LINK), None)
    if group is None or _LINK in told:
        return
    starts = answer.text.starts
    for side, start, end in link_sides(answer):
        first, last = bisect_left(starts, start), bisect_left(starts, end) - 1
        told.setdefault(_LINK, {}).setdefault(side, []).append(Pole(group, side, first, last, start, end))


def _weak(
    reference: Reading,
    used: Sequence[Pole],
    answer: Reading,
    there: dict[int, list[Pole]],
    wanted: dict[tuple[str, int], list[Pole]],
) -> Iterator[Finding]:
    """The other side of a weak contrast, said of the same thing; both sides in one text say nothing."""
    name, side = used[0].group.name, used[0].side
    if any((name, other) in wanted for other in there if other != side):
        return
    if there.get(side) and not (name in _TURNED_BY_NOT and _all_turned(reference, used, answer, there[side])):
        return
    against = [
        pole
        for other, found in there.items()
        for pole in found
        if any(_turned(reference, each, answer, pole, same=other == side) for each in used)
    ]
    if against:
        words = reference.text.raw[used[0].start : used[0].end]
        yield Finding("direction", words, "contradicted", places(against), only_if_seen=True)


def _all_turned(reference: Reading, used: Sequence[Pole], answer: Reading, same: Sequence[Pole]) -> bool:
    """Is the same side denied in one text and said in the other: "not share the same", "have the same"?"""
    if max(len(reference.text.words), len(answer.text.words)) > _PLAIN:
        return False
    mine = {each.first in reference.polarity.covered for each in used}
    return len(mine) == 1 and {each.first in answer.polarity.covered for each in same} == {not each for each in mine}


def _turned(reference: Reading, fact: Pole, answer: Reading, pole: Pole, *, same: bool) -> bool:
    """Says the answer the other side of the same thing, as plainly as the reference says its own?"""
    told, wanted = _denials(answer, pole), _denials(reference, fact)
    if max(told, wanted) == 2 or (told != wanted) != same:
        return False
    if _conditional(answer, pole) or _conditional(reference, fact):
        return False
    mine, others = _sentence(reference, fact), _sentence(answer, pole)
    return len(mine & others) >= max(_SHARED - same, _PART * min(len(mine), len(others)))


def _conditional(reading: Reading, pole: Pole) -> bool:
    """Stands the pole in a condition: "if it cannot", "as long as it can"?"""
    words = reading.text.words
    before = words[max(0, pole.first - _ARGUMENT) : pole.first]
    own = words[pole.first]
    return any(word.text in _IF and abs(own.clause - word.clause) < 1 for word in before) or any(
        one.text == "long" and other.text == "as" and other.clause == own.clause for one, other in pairwise(before)
    )


def _denials(reading: Reading, pole: Pole) -> int:
    """The parity of the negations in the pole's clause, its own words left out; 2 where it is not plainly said."""
    words = reading.text.words
    own = words[pole.first]
    near = [word for word in words[max(0, pole.first - 20) : pole.last + 20] if not pole.start <= word.start < pole.end]
    if any(
        (word.sentence == own.sentence and word.text in _HEDGES) or (word.clause == own.clause and word.text in LIMITS)
        for word in near
    ):
        return 2
    inside = {word.text for word in near if word.sentence == own.sentence}
    if inside & _NEEDS and inside & NEGATIONS:
        return 2
    cues = [each.cue for each in reading.polarity.negations if each.cue.clause == own.clause]
    return sum(not pole.start <= cue.start < pole.end for cue in cues) % 2


def _sentence(reading: Reading, pole: Pole) -> frozenset[str]:
    """The content around a pole in its sentence."""
    words = reading.text.words
    near = words[max(0, pole.first - 2 * _ARGUMENT) : pole.last + 2 * _ARGUMENT]
    return frozenset(
        word.stem
        for word in near
        if word.sentence == words[pole.first].sentence
        and word.text not in STOP
        and not pole.start <= word.start < pole.end
    )


def _denied(reading: Reading, pole: Pole) -> bool:
    """Does the text deny it? The other side of a complementary contrast has taken its denial up already."""
    return not pole.group.complementary and pole.first in reading.polarity.focus


def _asked_again(pole: Pole, answer: Reading, question: Reading) -> bool:
    """Repeats the answer what the question says with the same word: "with more antennas"?"""
    after = _following(answer, pole)
    words = [word.text for word in answer.text.words[pole.first : pole.last + 1]]
    return any(
        each.group == pole.group
        and [word.text for word in question.text.words[each.first : each.last + 1]] == words
        and after & _following(question, each)
        for each in question.poles
    )


def _following(reading: Reading, pole: Pole) -> frozenset[str]:
    """The stems of the next words."""
    words = reading.text.words[pole.last + 1 : pole.last + 4]
    return frozenset(word.stem for word in words if word.text not in STOP)


def _denied_apart(answer: Reading, pole: Pole, reference: Reading, fact: Pole) -> bool:
    """Is it plainly denied in one text and plainly said in the other?"""
    if _denied(answer, pole) == _denied(reference, fact) or 2 in (_denials(answer, pole), _denials(reference, fact)):
        return False
    if max(len(reference.text.words), len(answer.text.words)) > _BRIEF and not (
        _following(answer, pole) & _following(reference, fact) or _sentence(answer, pole) & _sentence(reference, fact)
    ):
        return False
    reading, said = (reference, fact) if _denied(answer, pole) else (answer, pole)
    return said.first not in reading.polarity.covered


def _opposes(reference: Reading, used: Sequence[Pole], answer: Reading, pole: Pole) -> bool:
    """Is another side said of the same thing: do their clauses share a word, or is the answer too brief to tell?"""
    if _denied(answer, pole) != _denied(reference, used[0]):
        return False
    if any(
        each.first in reading.polarity.covered - reading.polarity.focus - reading.polarity.predicates
        for reading, each in ((reference, used[0]), (answer, pole))
    ):
        # Denied with a verb before it: "does not put them in order".
        return False
    if _apart(reference, used[0], answer, pole) or _grows_otherwise(answer, pole):
        return False
    own = _clause(answer, pole)
    several = sum(each.group.name in SIGNS for each in answer.poles) > 1 and any(
        len(_clause(reference, each)) > 1 for each in used
    )
    if len(answer.text.words) <= _BRIEF and not (pole.group.name in SIGNS and several):
        return True
    graded = pole.group.reciprocal or pole.group.name in SIGNS
    if not graded and max(len(reference.text.words), len(answer.text.words)) <= 2 * _BRIEF:
        # A sentence or two say one thing: "and" parts clauses that belong together.
        own, whole = _sentence(answer, pole), [_sentence(reference, each) for each in used]
        if any(len(own & other) >= max(_SHARED, 0.5 * min(len(own), len(other))) for other in whole):
            return True
        own = _clause(answer, pole)
    others = [_clause(reference, each) for each in used]
    return any(
        len(own & other) >= max(min(_SHARED, len(other)), _PART * min(len(own), len(other))) > 0 for other in others
    )


def _grows_otherwise(answer: Reading, pole: Pole) -> bool:
    """Has the answer a comparative that no list knows, so that the pole may tell of the other of two things: rarer?"""
    words = answer.text.words
    own = words[pole.first].sentence
    return pole.group.name in ("change", "magnitude") and any(
        one.text in _BECOMES and other.text.endswith("er") and len(other.text) > 4 and one.sentence == own
        for one, other in pairwise(words[max(0, pole.first - 12) : pole.last + 12])
        if not any(
            each.first <= at <= each.last
            for each in answer.poles
            for at in (bisect_left(answer.text.starts, other.start),)
        )
    )


def _apart(reference: Reading, fact: Pole, answer: Reading, pole: Pole) -> bool:
    """Is one denied and the other limited: "idle ones send none", "only connected ones send"?"""
    return {_denials(answer, pole), _denials(reference, fact)} == {1, 2}


def _clause(reading: Reading, pole: Pole) -> frozenset[str]:
    words = reading.text.words
    own = words[pole.first]
    near = words[max(0, pole.first - 2 * _ARGUMENT) : pole.last + 2 * _ARGUMENT]
    return frozenset(
        word.stem
        for word in near
        if word.clause == own.clause and word.text not in STOP and not pole.start <= word.start < pole.end
    )


def _in_place(
    reference: Reading, used: Sequence[Pole], answer: Reading, there: dict[int, list[Pole]], side: int
) -> Places:
    """Where the answer has another side between the same words."""
    around, theirs = set[tuple[int, str]](), set[tuple[int, str]]()
    for pole in reference.poles:
        if pole.group.name == used[0].group.name:
            (around if pole.side == side else theirs).update(neighbours(reference, pole.start, pole.end))
    return tuple(
        (pole.start, pole.end)
        for other, poles in there.items()
        for pole in poles
        if other != side
        and neighbours(answer, pole.start, pole.end) & around - theirs
        and (pole.first in answer.polarity.covered) == (used[0].first in reference.polarity.covered)
        and not _apart(reference, used[0], answer, pole)
    )


def _compares_other(reference: Reading, fact: Pole, answer: Reading, told: Sequence[Pole], question: Reading) -> bool:
    """Speaks the answer of the other of two that the question compares: IPv4 has the smaller one, IPv6 the larger?"""
    if max(len(reference.text.words), len(answer.text.words)) > _BRIEF:
        return False
    named = [
        frozenset().union(
            *(
                each.keys
                for each in reading.entities
                if reading.text.words[pole.first].sentence == _at(reading, each.start)
            )
        )
        for reading, pole in [(reference, fact), *((answer, each) for each in told[:1])]
    ]
    return len(named) == 2 and all(named) and named[0].isdisjoint(named[1]) and named[0] | named[1] <= question.keys


def _at(reading: Reading, start: int) -> int:
    """The sentence of a place."""
    words = reading.text.words
    return words[min(bisect_left(reading.text.starts, start), len(words) - 1)].sentence
