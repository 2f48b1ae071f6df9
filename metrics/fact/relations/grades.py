"""What becomes more or less: "accuracy drops", "the model is less accurate", "batteries last longer"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..reading.contrasts import Pole
from ..reading.polarity import CONDITIONS, LIMITS, ROUND
from ..reading.reading import Reading, found_once
from ..reading.text import STOP
from .findings import Finding

# What grows with the first side of each contrast, and what shrinks with it.
SIGNS = {"change": 1, "magnitude": 1, "speed": 1, "timing": -1, "greatness": 1, "improvement": 1, "extent": 1}
_EXTREME_PLACES = frozenset({"above", "below", "beyond"})
_REACH = 7
_BRIEF = 14


@dataclass(frozen=True, slots=True)
class _Grade:
    """Something that grows (1) or shrinks (-1), by the stems around it."""

    sign: int
    group: str
    what: frozenset[str]
    start: int
    end: int


def is_extreme(reading: Reading, pole: Pole) -> bool:
    """Is it an extreme (maximum, lowest, upper limit), which moves with nothing?"""
    word = reading.text.words[pole.first].text
    phrase = pole.last > pole.first and not word.endswith(("s", "d")) and word not in ("more", "less")
    return phrase or word.endswith("est") or word.startswith(("max", "min")) or word in _EXTREME_PLACES


def sign_of(pole: Pole) -> int:
    """1 where the pole tells more, -1 where it tells less."""
    return SIGNS[pole.group.name] * (1 - 2 * pole.side)


@found_once
def _grades(reading: Reading) -> tuple[_Grade, ...]:
    """The sentences with one grade alone, which nothing denies or compares."""
    words = reading.text.words
    by_sentence: dict[int, list[Pole]] = {}
    for pole in reading.poles:
        if pole.group.name in SIGNS and not is_extreme(reading, pole):
            by_sentence.setdefault(words[pole.first].sentence, []).append(pole)
    hushed = {each.cue.sentence for each in reading.polarity.negations}
    hushed |= {word.sentence for word in words if word.text in _UNPLAIN}
    found = []
    for sentence, poles in by_sentence.items():
        if len(poles) > 1 or sentence in hushed:
            continue
        pole = poles[0]
        around = words[max(0, pole.first - _REACH) : pole.last + 1 + _REACH]
        what = frozenset(
            word.stem
            for word in around
            if word.sentence == sentence and word.text not in STOP and not pole.start <= word.start < pole.end
        )
        found.append(_Grade(sign_of(pole), pole.group.name, what, pole.start, pole.end))
    return tuple(found)


_UNPLAIN = CONDITIONS | LIMITS | ROUND | {"than", "loses", "lose"}


def grade_findings(reference: Reading, answer: Reading, seen: Sequence[Finding]) -> Iterator[Finding]:
    """What grows in the reference does not shrink in the answer; ``seen`` tells of the same already."""
    if any(each.kind == "direction" and each.status != "omitted" for each in seen):
        return
    wanted, told = _grades(reference), _grades(answer)
    if len(wanted) != 1 or len(told) != 1:
        return
    one, other = wanted[0], told[0]
    if {one.group, other.group} == {"change", "improvement"}:
        # What reduces fades improves the link.
        return
    # "They extend it" has all its names in the question.
    bare = not one.what and len(answer.text.words) <= _BRIEF
    shared = len(one.what & other.what)
    if bare or (shared and 3 * shared >= min(len(one.what), len(other.what))):
        words = reference.text.raw[one.start : one.end]
        status = "agreed" if one.sign == other.sign else "contradicted"
        yield Finding("direction", words, status, ((other.start, other.end),), only_if_seen=True)
