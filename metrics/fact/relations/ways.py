"""From whom to whom: the ways that a reference gives, and whether an answer turns them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..reading.lexicon import word_list
from ..reading.reading import Reading, found_once
from ..reading.text import STOP, Word
from .findings import Finding

_FROM, _TO = frozenset({"from"}), frozenset({"to", "towards", "toward", "into", "onto"})
_PREPOSITIONS = _FROM | _TO | word_list("prepositions")
_BE = word_list("forms of be")
_WHO = frozenset({"that", "which", "who"})


def _forms(verbs: str) -> frozenset[str]:
    found = set()
    for verb in verbs.split():
        root = verb.removesuffix("e")
        found |= {
            verb,
            verb + "s",
            root + "ed",
            root + "es",
            root + "ing",
            verb + verb[-1] + "ed",
            verb + verb[-1] + "ing",
        }
    return frozenset(found)


# Who sends is where it comes from; who receives or answers is where it goes.
_SEND = _forms(
    "send transmit issue forward deliver convey return originate initiate start open trigger export emit assign "
    "allocate grant signal report notify inform push supply hand subscribe register signal address"
) | {"sent", "gives", "give", "gave", "given", "tells", "tell", "told", "notifies", "notified", "supplies", "writes"}
_RECEIVE = _forms("receive respond answer obtain accept acquire retrieve fetch collect learn pull") | {
    *("replies", "reply", "replied", "gets", "get", "takes", "hears")
}
# Whom it reaches is where it goes.
_REACH = frozenset({"reach", "reaches", "reached"})
# What is left is where it comes from.
_LEAVE, _ENTER = frozenset({"leave", "leaves", "leaving"}), frozenset({"enter", "enters", "entering"})
# Who registers or subscribes does so with the other.
_WITH = _forms("register subscribe")


# Other words for those who send and receive.
_ACTORS = {
    **dict.fromkeys(("termin", "devic", "handset", "mobil", "phone", "smartphon"), "ue"),
    **dict.fromkeys(("station", "gnodeb", "enodeb", "nodeb", "enb", "gnb"), "bs"),
    **dict.fromkeys(("call", "caller"), "caller"), "calle": "callee", "calling": "caller",
    "old": "sourc", "new": "target", "destin": "target",
}  # fmt: skip
_BRIEF = 40
# Longer texts tell of several ways.
_LONG = 60
_BEGINS, _ENDS = frozenset({"begin", "start", "origin"}), frozenset({"end", "termin", "finish"})
_MEANT = frozenset({"destined", "intended", "meant", "bound", "addressed"})


def _actor(word: Word) -> str:
    return (
        "callee" if word.text == "called" else "caller" if word.text == "calling" else _ACTORS.get(word.stem, word.stem)
    )


def _names(word: Word) -> bool:
    return word.text not in STOP or word.text in ("called", "near")


def _lettered(words: Sequence[Word], at: int) -> Word | None:
    """A name that its letter tells apart, as one word: MSC-B."""
    word, before = words[at], words[at - 1] if at else None
    if before is None or len(word.text) > 1 or not word.text.isalpha() or word.start != before.end + 1:
        return None
    return word._replace(text=f"{before.text}-{word.text}", stem=f"{before.text}-{word.text}", start=before.start)


@dataclass(frozen=True, slots=True)
class _Way:
    """The words of where something comes from and where it goes, in one sentence."""

    source: frozenset[str]
    target: frozenset[str]
    start: int
    end: int


def _after(words: Sequence[Word], at: int) -> list[Word]:
    """The words of the name that follows a place, up to a preposition or a verb."""
    found: list[Word] = []
    for place, word in enumerate(words[at + 1 : at + 6], at + 1):
        lettered = _lettered(words, place)
        if lettered is not None and found:
            found[-1] = lettered
            continue
        if word.sentence != words[at].sentence or word.text in _PREPOSITIONS or word.text in _BE or word.text in _WHO:
            break
        if word.clause > words[at].clause + 1:
            break
        if _names(word):
            found.append(word)
    return found


def _before(words: Sequence[Word], at: int) -> list[Word]:
    """The words of the name before a verb."""
    found = []
    first = at - 1
    if first >= 0 and words[first].text in _WHO:
        first -= 1
    lettered = _lettered(words, first) if first > 0 else None
    if lettered is not None:
        return [lettered]
    for word in reversed(words[max(0, first - 3) : first + 1]):
        if word.sentence != words[at].sentence or word.text in _PREPOSITIONS or word.text in _BE:
            break
        if _names(word):
            found.append(word)
    return found


@found_once
def _ways(reading: Reading) -> list[_Way]:
    words = reading.text.words
    found: dict[int, tuple[list[Word], list[Word]]] = {}
    for at, word in enumerate(words):
        if at and at + 1 < len(words) and words[at - 1].text[0].isdigit() and words[at + 1].text[0].isdigit():
            # "0 to 360" is a range.
            continue
        passive = at > 0 and any(each.text in _BE for each in words[max(0, at - 2) : at])
        source, target = found.setdefault(word.sentence, ([], []))
        if word.text in _FROM:
            source += _after(words, at)
            if at > 1 and words[at - 1].text.endswith("ed") and words[at - 2].text in _BE:
                # "A is derived from B"
                target += _before(words, at - 2)
        elif word.text == "at" and at and words[at - 1].stem in _BEGINS | _ENDS:
            side = source if words[at - 1].stem in _BEGINS else target
            side += _after(words, at)
        elif word.text == "of" and at and words[at - 1].text == "out":
            source += _after(words, at)
        elif word.text in _TO or (word.text == "for" and at and words[at - 1].text in _MEANT):
            target += _after(words, at)
            opening = [each for each in words[max(0, at - 4) : at] if each.sentence == word.sentence]
            if not source and len(opening) == sum(
                each.sentence == word.sentence for each in words[max(0, at - 6) : at]
            ):
                # "Source gNB to target gNB": nothing but a name stands before.
                source += [each for each in opening if _names(each)]
        elif word.text in _SEND or word.text in _RECEIVE:
            side = source if word.text in _SEND else target
            if not passive:
                side += _before(words, at)
            elif at + 1 < len(words) and words[at + 1].text == "by":
                side += _after(words, at + 1)
        elif word.text in _REACH | _ENTER or (word.text == "with" and at and words[at - 1].text in _WITH):
            target += _after(words, at)
        elif word.text in _LEAVE and not any(each.text in _TO for each in words[at : at + 6]):
            source += _after(words, at)
        elif word.text == "by" and at > 2 and any(each.text in _SEND for each in words[at - 5 : at - 1]):
            # "is assigned a number by the AMF"
            source += _after(words, at)
        elif word.text == "by" and at > 2 and any(each.text in _RECEIVE for each in words[at - 2 : at]):
            target += _after(words, at)
    if len(words) <= _BRIEF and found:
        # A few sentences tell one thing together: "A sends it. B receives it."
        parts = list(found.values())
        found = {0: ([w for source, _ in parts for w in source], [w for _, target in parts for w in target])}
    ways = []
    for source, target in found.values():
        of, to = frozenset(map(_actor, source)), frozenset(map(_actor, target))
        if of - to and to - of:
            spans = [*source, *target]
            ways.append(_Way(of - to, to - of, min(w.start for w in spans), max(w.end for w in spans)))
    return ways


_OVER_THE_LINK, _FROM_THE_LINK = _forms("send transmit") | {"sent"}, _forms("receive")
_TERMINAL, _NETWORK = frozenset({"ue", "onu"}), frozenset({"bs", "network", "olt"})


def _side(way: _Way) -> int | None:
    """Uplink (0) where a terminal is the source and the network the target, downlink (1) the other way round."""
    if way.source & _TERMINAL and way.target & _NETWORK:
        return 0
    return 1 if way.source & _NETWORK and way.target & _TERMINAL else None


def link_sides(reading: Reading) -> Iterator[tuple[int, int, int]]:
    """Uplink (0) and downlink (1) by who sends or receives: the terminal or the network; with the place of each."""
    for way in _ways(reading) if len(reading.text.words) <= _BRIEF else ():
        side = _side(way)
        if side is not None:
            yield side, way.start, way.end
    words = reading.text.words
    for at, word in enumerate(words):
        side = 0 if word.text in _OVER_THE_LINK else 1 if word.text in _FROM_THE_LINK else None
        if side is None or (at and words[at - 1].text in _BE):
            continue
        for place in range(at - 1, max(-1, at - 4), -1):
            each = words[place]
            actor = _actor(each)
            if each.stem == "station" and (not place or words[place - 1].text != "base"):
                break
            if each.clause != word.clause or actor in _TERMINAL | _NETWORK:
                if each.clause == word.clause:
                    yield side if actor in _TERMINAL else 1 - side, each.start, word.end
                break


def way_findings(reference: Reading, answer: Reading) -> Iterator[Finding]:
    """From A to B, or A sends it and B receives it: not from B to A."""
    wanted = _ways(reference)
    told = _ways(answer) if wanted else []
    long = max(len(reference.text.words), len(answer.text.words)) > _LONG
    for way in wanted:
        words = reference.text.raw[way.start : way.end]
        for other in told:
            straight = way.source & other.source or way.target & other.target
            turned = way.source & other.target and way.target & other.source
            if straight or turned:
                if turned and long:
                    continue
                status = "contradicted" if turned else "agreed"
                yield Finding("direction", words, status, ((other.start, other.end),))
                break
        else:
            yield Finding("direction", words, "omitted")
