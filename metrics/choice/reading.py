"""The option that a free answer names: by a copy of its text, by its label, or by its text alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .copies import FORMS, copied, first_equals, longest_copy, occurring
from .labels import (
    Conclusion,
    before_new_question,
    conclusions,
    labelled,
    leading,
    mentioned,
    nothing_but_labels,
    plain,
    standing_alone,
)

_SET_APART = re.compile(r"\s?[).:\]]*\s?(?:[-–—]\s)?\s?")


class _Said(NamedTuple):
    """The options that a conclusion names, and the one whose text stands there; ``copied``: by its text alone."""

    named: frozenset[int]
    by_text: frozenset[int]
    copied: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says of the options, as sets of original indices; None where it names none or is ambiguous.

    Options with equal texts are one: the first of them stands for all. ``named`` is the answer's last conclusion;
    ``first`` its first, which differs where the answer concludes several times; ``by_text`` is the option whose text
    stands beside the label, which differs where the two contradict each other.
    """

    named: frozenset[int] | None = None
    first: frozenset[int] | None = None
    by_text: frozenset[int] | None = None

    @property
    def several(self) -> bool:
        """Does the answer conclude more than once, and differently?"""
        return self.first != self.named

    @property
    def contradicted(self) -> bool:
        """Does the label name one option and the text beside it another?"""
        return self.by_text != self.named


def read_answer(prediction: str, choices: Sequence[str], shown: Sequence[int] = ()) -> Reading:
    """What a free answer says of the choices.

    Labels are the letters and the 1-based numbers of the order shown. The first of these that applies decides:

    1. the answer, or its first line after a label, is a copy of one option (as written first, then with less and less
       left out);
    2. the answer holds labels and nothing of substance besides: ``B``, ``(b)``, ``Answer: B and D``, ``option 2``;
    3. what follows "the answer is", "answer:", "I choose" or stands in a LaTeX box; several make a first and a last;
    4. a label with punctuation, or alone on the first line: ``B) foo``, ``option 2: foo``;
    5. the one label that has a line to itself, is the last sentence, or is called right ("B is correct");
    6. every "option B" or "choice B" in the text names the same;
    7. the text of exactly one option occurs (an option that is part of another one found does not count).

    A label that the text calls wrong names nothing. Where an answer is followed by another question, only what comes
    before is read.

    Args:
        prediction: the answer as generated.
        choices: texts of the options in their original order.
        shown: ``shown[k]`` is the original index of the option behind letter k; empty for the original order.
    """
    whole = copied(prediction, choices)
    if whole is not None:
        return _same(whole)
    text = plain(prediction)
    cut = before_new_question(text)
    if cut != text and (reading := _read(cut, choices, shown)).named is not None:
        return reading
    return _read(text, choices, shown)


def named_choices(prediction: str, choices: Sequence[str], shown: Sequence[int] = ()) -> frozenset[int] | None:
    """Original indices of the choices that a free answer names, or None when it names none or is ambiguous.

    >>> sorted(named_choices("The answer is option B.", ("LTE", "NR", "UMTS"), (2, 0, 1)))
    [0]
    """
    return read_answer(prediction, choices, shown).named


def _same(index: int) -> Reading:
    named = frozenset([index])
    return Reading(named, named, named)


def _read(text: str, choices: Sequence[str], shown: Sequence[int]) -> Reading:
    order = tuple(shown) or tuple(range(len(choices)))
    equals = first_equals(tuple(choices))

    def options(positions: frozenset[int]) -> frozenset[int]:
        return frozenset(equals[order[position]] for position in positions)

    def said(conclusion: Conclusion) -> _Said | None:
        # Where a label is read too, brackets and a letter alone are the label's, though an option read so.
        copy = _copy_at(text, conclusion.start, choices, 3 if conclusion.positions else len(FORMS))
        if copy is not None and not (conclusion.positions and len(choices[copy]) == 1 and choices[copy].isalpha()):
            return _Said(frozenset([copy]), frozenset([copy]), copied=True)
        if not conclusion.positions:
            return None
        named = options(conclusion.positions)
        beside = _copy_at(text, _set_apart(text, conclusion.end), choices)
        return _Said(named, named if beside is None or len(named) > 1 else frozenset([beside]), copied=False)

    if (start := labelled(text, len(order))) and copied(start[1], choices) == equals[order[start[0]]]:
        return _same(equals[order[start[0]]])
    found = list(conclusions(text, len(order)))
    concluded = [each for each in map(said, found) if each is not None]
    alone = concluded[0] if len(concluded) == 1 else None
    positions = nothing_but_labels(text, len(order)) if len(found) < 2 else None
    # "Answer: B and D" may hold more labels than a conclusion of one; "Answer: 4" may be an option that reads 4.
    if positions and (alone is None or not (alone.copied or len(positions) == 1)):
        named = options(positions)
        return Reading(named, named, named)
    if concluded:
        return Reading(concluded[-1].named, concluded[0].named, concluded[-1].by_text)
    if (first := leading(text, len(order))) and (spoken := said(first)):
        return Reading(spoken.named, spoken.named, spoken.by_text)
    if positions := standing_alone(text, len(order)) or mentioned(text, len(order)):
        named = options(positions)
        return Reading(named, named, named)
    index = occurring(text, choices)
    return Reading() if index is None else _same(index)


def _set_apart(text: str, end: int) -> int:
    """Where the text beside a label begins: after brackets, a full stop, a colon or a dash."""
    match = _SET_APART.match(text, end)
    return end if match is None else match.end()


def _copy_at(text: str, start: int, choices: Sequence[str], forms: int = len(FORMS)) -> int | None:
    """The option that the rest of the line, or its first sentence, copies."""
    # No copy is longer: a text of a thousand conclusions on one line is not copied a thousand times.
    line = text[start : start + longest_copy(choices) + 1].partition("\n")[0]
    for part in (line, line.partition(". ")[0]):
        if (index := copied(part, choices, forms)) is not None:
            return index
    return None
