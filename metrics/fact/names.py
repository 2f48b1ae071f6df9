"""Names of a reference in an answer: told by any of their names, another one in their place, or none."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from .reading.entities import PARTIES, SYNONYMS, Entity
from .reading.polarity import LIMITS
from .reading.reading import Reading, neighbours
from .reading.text import stem
from .relations.findings import Finding, Status, places

# Tags of names that no class is known of, and of phrases in lower case: their neighbours have to tell.
_UNKNOWN, _PHRASE = frozenset({"?", "name"}), frozenset({"phrase"})
# What these deny is told of the name behind them, and not the name itself.
_SUBJECT = frozenset({"neither", "nor", "nothing", "none", "nobody"})
# An answer of more than so many words that is so many times as long as its reference tells more than was asked: a name
# of the same class has to stand between the same words there.
_LONG = ((12, 2.5), (24, 1.6))


def entity_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """For each name of the reference: does the answer have it, or another in its place?"""
    heard = question.keys - question.offered
    known = heard.union(*(each.keys for each in (*reference.entities, *question.entities)))
    known -= question.offered - frozenset().union(*(each.keys for each in reference.entities))
    denies = bool(reference.polarity.negations)
    rivals = [
        each
        for each in answer.entities
        if not each.keys & known
        and not _is_denied(answer, each.start, first=False)
        and not (denies and _is_limited(answer, each))
    ]
    seen = set[str]()
    size = len(answer.text.words)
    long = any(size > max(least, times * len(reference.text.words)) for least, times in _LONG)
    for fact in reference.entities:
        words = reference.text.raw[fact.start : fact.end]
        # A phrase in small letters that happens to have an acronym is told by its words, or not at all.
        if fact.keys & seen or ("phrase" in fact.tags and words.islower()):
            continue
        seen |= fact.keys
        given = bool(fact.keys & heard)
        named = _named(fact, answer)
        if (
            named
            and not given
            and not _is_turned(reference, fact.start)
            and all(_is_denied(answer, at) for at, _ in named)
        ):
            # "not SCTP"
            yield Finding("entity", words, "contradicted", named)
            continue
        if named is not None:
            if not given:
                yield Finding("entity", words, "agreed", named)
            continue
        around = neighbours(reference, fact.start, fact.end) if rivals else frozenset()
        against = [each for each in rivals if _stands_for(each, fact, answer, around, given, long)]
        if against or not given:
            status: Status = "contradicted" if against else "omitted"
            yield Finding("entity", words, status, places(against), only_if_seen=given)


def _stands_for(
    rival: Entity, fact: Entity, answer: Reading, around: frozenset[tuple[int, str]], given: bool, long: bool
) -> bool:
    """Does a name stand where another should: one of its class, or of any between the same words?

    Both is asked for where the question gives the fact: an answer need not repeat it.
    """
    if _part_of(rival, fact) or (given and long):
        return False
    alike = bool(rival.tags & fact.tags - _UNKNOWN)
    if not alike and _classes(rival) and _classes(fact):
        return False
    if alike and not given and not long:
        return True
    if not alike and (given or rival.tags & _PHRASE or bool(rival.keys & PARTIES) != bool(fact.keys & PARTIES)):
        return False
    return bool(around & neighbours(answer, rival.start, rival.end))


def _classes(entity: Entity) -> frozenset[str]:
    """The classes that a name is known to be of; patterns of its spelling are none."""
    return frozenset(tag for tag in entity.tags - _UNKNOWN - _PHRASE - {"capitals"} if "*" not in tag)


def _is_limited(reading: Reading, entity: Entity) -> bool:
    """Is it said of this name alone: "only for a 5GC", where the reference denies it of another?"""
    words = reading.text.words
    at = min(bisect_left(reading.text.starts, entity.start), len(words) - 1)
    near = words[max(0, at - 6) : at + 6]
    return any(word.text in LIMITS and word.sentence == words[at].sentence for word in near)


def _is_denied(reading: Reading, start: int, *, first: bool = True) -> bool:
    """Does a negation cover the name there; with ``first``, before all else: "not SCTP", not "neither node does"?"""
    at = bisect_left(reading.text.starts, start)
    if not first:
        return at in reading.polarity.covered
    own = reading.text.words[at] if at < len(reading.text.words) else None
    return at in reading.polarity.focus and not any(
        each.cue.text in _SUBJECT and each.scope and each.scope[0] == own for each in reading.polarity.negations
    )


def _is_turned(reading: Reading, start: int) -> bool:
    """Denies the sentence of a name anything, as "a USIM is not needed" does?"""
    words = reading.text.words
    own = words[min(bisect_left(reading.text.starts, start), len(words) - 1)].sentence
    return any(each.cue.sentence == own for each in reading.polarity.negations)


def _spelt_out(key: str, answer: Reading) -> bool:
    """Do words in a row begin with the letters of an acronym that no table knows?"""
    return len(key) > 2 and key.isalpha() and "?" not in key and key in answer.initials


def _part_of(one: Entity, other: Entity) -> bool:
    """Is one name the beginning or the end of the other: HTTP and HTTP/2, CU and gNB-CU?"""
    return any(
        a.startswith(b) or b.startswith(a) or a.endswith(b) or b.endswith(a) for a in one.keys for b in other.keys
    )


def _named(fact: Entity, answer: Reading) -> tuple[tuple[int, int], ...] | None:
    """Where the answer names an entity; empty where it does in lower case, None where it does not."""
    named = places(dict.fromkeys(each for key in fact.keys for each in answer.named.get(key, ())))
    if named:
        return named
    if fact.keys & answer.keys:
        return ()
    if any(_spelt_out(key, answer) for key in fact.keys):
        return ()
    others = frozenset().union(*(SYNONYMS.get(key, frozenset()) for key in fact.keys))
    if "name" in fact.tags:
        others |= {stem(key) for key in fact.keys}
    found = [word for word in answer.text.words if word.stem in others] if others & answer.text.stems else []
    return tuple((word.start, word.end) for word in found[:1]) or None
