"""Does it come off or not: "is refused", "will not succeed" and "will succeed", whatever the verbs are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..reading.lexicon import word_list
from ..reading.polarity import CONDITIONS, LIMITS, NEGATIONS, without_prefix
from ..reading.reading import Reading, found_once
from ..reading.text import STOP, Word
from .findings import Finding

_STATES = word_list("forms of be") | {"remain", "remains", "stay", "stays", "becomes", "become", "leaves", "leave"}
_WELL, _ILL = word_list("coming off"), word_list("not coming off")
# Clauses that tell when or why, or of which one, and not what comes of it.
_ASIDE = frozenset(
    {"if", "when", "whenever", "while", "because", "although", "though", "since", "that", "which", "who", "as", "once"}
)
_UNPLAIN = CONDITIONS | LIMITS | {"without", "except", "instead", "rather", "than", "may", "might", "not only", "both"}
_LONGEST = 24


@dataclass(frozen=True, slots=True)
class _Outcome:
    """1 where it comes off, -1 where not; ``about``: what it is said of."""

    sign: int
    named: bool
    about: frozenset[str]
    start: int
    end: int


def _turned(words: Sequence[Word]) -> list[Word]:
    """The words that turn what is said: negations, what does not come off, and "unaffected" behind its verb."""
    found = []
    for at, word in enumerate(words):
        denies = (word.text in NEGATIONS and word.text != "non") or word.text.endswith("n't") or word.text in _ILL
        behind = not _STATES.isdisjoint(each.text for each in words[max(0, at - 4) : at])
        if denies or (behind and without_prefix(word.text)):
            found.append(word)
    return found


@found_once
def _outcome(reading: Reading) -> _Outcome | None:
    """What comes of it, where a short text of one sentence says so plainly."""
    words = reading.text.words
    if not 2 < len(words) <= _LONGEST or words[-1].sentence != words[0].sentence:
        return None
    openers: dict[int, str] = {}
    for word in words:
        openers.setdefault(word.clause, word.text)
    main = [word for word in words if openers[word.clause] not in _ASIDE]
    if any(word.text in _UNPLAIN for word in main):
        return None
    turns = _turned(main)
    well = [word for word in main if word.text in _WELL]
    if len(turns) + len(well) > 2 or not (turns or well) or len(well) > 1:
        return None
    cues = {word.start for word in (*turns, *well)}
    about = frozenset(word.stem for word in words if word.text not in STOP and word.start not in cues)
    named = bool(well) or any(word.text in _ILL or without_prefix(word.text) for word in turns)
    spoken = [*turns, *well]
    start, end = min(word.start for word in spoken), max(word.end for word in spoken)
    return _Outcome(-1 if len(turns) % 2 else 1, named, about, start, end)


def outcome_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """What fails in the reference does not succeed in the answer, nor the other way round."""
    wanted = _outcome(reference)
    told = _outcome(answer) if wanted else None
    if wanted is None or told is None or not (wanted.named and told.named):
        return
    heard = question.text.stems
    known = wanted.about | heard
    shared = len(told.about & known)
    if 3 * shared < 2 * len(told.about) or not (told.about & wanted.about or told.about & heard):
        return
    words = reference.text.raw[wanted.start : wanted.end]
    status = "agreed" if wanted.sign == told.sign else "contradicted"
    yield Finding("polarity", words, status, ((told.start, told.end),), only_if_seen=True)
