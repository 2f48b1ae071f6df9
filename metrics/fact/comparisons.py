"""Contrasts that say the same with their arguments turned round: A before B and B after A, more than and less than."""

from __future__ import annotations

from collections.abc import Iterator

from .reading.contrasts import Pole
from .reading.reading import Reading, found_once
from .reading.text import STOP
from .relations.findings import Finding
from .relations.grades import SIGNS, is_extreme

# Words at most between a contrast and its arguments.
_ARGUMENT = 8
# Words between two things, which the same words the other way round turn.
_ORDER = frozenset({"before", "after", "then", "next", "precedes", "follows"})
# These only where both change places.
_BETWEEN = frozenset({"above", "below", "beneath", "exceeds", "preceded", "followed"})
_DETERMINERS = frozenset({"the", "a", "an", "its", "their", "each", "this", "that", "it", "they"})
# What has more of it with the first side of each contrast.
_SIGNS = SIGNS | {"cost": -1}
_COMPARE = frozenset({"above", "below", "exceeds", "exceed", "outperforms", "surpasses"})
# So many arguments of a comparison have to be the other's.
_ARGUMENTS = 2


def reciprocal(
    reference: Reading, fact: Pole, answer: Reading, same: list[Pole], others: list[Pole], words: str
) -> Finding:
    """A before B is B after A: the other word with its arguments turned round agrees."""
    left, right = _arguments(reference, fact)
    compared = _than(reference, fact)
    agreed, against = [], []
    others = [each for each in others if compared or not _than(answer, each)]
    # "The minimum" is not less than anything.
    extreme = fact.group.name in SIGNS and is_extreme(reference, fact)
    others = [each for each in others if (each.group.name in SIGNS and is_extreme(answer, each)) == extreme]
    for pole, other_side in [*((each, False) for each in same), *((each, True) for each in others)]:
        before, after = _arguments(answer, pole)
        straight = len(left & before) + len(right & after)
        turned = len(left & after) + len(right & before)
        # Only an order is turned round by its arguments alone: "sent by A" and "A sends" say the same.
        ordered = other_side or answer.text.words[pole.first].text in _ORDER or (compared and _than(answer, pole))
        crossed = bool(left & after and right & before and not right & after)
        swapped = ordered and (crossed or turned > straight + (0 if other_side else 1))
        swapped = swapped or (crossed and answer.text.words[pole.first].text in _BETWEEN)
        (against if swapped != other_side else agreed).append((pole.start, pole.end))
    if agreed:
        return Finding("direction", words, "agreed", tuple(agreed))
    if against:
        return Finding("direction", words, "contradicted", tuple(against))
    return Finding("direction", words, "omitted")


def comparison_findings(reference: Reading, answer: Reading) -> Iterator[Finding]:
    """What the reference has more of than another thing, by words of different contrasts: faster than, below."""
    wanted = _compared(reference)
    told = _compared(answer) if len(wanted) == 1 else []
    for pole, sign in wanted if len(told) == 1 else ():
        other, other_sign = told[0]
        left, right = _arguments(reference, pole)
        before, after = _arguments(answer, other)
        straight = bool(left & before) + bool(right & after)
        turned = bool(left & after) + bool(right & before)
        if other.group == pole.group or straight == turned or max(straight, turned) < _ARGUMENTS:
            continue
        alike = (sign == other_sign) == (straight > turned)
        words = reference.text.raw[pole.start : pole.end]
        status = "agreed" if alike else "contradicted"
        yield Finding("direction", words, status, ((other.start, other.end),), only_if_seen=True)


@found_once
def _compared(reading: Reading) -> list[tuple[Pole, int]]:
    """The sides that compare two things plainly, with 1 where the first has more."""
    words = reading.text.words
    denying = {each.cue.sentence for each in reading.polarity.negations}
    return [
        (pole, _SIGNS[pole.group.name] * (1 - 2 * pole.side))
        for pole in reading.poles
        if pole.group.name in _SIGNS
        and words[pole.first].sentence not in denying
        and (_than(reading, pole) or words[pole.first].text in _COMPARE)
    ]


def _than(reading: Reading, pole: Pole) -> bool:
    """Does the pole compare by "than"?"""
    own = reading.text.words[pole.first].sentence
    after = reading.text.words[pole.last : pole.last + _ARGUMENT]
    return any(word.text == "than" and word.sentence == own for word in after)


def _arguments(reading: Reading, pole: Pole) -> tuple[frozenset[str], frozenset[str]]:
    """The content before and after a word in its sentence; a clause that opens with it gives its argument first."""
    words = reading.text.words
    sentence = words[pole.first].sentence
    before = [
        w for w in words[max(0, pole.first - _ARGUMENT) : pole.first] if w.sentence == sentence and w.text not in STOP
    ]
    rest = [w for w in words[pole.last + 1 : pole.last + 1 + 2 * _ARGUMENT] if w.sentence == sentence]
    after = [w for w in rest if w.text not in STOP]
    than = next((w.start for w in rest[: 2 * _ARGUMENT] if w.text == "than"), -1)
    comma = reading.text.plain.find(",", pole.end, after[-1].end) if after else -1
    if than >= 0:
        # "lower at A than at B": what is compared stands on either side of "than".
        between = [w for w in after if w.start < than]
        before, after = [*before, *between], [w for w in after if w.start > than]
    elif not before and comma >= 0:
        before, after = [w for w in after if w.start > comma], [w for w in after if w.start < comma]
    elif not before and after:
        # "After a handover the target cell uses it": a comma would stand before the next noun.
        cut = next((w.start for w in rest if w.start > after[0].end and w.text in _DETERMINERS), None)
        if cut is not None:
            before, after = [w for w in after if w.start > cut], [w for w in after if w.start < cut]
    left, right = frozenset(w.stem for w in before), frozenset(w.stem for w in after[:_ARGUMENT])
    if rest and rest[0].text == "by" and words[pole.last].text.endswith("ed") and words[pole.last].text != "followed":
        # "The limit is exceeded by the frame": the frame exceeds it.
        left, right = right, left
    return left - right, right - left
