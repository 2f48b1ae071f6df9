"""Who does it to whom: the parts of parties in their sentences, in the active, the passive and with prepositions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..reading.lexicon import word_list
from ..reading.reading import Reading, found_once
from ..reading.text import STOP, Word
from .findings import Finding
from .parties import Mention, mentions_in

_BE = word_list("forms of be")
_AUXILIARY = word_list("auxiliary verbs") | {"to", "having"}
_BEHEST = "behest"
_PERCEIVED = frozenset({"measur", "decod", "monitor", "detect", "listen", "demodul", "hear", "estim"})
_UNDER = frozenset({"subordinate", "subordinated", "answerable", "accountable", "slaved"})
_GETS = word_list("getting")
_ASKS = word_list("asking")
_DETERMINERS = frozenset(
    {"the", "a", "an", "its", "their", "that", "this", "each", "every", "any", "one", "another", "several", "many"}
    | {"multiple", "two", "both", "all", "some", "various"}
)
_BEFORE_VERBS = frozenset(
    {"then", "first", "also", "only", "itself", "not", "never", "already", "always", "later", "now"}
)
_ACTS_FOR = frozenset({"control", "request", "behest", "command", "instruction", "behalf", "order", "supervision"})
_NO_VERB_BEFORE = (_AUXILIARY - {"to"}) | {"of", "that", "which"}
_FIXED_TO = frozenset(
    {"according", "due", "subject", "belongs", "belong", "corresponds", "equal", "compared", "thanks", "connected"}
    | {"connects", "prior", "similar", "relative", "respect", "related", "close", "next", "up", "specific", "addition"}
    | {"access", "attached", "applies", "apply", "refers", "belonging", "compare", "contrast", "response", "unknown"}
)
_PREPOSITIONS = word_list("prepositions") | {"to", "from", "of", "towards", "toward", "into", "onto"}
_IRREGULAR = word_list("participles")
# "The gNB is its sender".
_SENDS = frozenset({"sender", "transmitter", "originator", "initiator", "source"})
_TAKES = frozenset({"receiver", "recipient", "addressee", "destination", "target"})
_NOMINAL = ("tion", "sion", "ment", "ance", "ence", "ing", "control", "release", "transfer", "handover", "selection")
# Texts of more words tell of many deeds: only the same one is held against another there.
_SHORT = 40
_NEAR = 14
# Predicates that say too little to tell whose they are.
_LIGHT = frozenset({"perform", "make", "do", "have", "carri", "take", "us", "execut", "conduct", "handl", "support"})
# Words of a text that may open with "it".
_OPENING = 60


@dataclass(frozen=True, slots=True)
class _Part:
    """A party's part in its sentence: the one that acts or gives (``first``), or that it is done or given to."""

    party: str
    first: bool
    predicate: str
    sentence: int
    clause: int
    place: int
    start: int
    end: int


@found_once
def _parts(reading: Reading, asked: str = "") -> tuple[_Part, ...]:
    """The parts of all parties; "it" at the start is the party that the question asks about."""
    words = reading.text.words
    found = []
    found_in = mentions_in(reading)
    if asked and words and words[0].text in ("it", "they"):
        found_in = (Mention(asked, 0, 0), *found_in)
    for mention in found_in:
        told = _part(words, mention)
        if told is not None:
            first, predicate = told
            own = words[mention.first]
            end = words[mention.last].end
            place = (own.sentence, own.clause, mention.first)
            found.append(_Part(mention.party, first, predicate, *place, own.start, end))
    return tuple(found)


def _part(words: Sequence[Word], mention: Mention) -> tuple[bool, str] | None:
    """Is the party first or second, and of which predicate; None where its words do not tell."""
    sentence = words[mention.first].sentence
    at = mention.first - 1
    while at >= 0 and words[at].sentence == sentence and words[at].text in _DETERMINERS and mention.first - at < 3:
        at -= 1
    before = words[at] if at >= 0 and words[at].sentence == sentence else None
    behind = words[mention.last + 1].text if mention.last + 1 < len(words) else ""
    if behind in _ACTS_FOR and words[mention.last].text.endswith("'s"):
        # "At the AMF's request".
        return (True, _BEHEST) if before is not None and before.text in ("at", "on", "under", "by") else None
    if before is not None and before.text in _PREPOSITIONS:
        told = _after_preposition(words, at)
        if told is not None or before.text not in ("and", "as"):
            return told
    if mention.last + 1 < len(words) and words[mention.last].end < len(words[mention.last].text):
        return None
    subject = _subject(words, mention)
    if subject is not None:
        return subject
    if before is not None and before.clause == words[mention.first].clause and _is_verb(words, at):
        return _object(words, at)
    return None


