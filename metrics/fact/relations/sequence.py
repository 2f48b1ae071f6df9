"""What comes first and what later: by before and after, first and last, once, and by verbs that move on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..reading.polarity import NEGATIONS
from ..reading.reading import Reading, found_once
from ..reading.text import STOP, Word
from .findings import Finding

_LATER = frozenset(
    {"then", "afterwards", "afterward", "subsequently", "last", "finally", "later", "lastly", "thereafter", "next"}
)
_BEFORE = frozenset({"before", "prior", "precedes", "precede", "preceding", "ahead"})
_AFTER = frozenset({"after", "once", "follows", "upon"})
_CUES = _BEFORE | _AFTER | {"until"}
_NOT_YET = frozenset({"before", "until", "prior"})
# Longer texts tell of several orders.
_COMPARED_TO = 40
# "Not … before" so many words apart at most.
_NEAR = 6
_UPON = frozenset({"when", "as"})
_FIRST = frozenset({"first", "initially", "firstly"})
_STARTS = frozenset({"begins", "starts", "start", "begin", "opens"})
_NO_STEP = frozenset({"first", "last", "final", "start", "begin", "come", "goe", "move", "go", "step", "follow", "end"})
_COMPARED = {f"{root}{end}": root for root in ("strong", "weak", "high", "low", "old", "new", "long", "short", "fast",
             "slow", "small") for end in ("er", "est")} | {"larger": "larg", "larg": "larg"}  # fmt: skip
_LONGEST, _MOST, _BRIEF = 60, 20, 14


@dataclass(frozen=True, slots=True)
class _Steps:
    earlier: frozenset[str]
    later: frozenset[str]
    start: int
    end: int


def _stems(words: Sequence[Word]) -> frozenset[str]:
    return frozenset(
        _COMPARED.get(word.text, word.stem) for word in words if word.text not in STOP and word.stem not in _NO_STEP
    )


@found_once
def _steps(reading: Reading) -> tuple[_Steps, ...]:
    words = reading.text.words
    by_sentence: dict[int, list[Word]] = {}
    for word in words:
        by_sentence.setdefault(word.sentence, []).append(word)
    found = []
    for sentence in list(by_sentence.values())[:_MOST]:
        if 2 < len(sentence) <= _LONGEST:
            parted = _parted(reading, sentence)
            if parted is not None:
                earlier, later = map(_stems, parted)
                found.append(_Steps(earlier - later, later - earlier, sentence[0].start, sentence[-1].end))
    if not found and len(by_sentence) > 1 and len(words) <= _LONGEST:
        parted = _parted(reading, words)
        if parted is not None:
            earlier, later = map(_stems, parted)
            found.append(_Steps(earlier - later, later - earlier, words[0].start, words[-1].end))
    return tuple(found)


def _parted(reading: Reading, words: Sequence[Word]) -> tuple[Sequence[Word], Sequence[Word]] | None:
    """The words of what comes earlier and of what comes later in a sentence with one word of order."""
    for at, word in enumerate(words[:-2]):
        if (
            word.text in ("reply", "response", "answer", "replies", "responds", "answers")
            and words[at + 1].text == "to"
        ):
            return words[at + 2 :], words[:at]
    for at, word in enumerate(words[:-2]):
        given = next((place for place in range(at + 2, len(words)) if words[place].text == "with"), 0)
        if word.text in ("answers", "acknowledges", "returns") and given and at:
            return words[at + 1 : given], words[given + 1 :]
    cues = [at for at, word in enumerate(words) if word.text in _CUES and not _counts(words, at)]
    denied = sum(word.text in NEGATIONS or word.text.endswith("n't") for word in words)
    if denied > 1 or (denied and not (cues and words[cues[0]].text in _NOT_YET)):
        return None
    if denied and not any(word.text in NEGATIONS or word.text.endswith("n't") for word in words[: cues[0]][-_NEAR:]):
        return None
    opening = [at for at, word in enumerate(words) if word.text in _FIRST or _opens(words, at)]
    closing = [at for at, word in enumerate(words) if word.text in _LATER]
    if not cues and not opening and words[0].text in _UPON and len(words) <= _BRIEF:
        cues = [0]
    if len(cues) == 1 and not opening:
        at = cues[0]
        before, after = words[:at], words[at + 1 :]
        if not before or (at < 2 and words[0].text in ("only", "right", "immediately", "even", "shortly")):
            comma = reading.text.plain.find(",", words[at].end, words[-1].end)
            cut = next((place for place, word in enumerate(after) if word.start > comma), 0) if comma >= 0 else 0
            before, after = after[cut:] if cut else (), after[:cut] if cut else after
        if words[at].text == "until" and not denied:
            return None
        # "Not before" and "not until" is after.
        return (before, after) if words[at].text in _BEFORE and not denied else (after, before)
    if not cues and opening and closing and closing[-1] != opening[0]:
        first, last = opening[0], closing[-1]
        if first > last:
            return None
        # "A comes first, B last" has its cues behind, "first A, then B" before what they order.
        start = next((at for at, word in enumerate(words) if word.clause == words[last].clause), last)
        return words[:start], words[start:]
    return None


def _opens(words: Sequence[Word], at: int) -> bool:
    """Is it "starts with"?"""
    return words[at].text in _STARTS and at + 1 < len(words) and words[at + 1].text in ("with", "by", "from", "at")


def _counts(words: Sequence[Word], at: int) -> bool:
    """Is it "once per slot", which tells no order?"""
    after = words[at + 1].text if at + 1 < len(words) else ""
    return words[at].text == "once" and after in ("", "per", "a", "an", "every", "each", "more", "again", "in")


def sequence_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """What the reference has first does not come later in the answer."""
    heard = question.text.stems
    wanted = _steps(reference) if max(len(reference.text.words), len(answer.text.words)) <= _COMPARED_TO else ()
    told = _steps(answer) if wanted else ()
    for steps in wanted:
        # "Before it retrieves them" tells what the question's deed comes before.
        earlier, later = steps.earlier or heard - steps.later, steps.later or heard - steps.earlier
        for other in told:
            mine, theirs = other.earlier or heard - other.later, other.later or heard - other.earlier
            # Long sentences have single words in common by chance.
            least = 1 + (max(len(earlier | later), len(mine | theirs)) > _BRIEF)
            straight = (len(earlier & mine) >= least) + (len(later & theirs) >= least)
            turned = (len(earlier & theirs) >= least) + (len(later & mine) >= least)
            if straight == turned or max(straight, turned) < 2:
                continue
            words = reference.text.raw[steps.start : steps.end]
            status = "agreed" if straight > turned else "contradicted"
            yield Finding("direction", words, status, ((other.start, other.end),), only_if_seen=True)
            return
