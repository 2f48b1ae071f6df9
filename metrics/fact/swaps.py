"""Two words of a reference that have changed places in an answer which says nearly the same otherwise.

"The SMF selects the UPF" and "the UPF selects the SMF" have the same words. What tells them apart is that the answer
with two of its words exchanged is nearer to the reference, and that each of the two stands where the other stood.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from .reading.acronyms import singular
from .reading.polarity import NEGATIONS
from .reading.reading import Reading, found_once
from .reading.text import STOP, Word
from .relations.findings import Finding

# Words of texts that are compared; longer ones say several things.
_LONGEST = 60
# The share of words in common, and that of words in the same order once two are exchanged.
_ALIKE, _ORDERED = 0.65, 0.7
# So many words more stand in the reference's order then: the two of them.
_GAIN = 2
# Words of a phrase that changes places as a whole.
_WORDS = 3
# So many words beside the two have to stay.
_ANCHORS = 1
_DETERMINERS = frozenset({"the", "a", "an", "it", "its", "their", "them", "each", "this"})
_PARTS = re.compile(r",|\band\b|\bor\b|/")
# Words on either side that belong to a word.
_NEAR = 2
# Small words that tell who does it, or from whom to whom.
_TELLING = frozenset({"from", "to", "by", "into", "than", "onto", "towards", "with", "over"})
_TURNING = frozenset({"by", "under"})
# What is said with these holds both ways.
_MUTUAL = frozenset(
    {"connect", "interfac", "interwork", "commun", "exchang", "equal", "adjac", "peer", "talk", "interact"}
)
_BOTH_WAYS = frozenset({"between", "both", "respectively", "either", "together"})


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Words in a row, with the places of the first and last among those of the reference and of the answer."""

    form: tuple[str, ...]
    first: int
    last: int
    at: int
    to: int


@found_once
def _tokens(reading: Reading) -> tuple[Word, ...]:
    """The words that carry content, small words in capitals among them (UP), and those that tell who or where to."""
    plain = reading.text.plain
    return tuple(
        word
        for word in reading.text.words
        if word.text not in STOP
        or word.text in _TELLING
        or (word.end - word.start > 1 and plain[word.start : word.end].isupper())
    )


@found_once
def _forms(reading: Reading) -> tuple[list[str], Counter[str]]:
    """The forms of `_tokens`, and how often each occurs.

    The same but for an s: "control" of the noun is another part of the sentence than "controlled".
    """
    forms = [singular(word.text) for word in _tokens(reading)]
    return forms, Counter(forms)


@found_once
def _turns(reading: Reading) -> Counter[object]:
    """What turns a sentence round: the passive, negations, and contrasts that are the same with arguments exchanged."""
    found: Counter[object] = Counter((pole.group.name, pole.side) for pole in reading.poles if pole.group.reciprocal)
    for word in reading.text.words:
        if word.text in _TURNING or word.text in NEGATIONS or word.text.endswith("n't"):
            found[word.text if word.text in _TURNING else "not"] += 1
    return found


