"""Answers that are a number: the value with its unit, within a tolerance."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

from ..contract import ItemScore, Sample, Trial, missing
from .conclusion import answer_part, boxed, concluded
from .forms import misfit, value_metric
from .numbers import Number, equal_numbers, numbers_in, only_number, plain

# What is left of LaTeX in a plain text: a root, a logarithm, pi.
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_SENTENCE, _EQUALS = re.compile(r"[.;]\s"), re.compile(r"[=≈]")
TOLERANCE = 0.01
NO_NUMBER = "no number recognised in the answer"
EXPRESSION = "the answer is an expression, not a number"
NOT_A_NUMBER = "the reference is no number"
LAST_OF_SEVERAL = "no conclusion, the last of several numbers was read"
SEVERAL_BOXED = "several numbers in the box, the last was read"


def read_number(prediction: str) -> tuple[Number | None, str | None]:
    r"""The number that an answer comes to, and a note where it stands in no conclusion.

    The first of these that holds one decides: the last number of the last LaTeX box, the first after the last "the
    answer is" (after an equals sign in its sentence, if there is one), the last number of all.

    >>> read_number(r"n = 5, so \boxed{12.5\text{ dB}}")[0].value, read_number("I see 3 and then 4")[1]
    (12.5, 'no conclusion, the last of several numbers was read')
    >>> read_number("It cannot be told")
    (None, 'no number recognised in the answer')
    """
    text = answer_part(prediction)
    box = boxed(text)
    if box is not None:
        # What stands in the box is the answer: a number elsewhere is none.
        side = _last_side(plain(box))
        inside = numbers_in(side)
        if _COMMAND.search(side):
            return None, EXPRESSION
        return (inside[-1], _told(inside, SEVERAL_BOXED)) if inside else (None, NO_NUMBER)
    for said in reversed(concluded(text)):
        stated = _stated(plain(said))
        if stated is not None:
            return (None, stated) if isinstance(stated, str) else (stated, None)
    found = numbers_in(plain(text))
    return (found[-1], _told(found, LAST_OF_SEVERAL)) if found else (None, NO_NUMBER)


def _stated(said: str) -> Number | str | None:
    """The first number after the last equals sign of the first sentence that has one: 8 of "3 + 5 = 8. That is 2".

    None without a number, and `EXPRESSION` where it is but a part of one.
    """
    side = _last_side(next((each for each in _SENTENCE.split(said) if numbers_in(each)), ""))
    found = numbers_in(side)
    if not found:
        return None
    return EXPRESSION if _COMMAND.search(side[: found[0].end]) else found[0]


def _last_side(text: str) -> str:
    """What stands after the last equals sign with a number behind it; the whole text without one."""
    return next((side for side in reversed(_EQUALS.split(text)) if numbers_in(side)), text)


def _told(found: Sequence[Number], note: str) -> str | None:
    """The note where the numbers are not one and the same."""
    return note if len({(each.value, each.unit) for each in found}) > 1 else None


def _score(sample: Sample) -> ItemScore:
    wanted = [number for text in sample.references if (number := only_number(text)) is not None]
    if other := misfit(sample, "number"):
        return missing(other)
    if not wanted:
        return missing(NOT_A_NUMBER)
    found, note = read_number(sample.prediction)
    if found is None:
        # The checkpoint did answer, only not with a number: wrong, and the reason stays with the score.
        return ItemScore(0.0, note)
    return ItemScore(float(any(equal_numbers(found, each, TOLERANCE) for each in wanted)), note)


def _says(sample: Sample) -> Hashable | None:
    found = read_number(sample.prediction)[0]
    return None if found is None else (found.value, found.unit)


numeric_match = value_metric(
    "numeric_match",
    "1 when the number that the answer comes to is within 1 % of a reference, else 0; an answer without a number is "
    "wrong. Units are converted where both have one.",
    _score,
    {"read": "box-conclusion-last", "tolerance": "1%", "unparsed": "wrong"},
    says=_says,
    trial=Trial("-90.5 dBm", "It is -90.5 dBm.", "17 bananas make no soup."),
)