def _after_preposition(words: Sequence[Word], at: int) -> tuple[bool, str] | None:
    text = words[at].text
    verb = _verb_before(words, at)
    if text == "by":
        return (words[verb].text not in _GETS, words[verb].stem) if verb is not None else (True, "")
    if text == "from":
        asked = verb is not None and words[verb].text in _ASKS
        return (not asked, "")
    if text == "to" and at and words[at - 1].text in _UNDER:
        return True, ""
    if text in ("to", "towards", "toward", "into", "onto"):
        return None if at and words[at - 1].text in _FIXED_TO else (False, "")
    if text == "of" and at and words[at - 1].text in _ACTS_FOR and at > 1:
        return (True, _BEHEST) if words[at - 2].text in (*_DETERMINERS, "under", "on", "at", "by") else None
    if text == "of" and at and words[at - 1].text.endswith(_NOMINAL):
        behind = [word.text for word in words[at : at + 9] if word.sentence == words[at].sentence]
        return (False, "") if "by" in behind and not _BE.isdisjoint(behind) else None
    if text in ("at", "in") and verb is not None and at - verb == 1 and verb and _is_passive(words, verb):
        # "Compressed at the UE".
        return True, words[verb].stem
    return None


def _verb_before(words: Sequence[Word], at: int) -> int | None:
    """The nearest participle or verb before a place in its sentence."""
    for place in range(at - 1, max(-1, at - 9), -1):
        word = words[place]
        if word.sentence != words[at].sentence:
            break
        if word.text.endswith("ed") or word.text in _IRREGULAR or word.text in _GETS or word.text in _ASKS:
            return place
        if _is_verb(words, place):
            return place
    return None


def _is_passive(words: Sequence[Word], at: int) -> bool:
    before = [word.text for word in words[max(0, at - 8) : at] if word.sentence == words[at].sentence]
    return not _BE.isdisjoint(before)


def _subject(words: Sequence[Word], mention: Mention) -> tuple[bool, str] | None:
    """The part of a party before its verb: "the UE sends", "the UE is asked", "which the UE then sends"."""
    after = [
        word for word in words[mention.last + 1 : mention.last + 8] if word.sentence == words[mention.last].sentence
    ]
    passive, helped, place = False, False, 0
    for word in after[:3]:
        if word.text in _SENDS | _TAKES:
            return word.text in _SENDS, ""
        if word.text not in _BE and word.text not in _DETERMINERS:
            break
    while place < len(after):
        text = after[place].text
        if text in _BE:
            if text.startswith("get") and not (place + 1 < len(after) and _is_participle(after[place + 1].text)):
                return False, after[place].stem
            passive = True
        elif text not in _AUXILIARY and text not in _BEFORE_VERBS and not text.endswith("ly"):
            break
        helped = helped or text in _AUXILIARY or text in _BE
        if text == "to":
            return None
        place += 1
    if place >= len(after):
        return None
    verb = after[place]
    following = after[place + 1].text if place + 1 < len(after) else ""
    if passive:
        if verb.text == "under" or verb.text in _UNDER:
            return False, ""
        if verb.text in ("responsible", "charge"):
            return True, ""
        if _is_participle(verb.text):
            return False, verb.stem
        if not verb.text.endswith("ing"):
            return None
    elif not helped and not _is_finite(verb, following):
        return None
    if following == "by" and not helped and verb.text.endswith("ed"):
        # "The operator selected by the network".
        return False, verb.stem
    predicate = verb.stem
    if predicate in _LIGHT:
        # "Takes the decision" is what it decides.
        done = [word for word in after[place + 1 : place + 4] if word.text not in STOP]
        named = [word for word in done if word.text.endswith(_NOMINAL)]
        predicate = (named or done)[0].stem if done else ""
    return verb.text not in _GETS, predicate


def _is_participle(text: str) -> bool:
    return text.endswith("ed") or text in _IRREGULAR


def _is_finite(word: Word, following: str) -> bool:
    """Looks a word like a verb in the third person or the past, with no other verb behind it?"""
    if word.text in STOP or following in _BE or following in _NO_VERB_BEFORE:
        return False
    third = word.text.endswith("s") and not word.text.endswith(("ss", "us", "is"))
    return third or word.text.endswith("ed") or word.text in ("sent", "gave", "told", "got")