def swap_findings(reference: Reading, answer: Reading) -> Iterator[Finding]:
    """The first two words that have changed places."""
    if max(len(reference.text.words), len(answer.text.words)) > _LONGEST:
        return
    wanted, told = _tokens(reference), _tokens(answer)
    (mine, count), (theirs, their_count) = _forms(reference), _forms(answer)
    size = len(mine) + len(theirs)
    if min(len(mine), len(theirs)) < 3 or 2 * min(len(mine), len(theirs)) < _ALIKE * size:
        return
    common = (count & their_count).total()
    if 2 * common < _ALIKE * size:
        return
    if mine == theirs or _turns(reference) != _turns(answer):
        return
    if any(each.instead for each in (*reference.polarity.negations, *answer.polarity.negations)):
        # "A does not, B does" and "B does, not A".
        return
    if not _MUTUAL.isdisjoint(word.stem for word in wanted) or any(
        word.text in _BOTH_WAYS for word in reference.text.words
    ):
        return
    from rapidfuzz.distance import LCSseq

    straight = LCSseq.similarity(mine, theirs)
    if straight + _GAIN > common:
        # All of them but one stand in order: no exchange can gain two.
        return
    best: tuple[int, _Phrase, _Phrase] | None = None
    verbs = _followed(reference, wanted)
    phrases = [each for each in _phrases(mine, theirs) if _size(each) == 1 or verbs.isdisjoint(each.form)]
    listed: dict[tuple[int, int], bool] = {}
    for one, other in combinations(phrases, 2):
        if (
            one.last >= other.first
            or (one.at <= other.to and other.at <= one.to)
            or one.form[-1].endswith("ed") != other.form[-1].endswith("ed")
            or len(mine) - len(one.form) - len(other.form) < _ANCHORS
        ):
            continue
        edges = (one.last, other.first)
        if edges not in listed:
            listed[edges] = _listed(reference, wanted[one.last], wanted[other.first])
        if listed[edges]:
            continue
        between, there = mine[one.last + 1 : other.first], theirs[min(one.to, other.to) + 1 : max(one.at, other.at)]
        if 3 * LCSseq.similarity(between, there) < 2 * max(len(between), len(there), 1):
            continue
        ordered = LCSseq.similarity(mine, _exchanged(theirs, one, other))
        if ordered < straight + _GAIN or 2 * ordered < _ORDERED * size or (best and best[0] >= ordered):
            continue
        if _stands_for(mine, theirs, one, other) and _stands_for(mine, theirs, other, one):
            best = (ordered, one, other)
    if best is not None:
        _, one, other = best
        words = reference.text.raw[wanted[one.first].start : wanted[other.last].end]
        places = tuple(sorted((told[each.at].start, told[each.to].end) for each in (one, other)))
        yield Finding("direction", words, "contradicted", places, only_if_seen=True)


def _size(phrase: _Phrase) -> int:
    return len(phrase.form)


def _followed(reading: Reading, tokens: Sequence[Word]) -> frozenset[str]:
    """The forms of words that a determiner follows, as it follows a verb: "conceals the SUPI"."""
    starts = {word.start for word in tokens}
    pairs = zip(reading.text.words, reading.text.words[1:], strict=False)
    return frozenset(
        singular(word.text) for word, behind in pairs if word.start in starts and behind.text in _DETERMINERS
    )


def _listed(reading: Reading, one: Word, other: Word) -> bool:
    """Do the words stand in one list: "IPv4, IPv6 and Ethernet"?"""
    pieces = _PARTS.split(reading.text.plain[one.end : other.start])
    return (
        len(pieces) > 1
        and not pieces[0].strip()
        and not pieces[-1].strip()
        and all(" " not in p.strip() for p in pieces)
    )


def _phrases(mine: Sequence[str], theirs: Sequence[str]) -> list[_Phrase]:
    """One to three words in a row that both texts have, once."""
    found = []
    for size in range(1, _WORDS + 1):
        own, others = _runs(mine, size), _runs(theirs, size)
        for form, places in own.items():
            there = others.get(form)
            if there is not None and len(places) == len(there) == 1 and _TELLING.isdisjoint(form):
                first, at = places[0], there[0]
                found.append(_Phrase(form, first, first + size - 1, at, at + size - 1))
    return sorted(found, key=lambda each: (each.first, each.last))


def _runs(words: Sequence[str], size: int) -> dict[tuple[str, ...], list[int]]:
    found: dict[tuple[str, ...], list[int]] = {}
    for at in range(len(words) - size + 1):
        found.setdefault(tuple(words[at : at + size]), []).append(at)
    return found


def _exchanged(words: list[str], one: _Phrase, other: _Phrase) -> list[str]:
    first, second = sorted((one, other), key=lambda each: each.at)
    return [*words[: first.at], *second.form, *words[first.to + 1 : second.at], *first.form, *words[second.to + 1 :]]


def _stands_for(mine: Sequence[str], theirs: Sequence[str], one: _Phrase, other: _Phrase) -> bool:
    """Has a phrase in the answer the other's neighbours rather than its own? Clauses that change places keep them."""
    here = _around(theirs, one.at, one.to)
    own, others = _around(mine, one.first, one.last), _around(mine, other.first, other.last)
    both = own & others | {*one.form, *other.form}
    return len(here & (others - both)) >= len(here & (own - both))


def _around(words: Sequence[str], first: int, last: int) -> frozenset[str]:
    return frozenset((*words[max(0, first - _NEAR) : first], *words[last + 1 : last + 1 + _NEAR]))
