"""The parties of a text: who can do something to another, each with what tells it apart."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from ..reading.lexicon import word_list
from ..reading.reading import Reading, found_once
from ..reading.text import Word

PARTIES = word_list("actor stems")
# Words that tell one party from another of its kind: "the remote UE", "the source node".
_TELLING = word_list("telling parties apart")
_OF_TWO = frozenset({"sourc", "target"})
_OTHERS = {"mobil": "ue", "termin": "ue", "devic": "ue", "handset": "ue", "ms": "ue", "gnb": "bs", "enb": "bs",
           "station": "bs", "base": "bs", "old": "sourc", "new": "target", "user": "ue", "subscrib": "ue",
           "transmitt": "send", "sender": "send", "origin": "send", "destin": "target", "recipi": "receiv",
           "nodeb": "bs", "gnodeb": "bs", "enodeb": "bs"}  # fmt: skip
# What is no party, by its tags.
_THINGS = frozenset(
    {"identifier", "channel", "protocol", "rnti", "interface", "timer", "message", "hexadecimal", "spec", "release"}
    | {"band", "clause", "modulation", "address", "signal", "layer", "capitals", "phrase", "name", "duplex", "system"}
    | {"rfc", "itu", "iso", "ieee", "annex", "split"}
)
# "The MSC server" is the MSC.
_KINDS = frozenset({"server", "node", "station"})
_HEADS = frozenset({"side", "end", "entity", "party", "one", "ones"})
# Parties of a text that are read.
_MOST = 60


@dataclass(frozen=True, slots=True)
class Mention:
    """A party, by the word that tells it apart, and its places among the words."""

    party: str
    first: int
    last: int


@found_once
def mentions_in(reading: Reading) -> tuple[Mention, ...]:
    """The parties that a text names, in order."""
    words, starts = reading.text.words, reading.text.starts
    found: list[Mention] = []
    taken: set[int] = set()
    for entity in reading.entities:
        if entity.tags & _THINGS and "function" not in entity.tags:
            continue
        first, last = bisect_left(starts, entity.start), bisect_left(starts, entity.end) - 1
        if last >= first:
            found.append(Mention(min(entity.keys, key=lambda key: (len(key), key)), first, last))
            taken.update(range(first, last + 1))
    for place, word in enumerate(words):
        headed = word.text in _TELLING and place + 1 < len(words) and words[place + 1].text in _HEADS
        if place not in taken and (word.stem in PARTIES or word.stem in _OF_TWO or headed):
            found.append(Mention(word.stem, place, place + headed))
    merged: list[Mention] = []
    for each in sorted(found, key=lambda each: each.first):
        if merged and each.first == merged[-1].last + 1 and _joined(words, merged[-1], each):
            # "Base station", "source gNB", "the mobile station": one party.
            telling = each.party if merged[-1].party in PARTIES else merged[-1].party
            merged[-1] = Mention(telling, merged[-1].first, each.last)
            continue
        merged.append(each)
    return tuple(_told_apart(words, each) for each in merged[:_MOST])


def _joined(words: Sequence[Word], one: Mention, other: Mention) -> bool:
    return (
        words[one.last].clause == words[other.first].clause
        and one.last - one.first < 3
        and (words[other.first].stem in PARTIES | _OF_TWO | {"ue"} or words[one.last].stem in _OF_TWO)
        and (words[one.first].stem in PARTIES | _OF_TWO | {"mobil"} or words[other.first].stem in _KINDS)
    )


def _told_apart(words: Sequence[Word], mention: Mention) -> Mention:
    """With the word that tells it apart as its name, where one stands before it."""
    before = words[mention.first - 1] if mention.first else None
    party = _OTHERS.get(mention.party, mention.party)
    if before is not None and before.text in _TELLING and before.sentence == words[mention.first].sentence:
        return Mention(_OTHERS.get(before.text, before.stem), mention.first - 1, mention.last)
    return Mention(party, mention.first, mention.last)
