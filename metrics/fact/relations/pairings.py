"""What goes with what in a reference (10 Gbit/s with downstream), and whether an answer turns the pairs round."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..reading.reading import Reading, found_once
from ..reading.text import STOP
from .findings import Finding

# How much further a word in another clause is than one in the same.
_CLAUSE = 5
# Words on either side of a member that may belong to it.
_AROUND = 8


@dataclass(frozen=True, slots=True)
class _Mention:
    """Something that goes with something else: its class, what it is, and its place among the words."""

    group: str
    key: str
    first: int
    last: int
    clause: int
    start: int
    end: int


@found_once
def _mentions(reading: Reading) -> list[_Mention]:
    words, starts = reading.text.words, reading.text.starts
    found = []

    def add(group: str, key: str, start: int, end: int) -> None:
        at = min(bisect_left(starts, start), len(words) - 1)
        if at >= 0:
            last = max(at, bisect_left(starts, end) - 1)
            found.append(_Mention(group, key, at, last, words[at].clause, start, end))

    for pole in reading.poles:
        add(f"contrast {pole.group.name}", str(pole.side), pole.start, pole.end)
    for entity in reading.entities:
        key = min(entity.keys, key=len)
        for tag in entity.tags - {"?", "capitals", "name", "phrase"}:
            add(f"entity {tag}", key, entity.start, entity.end)
    for quantity in reading.quantities:
        kind = quantity.dimension or "number"
        add(f"quantity {kind}", f"{quantity.value:.6g}-{quantity.high or 0:.6g}", quantity.start, quantity.end)
    return found


@found_once
def _pairs(reading: Reading) -> dict[tuple[str, str], dict[str, tuple[str, _Mention]]]:
    """For two groups the members that are nearest to one another, both ways."""
    groups: dict[str, list[_Mention]] = {}
    for mention in _mentions(reading):
        groups.setdefault(mention.group, []).append(mention)
    # What is named twice goes with two things.
    once = {
        name: [each for each in found if sum(other.key == each.key for other in found) == 1]
        for name, found in groups.items()
        if len(found) <= 12
    }
    several = {name: found for name, found in once.items() if len(found) > 1}
    names = sorted(several)
    paired: dict[tuple[str, str], dict[str, tuple[str, _Mention]]] = {}
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            if {(m.start, m.end) for m in several[one]} & {(m.start, m.end) for m in several[other]}:
                continue
            nearest = {id(m): _nearest(m, several[other]) for m in several[one]}
            back = {id(m): _nearest(m, several[one]) for m in several[other]}
            found: dict[str, tuple[str, _Mention]] = {}
            for mention in several[one]:
                partner = nearest[id(mention)]
                if partner is not None and back[id(partner)] is mention:
                    found.setdefault(mention.key, (partner.key, mention))
            if len(found) > 1:
                paired[one, other] = found
    return paired


def _nearest(mention: _Mention, others: Sequence[_Mention]) -> _Mention | None:
    """The one nearest by words and clauses; None where two are equally near."""
    ranked = sorted(
        (max(each.first - mention.last, mention.first - each.last) + _CLAUSE * abs(mention.clause - each.clause), at)
        for at, each in enumerate(others)
    )
    if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
        return None
    return others[ranked[0][1]]


def pairing_findings(reference: Reading, answer: Reading) -> Iterator[Finding]:
    """What goes with what: 10 Gbit/s with downstream and 2.5 Gbit/s with upstream, not the other way round."""
    yield from _context_findings(reference, answer)
    wanted = _pairs(reference)
    if not wanted:
        return
    told = _pairs(answer)
    done: set[frozenset[str]] = set()
    for groups, pairs in wanted.items():
        there = told.get(groups, {})
        members = [(key, partner[0], partner[1]) for key, partner in pairs.items()]
        for at, (key, partner, mention) in enumerate(members):
            for other_key, other_partner, _ in members[at + 1 :]:
                if frozenset({key, other_key}) in done or key not in there or other_key not in there:
                    continue
                done.add(frozenset({key, other_key}))
                one, others = there[key][0], there[other_key][0]
                words = reference.text.raw[mention.start : mention.end]
                places = (
                    (there[key][1].start, there[key][1].end),
                    (there[other_key][1].start, there[other_key][1].end),
                )
                if one == other_partner and others == partner:
                    yield Finding("direction", words, "contradicted", places, only_if_seen=True)
                elif one == partner and others == other_partner:
                    yield Finding("direction", words, "agreed", places, only_if_seen=True)


@found_once
def _parted(reading: Reading) -> dict[str, list[_Mention]]:
    """The groups of which two members or more stand in clauses of their own."""
    groups: dict[str, list[_Mention]] = {}
    for mention in _mentions(reading):
        groups.setdefault(mention.group, []).append(mention)
    return {
        name: members
        for name, members in groups.items()
        if 2 <= len(members) <= 6 and len(_keys(members)) > 1 and len({m.clause for m in members}) > 1
    }


def _keys(members: Sequence[_Mention]) -> set[str]:
    return {each.key for each in members}


def _contexts(
    reading: Reading, groups: dict[str, list[_Mention]]
) -> dict[str, dict[str, tuple[frozenset[str], _Mention]]]:
    """For each group with two members or more, the words of its sentence that are nearest to each."""
    words = reading.text.words
    found: dict[str, dict[str, tuple[frozenset[str], _Mention]]] = {}
    for name, members in groups.items():
        near: dict[str, set[str]] = {}
        places = {place for each in members for place in range(each.first, each.last + 1)}
        for each in members:
            for place in range(max(0, each.first - _AROUND), min(len(words), each.last + 1 + _AROUND)):
                word = words[place]
                if place in places or word.text in STOP or word.sentence != words[each.first].sentence:
                    continue
                gaps = sorted((_gap(place, word.clause, other), other.key) for other in members)
                if gaps[0][1] == each.key and (gaps[1][0] > gaps[0][0] or gaps[1][1] == each.key):
                    near.setdefault(each.key, set()).add(word.stem)
        found[name] = {each.key: (frozenset(near.get(each.key, ())), each) for each in members}
    return found


def _gap(place: int, clause: int, mention: _Mention) -> int:
    return max(mention.first - place, place - mention.last) + _CLAUSE * abs(clause - mention.clause)


def _context_findings(reference: Reading, answer: Reading) -> Iterator[Finding]:
    """Two of a kind that have changed places: downstream is broadcast and upstream TDMA, or the other way round."""
    own, other_own = _parted(reference), _parted(answer)
    both = [
        name for name in sorted(own.keys() & other_own.keys()) if len(_keys(own[name]) & _keys(other_own[name])) > 1
    ]
    if not both:
        return
    wanted = _contexts(reference, {name: own[name] for name in both})
    told = _contexts(answer, {name: other_own[name] for name in both})
    for name, members in wanted.items():
        there = told.get(name, {})
        keys = sorted(key for key in members if key in there)
        for at, one in enumerate(keys):
            for other in keys[at + 1 :]:
                common = members[one][0] & members[other][0]
                first, second = members[one][0] - common, members[other][0] - common
                straight = first & there[one][0] or second & there[other][0]
                if members[one][1].clause == members[other][1].clause or there[one][1].clause == there[other][1].clause:
                    continue
                if first & there[other][0] and second & there[one][0] and not straight:
                    mention = members[one][1]
                    words = reference.text.raw[mention.start : mention.end]
                    marked = tuple((there[key][1].start, there[key][1].end) for key in (one, other))
                    yield Finding("direction", words, "contradicted", marked, only_if_seen=True)
