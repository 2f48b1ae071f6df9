"""Direction: which side of a contrast, from whom to whom, who does it to whom, and what goes with what."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .contrasts import Pole
from .reading import Reading, neighbours
from .text import STOP, Word

if TYPE_CHECKING:
    from .agreement import Finding

# Words at most between a contrast and its arguments.
_ARGUMENT = 8
# How much further a word in another clause is than one in the same.
_CLAUSE = 5
_FROM, _TO = frozenset({"from"}), frozenset({"to", "towards", "toward", "into", "onto"})
_PREPOSITIONS = (
    _FROM | _TO | frozenset("by in on at of over with via through between for under within as and or".split())
)
_BE = frozenset("is are was were be been being gets get".split())
_PASSIVE = frozenset({"sent", "held", "known", "made", "given", "taken", "kept", "told", "chosen", "driven", "run"})


def directions(
    reference: Reading, answer: Reading, question: Reading, finding: Callable[..., Finding]
) -> Iterator[Finding]:
    """The findings on contrasts, relations and pairings of the reference."""
    yield from _contrast_findings(reference, answer, question, finding)
    yield from _way_findings(reference, answer, finding)
    yield from _relation_findings(reference, answer, finding)
    yield from _pairing_findings(reference, answer, finding)


# --- contrasts


def _contrast_findings(reference: Reading, answer: Reading, question: Reading, finding: Any) -> Iterator[Finding]:
    wanted: dict[str, dict[int, list[Pole]]] = {}
    for pole in reference.poles:
        wanted.setdefault(pole.group.name, {}).setdefault(pole.side, []).append(pole)
    told: dict[str, dict[int, list[Pole]]] = {}
    for pole in answer.poles:
        told.setdefault(pole.group.name, {}).setdefault(pole.side, []).append(pole)
    asked: dict[str, set[int]] = {}
    for pole in question.poles:
        asked.setdefault(pole.group.name, set()).add(pole.side)
    for name, sides in wanted.items():
        for side, used in sides.items():
            words = reference.text.raw[used[0].start : used[0].end]
            there = told.get(name, {})
            same = there.get(side, [])
            if side in asked.get(name, set()):
                # What the question gives need not be told, but it must not be turned round.
                turned = [] if same else _in_place(reference, used, answer, there, side)
                if turned:
                    yield finding("direction", words, "contradicted", turned, only_if_seen=True)
                continue
            others = [
                pole
                for other, poles in there.items()
                for pole in poles
                if other not in sides and other not in asked.get(name, set())
            ]
            if used[0].group.reciprocal:
                yield _reciprocal(reference, used[0], answer, same, others, words, finding)
            elif same:
                yield finding("direction", words, "agreed", tuple((pole.start, pole.end) for pole in same))
            elif others:
                yield finding("direction", words, "contradicted", tuple((pole.start, pole.end) for pole in others))
            else:
                turned = _in_place(reference, used, answer, there, side)
                yield finding("direction", words, "contradicted" if turned else "omitted", turned)


def _in_place(
    reference: Reading, used: Sequence[Pole], answer: Reading, there: dict[int, list[Pole]], side: int
) -> tuple[tuple[int, int], ...]:
    """Where the answer has another side between the same words."""
    around, theirs = set[tuple[int, str]](), set[tuple[int, str]]()
    for pole in reference.poles:
        if pole.group.name == used[0].group.name:
            (around if pole.side == side else theirs).update(neighbours(reference, pole.start, pole.end))
    return tuple(
        (pole.start, pole.end)
        for other, poles in there.items()
        for pole in poles
        if other != side and neighbours(answer, pole.start, pole.end) & around - theirs
    )


def _reciprocal(
    reference: Reading, fact: Pole, answer: Reading, same: list[Pole], others: list[Pole], words: str, finding: Any
) -> Finding:
    """A before B is B after A: the other word with its arguments turned round agrees."""
    left, right = _arguments(reference, fact)
    agreed, against = [], []
    for pole, other_side in [*((each, False) for each in same), *((each, True) for each in others)]:
        before, after = _arguments(answer, pole)
        straight = len(left & before) + len(right & after)
        turned = len(left & after) + len(right & before)
        # Only an order is turned round by its arguments alone: "sent by A" and "A sends" say the same.
        swapped = turned > straight + (0 if other_side else 1) and (other_side or fact.group.name == "order")
        (against if swapped != other_side else agreed).append((pole.start, pole.end))
    if agreed:
        return finding("direction", words, "agreed", tuple(agreed))
    if against:
        return finding("direction", words, "contradicted", tuple(against))
    return finding("direction", words, "omitted")


def _arguments(reading: Reading, pole: Pole) -> tuple[frozenset[str], frozenset[str]]:
    """The content before and after a word in its sentence; a clause that opens with it gives its argument first."""
    words = reading.text.words
    sentence = words[pole.first].sentence
    before = [
        w for w in words[max(0, pole.first - _ARGUMENT) : pole.first] if w.sentence == sentence and w.text not in STOP
    ]
    after = [
        w for w in words[pole.last + 1 : pole.last + 1 + 2 * _ARGUMENT] if w.sentence == sentence and w.text not in STOP
    ]
    if not before and after:
        comma = reading.text.plain.find(",", pole.end, after[-1].end)
        if comma >= 0:
            before, after = [w for w in after if w.start > comma], [w for w in after if w.start < comma]
    return frozenset(w.stem for w in before), frozenset(w.stem for w in after[:_ARGUMENT])


# --- from one to another


def _ways(reading: Reading) -> dict[int, tuple[frozenset[str], frozenset[str], int, int]]:
    """For each sentence that says both, the words of "from ..." and of "to ..."."""
    found: dict[int, dict[str, set[str]]] = {}
    places: dict[int, list[int]] = {}
    words = reading.text.words
    for at, word in enumerate(words):
        way = "from" if word.text in _FROM else "to" if word.text in _TO else ""
        if not way:
            continue
        for place in range(at + 1, min(at + 5, len(words))):
            other = words[place]
            if other.sentence != word.sentence or (other.text in _PREPOSITIONS or other.text in _BE):
                break
            if other.text not in STOP:
                found.setdefault(word.sentence, {}).setdefault(way, set()).add(other.stem)
                places.setdefault(word.sentence, []).extend((word.start, other.end))
    return {
        sentence: (frozenset(ways["from"] - ways["to"]), frozenset(ways["to"] - ways["from"]), min(places[sentence]), max(places[sentence]))
        for sentence, ways in found.items()
        if len(ways) == 2
    }  # fmt: skip


def _way_findings(reference: Reading, answer: Reading, finding: Any) -> Iterator[Finding]:
    told = _ways(answer).values()
    for source, target, start, end in _ways(reference).values():
        for other_source, other_target, other_start, other_end in told:
            straight = source & other_source or target & other_target
            turned = source & other_target and target & other_source
            if straight or turned:
                status = "agreed" if straight else "contradicted"
                yield finding(
                    "direction", reference.text.raw[start:end], status, ((other_start, other_end),), only_if_seen=True
                )
                break


# --- relations


@dataclass(frozen=True, slots=True)
class _Actor:
    key: str
    role: str
    start: int
    end: int


_ROLE_NOUNS = frozenset(
    "client server network termin devic sender receiv oper subscrib node router switch host manag agent control core "
    "user base station peer caller calle transmitt handset mobil".split()
)


def _actors(reading: Reading) -> list[_Actor]:
    """Who has which part: agent or patient."""
    words, starts = reading.text.words, reading.text.starts
    mentions = [(min(e.keys, key=len), bisect_left(starts, e.start), e.start, e.end) for e in reading.entities]
    taken = {
        place
        for _, first, _, end in mentions
        for place in range(first, min(first + 6, len(words)))
        if words[place].start < end
    }
    mentions += [
        (word.stem, place, word.start, word.end)
        for place, word in enumerate(words)
        if place not in taken and word.stem in _ROLE_NOUNS
    ]
    found = []
    for key, first, start, end in sorted(mentions, key=lambda each: each[2]):
        role = _role(words, first, end) if first < len(words) else ""
        if role:
            found.append(_Actor(key, role, start, end))
    return found


def _role(words: Sequence[Word], first: int, end: int) -> str:
    for place in range(first - 1, max(-1, first - 4), -1):
        word = words[place]
        if word.sentence != words[first].sentence:
            break
        if word.text == "by":
            return "agent"
        if word.text in _PREPOSITIONS:
            return ""
        if word.text not in ("the", "a", "an", "its", "their", "that", "this", "each", "one", "another"):
            break
    after = [word for word in words[first : first + 8] if word.start >= end and word.sentence == words[first].sentence][
        :3
    ]
    if len(after) > 1 and after[0].text in _BE:
        passive = after[1].text.endswith("ed") or after[1].text in _PASSIVE
        return "patient" if passive else ""
    before = words[first - 1] if first and words[first - 1].sentence == words[first].sentence else None
    if after and after[0].text.endswith("s") and after[0].text not in STOP and not after[0].text.endswith("ss"):
        opens = (
            before is None or before.text in ("the", "a", "an", "each", "every") or before.clause != words[first].clause
        )
        return "agent" if opens else ""
    if before is not None:
        verb = words[first - 2] if before.text in ("the", "a", "an") and first > 1 else before
        if verb.text.endswith("s") and verb.text not in STOP and not verb.text.endswith("ss"):
            return "patient"
    return ""


_OPPOSITE = {"agent": "patient", "patient": "agent"}


def _relation_findings(reference: Reading, answer: Reading, finding: Any) -> Iterator[Finding]:
    """Pairs with opposite parts: A does it to B."""
    wanted = _actors(reference)
    if len({actor.key for actor in wanted}) < 2:
        return
    told: dict[str, set[str]] = {}
    places: dict[str, tuple[int, int]] = {}
    for actor in _actors(answer):
        told.setdefault(actor.key, set()).add(actor.role)
        places.setdefault(actor.key, (actor.start, actor.end))
    for one, other in zip(wanted, wanted[1:], strict=False):
        if one.key == other.key or _OPPOSITE[one.role] != other.role:
            continue
        roles, others = told.get(one.key, set()), told.get(other.key, set())
        words = reference.text.raw[one.start : other.end]
        marked = tuple(places[key] for key in (one.key, other.key) if key in places)
        turned = other.role in roles and one.role not in roles and one.role in others and other.role not in others
        if turned:
            yield finding("direction", words, "contradicted", marked, only_if_seen=True)
        elif one.role in roles and other.role in others:
            yield finding("direction", words, "agreed", marked, only_if_seen=True)


# --- pairings


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
        for tag in entity.tags - {"?", "capitals", "name"}:
            add(f"entity {tag}", key, entity.start, entity.end)
    for quantity in reading.quantities:
        kind = quantity.dimension or "number"
        add(f"quantity {kind}", f"{quantity.value:.6g}-{quantity.high or 0:.6g}", quantity.start, quantity.end)
    return found


def _pairs(mentions: Sequence[_Mention]) -> dict[tuple[str, str], dict[str, tuple[str, _Mention]]]:
    """For two groups the members that are nearest to one another, both ways."""
    groups: dict[str, list[_Mention]] = {}
    for mention in mentions:
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


def _pairing_findings(reference: Reading, answer: Reading, finding: Any) -> Iterator[Finding]:
    """What goes with what: 10 Gbit/s with downstream and 2.5 Gbit/s with upstream, not the other way round."""
    wanted = _pairs(_mentions(reference))
    if not wanted:
        return
    told = _pairs(_mentions(answer))
    done: set[frozenset[str]] = set()
    for groups, pairs in wanted.items():
        there = told.get(groups, {})
        members = [(key, partner[0], partner[1]) for key, partner in pairs.items()]
        for at, (key, partner, mention) in enumerate(members):
            for other_key, other_partner, _ in members[at + 1 :]:
                if frozenset({key, other_key}) in done or key not in there or other_key not in there:
                    continue
                done.add(frozenset({key, other_key}))
                mine, others = there[key][0], there[other_key][0]
                words = reference.text.raw[mention.start : mention.end]
                places = (
                    (there[key][1].start, there[key][1].end),
                    (there[other_key][1].start, there[other_key][1].end),
                )
                if mine == other_partner and others == partner:
                    yield finding("direction", words, "contradicted", places, only_if_seen=True)
                elif mine == partner and others == other_partner:
                    yield finding("direction", words, "agreed", places, only_if_seen=True)