def _is_verb(words: Sequence[Word], at: int) -> bool:
    """Is it a verb: after a helping verb, or in the third person behind a name or "which"?"""
    word = words[at]
    before = words[at - 1] if at and words[at - 1].sentence == word.sentence else None
    if word.text in STOP or before is None:
        return False
    if before.text in _AUXILIARY and before.text not in _BE:
        return True
    third = word.text.endswith("s") and not word.text.endswith(("ss", "us", "is"))
    if word.text in _PREPOSITIONS or (not third and not word.text.endswith("ed")):
        return False
    if before.text in ("and", "then", "but"):
        return True
    return before.text not in _DETERMINERS and before.text not in _BE and before.text not in _PREPOSITIONS


def _object(words: Sequence[Word], at: int) -> tuple[bool, str] | None:
    """The part of a party right behind a verb."""
    text = words[at].text
    return None if text in _GETS else (False, words[at].stem)


def deed_in(reading: Reading, sentence: int) -> bool:
    """Says the sentence what a party, or it, does?"""
    if any(each.predicate and each.sentence == sentence for each in _parts(reading)):
        return True
    words = [word for word in reading.text.words[:_OPENING] if word.sentence == sentence][:3]
    if len(words) < 3:
        return False
    they = words[0].text == "they" and words[1].text not in STOP and words[2].text not in _AUXILIARY
    return they or (words[0].text == "it" and _is_finite(words[1], words[2].text))


def role_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """Who acts and who is acted on: an answer must not turn it, nor give one's deed to the other."""
    named = {each.party for each in mentions_in(question)}
    asked = named.pop() if len(named) == 1 else ""
    wanted = _parts(reference, asked)
    parties = frozenset(each.party for each in (*mentions_in(reference), *wanted))
    told = _parts(answer, asked) if len(parties) > 1 else ()
    if not told:
        return
    order, other_order = _pairs(wanted), _pairs(told)
    short = max(len(reference.text.words), len(answer.text.words)) <= _SHORT
    done = False
    for (one, other), (first, second) in order.items():
        if (other, one) in order:
            continue
        straight, turned = (one, other) in other_order, (other, one) in other_order
        if straight == turned:
            continue
        marked = other_order[one, other] if straight else other_order[other, one]
        if turned and not short and not _same_deed((first, second), marked):
            continue
        words = reference.text.raw[min(first.start, second.start) : max(first.end, second.end)]
        places = tuple(sorted((each.start, each.end) for each in marked))
        yield Finding("direction", words, "agreed" if straight else "contradicted", places, only_if_seen=True)
        done = True
    if short and not done:
        yield from _deeds(reference, wanted, told, parties)


def _same_deed(mine: Sequence[_Part], theirs: Sequence[_Part]) -> bool:
    return bool({each.predicate for each in mine} & {each.predicate for each in theirs} - {""})


def _pairs(parts: Sequence[_Part]) -> dict[tuple[str, str], tuple[_Part, _Part]]:
    """Who is first and who second in one sentence."""
    found: dict[tuple[str, str], tuple[_Part, _Part]] = {}
    by_sentence: dict[int, list[_Part]] = {}
    for each in parts:
        by_sentence.setdefault(each.sentence, []).append(each)
    for own in by_sentence.values():
        for one in own[:12]:
            for other in own[:12]:
                gives = one.first and (not other.first or (one.predicate == _BEHEST != other.predicate))
                gives = gives or (one.first and one.predicate == "send" and other.predicate in _PERCEIVED)
                near = abs(one.clause - other.clause) < 2 and abs(one.place - other.place) <= _NEAR
                if gives and near and one.party != other.party:
                    found.setdefault((one.party, other.party), (one, other))
    return found


def _deeds(
    reference: Reading, wanted: Sequence[_Part], told: Sequence[_Part], parties: frozenset[str]
) -> Iterator[Finding]:
    """The same deed by another party of the reference."""
    mine, theirs = _doers(wanted), _doers(told)
    for predicate, doers in mine.items():
        there = theirs.get(predicate, {})
        if not there or len(doers) > 1 or len(there) > 1:
            continue
        (party, part), (other, place) = next(iter(doers.items())), next(iter(there.items()))
        moved = other in parties and any(each.party == party for each in told)
        if party == other or moved:
            words = reference.text.raw[part.start : part.end]
            status = "agreed" if party == other else "contradicted"
            yield Finding("direction", words, status, ((place.start, place.end),), only_if_seen=True)


def _doers(parts: Sequence[_Part]) -> dict[str, dict[str, _Part]]:
    found: dict[str, dict[str, _Part]] = {}
    for each in parts:
        if each.first and each.predicate and each.predicate not in _LIGHT:
            found.setdefault(each.predicate, {}).setdefault(each.party, each)
    return found
