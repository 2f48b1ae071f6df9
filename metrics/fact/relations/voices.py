"""Active and passive of one verb: "the child polls its parent" and "the parent is polled by its child"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..reading.lexicon import word_list
from ..reading.polarity import NEGATIONS
from ..reading.reading import Reading, found_once
from ..reading.text import STOP, Word
from .findings import Finding

_BE = word_list("forms of be")
_PARTICIPLES = word_list("participles")
# What stands behind one of these belongs to another noun.
_BETWEEN = (word_list("prepositions") | {"to", "from", "of", "into", "onto", "towards"}) - {"by", "as", "and"}
_NEAR, _MOST, _LONGEST = 5, 40, 40


@dataclass(frozen=True, slots=True)
class _Deed:
    """Who does it (stems) and what it is done to."""

    verb: str
    passive: bool
    agent: frozenset[str]
    patient: frozenset[str]
    start: int
    end: int


def _content(words: Sequence[Word], own: Word, *, ahead: bool = False) -> frozenset[str]:
    """The stems of the noun beside a verb; none where a preposition parts it from the verb."""
    cut = next((at for at, word in enumerate(words) if word.text in _BETWEEN and word.clause == own.clause), None)
    if cut is not None:
        if ahead:
            return frozenset()
        words = words[:cut]
    return frozenset(word.stem for word in words if word.clause == own.clause and word.text not in STOP)


@found_once
def _deeds(reading: Reading) -> tuple[_Deed, ...]:
    words = reading.text.words
    if len(words) > _LONGEST:
        return ()
    denied = {word.sentence for word in words if word.text in NEGATIONS or word.text.endswith("n't")}
    found, texts = [], [word.text for word in words]
    for at, word in enumerate(words):
        if word.text in STOP or word.sentence in denied or not at:
            continue
        participle = word.text.endswith("ed") or word.text in _PARTICIPLES
        by = next((place for place, each in enumerate(texts[at + 1 : at + 1 + _NEAR]) if each == "by"), None)
        if by is not None and not participle:
            continue
        before, after = words[max(0, at - _NEAR) : at], words[at + 1 : at + 1 + _NEAR]
        passive = participle and any(each.text in _BE and each.clause == word.clause for each in before)
        if passive and by is not None:
            agent = _content(words[at + by + 2 : at + by + 2 + _NEAR], word)
            patient = _content(before, word, ahead=True)
        elif not passive and by is None:
            agent, patient = _content(before, word, ahead=True), _content(after, word)
        else:
            continue
        if agent - patient and patient - agent:
            span = (before[0].start, after[-1].end if after else word.end)
            found.append(_Deed(word.stem, passive, agent - patient, patient - agent, *span))
    return tuple(found[:_MOST])


def voice_findings(reference: Reading, answer: Reading) -> Iterator[Finding]:
    """The same verb in both voices: the one that does it in the reference is not done to in the answer."""
    wanted = _deeds(reference)
    told = _deeds(answer) if wanted else ()
    for deed in wanted:
        for other in told:
            if deed.verb != other.verb or not (deed.passive or other.passive):
                continue
            straight = len(deed.agent & other.agent) + len(deed.patient & other.patient)
            turned = len(deed.agent & other.patient) + len(deed.patient & other.agent)
            both = deed.agent & other.patient and deed.patient & other.agent
            if turned > straight and both:
                words = reference.text.raw[deed.start : deed.end]
                yield Finding("direction", words, "contradicted", ((other.start, other.end),), only_if_seen=True)
                return
