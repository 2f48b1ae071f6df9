"""One and none in words, which are no quantities of their own: "a single session", "only one is active", "no layer"."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from .reading.quantities import Quantity
from .reading.reading import Reading, found_once
from .reading.text import STOP
from .relations.findings import Finding, Status

_ONE = re.compile(
    r"\b(?:(?P<only>(?:only|just|exactly|precisely|merely|at most|no more than)(?: an?)? (?:one|single)\b"
    r"(?: (?:of|single)\b)?|(?:an?|one|the) single\b)|one(?! (?:another|or|and|to|in|out|by|side|end)\b))(?! of the\b)",
    re.IGNORECASE,
)
_HOW_MANY = re.compile(r"\b(?:how many|number of|how often)\b", re.IGNORECASE)
_NO_COUNT = re.compile(r"\b(?:no|this|that|the|each|every|another|other|any|first|last|new|old|-)[\s-]$", re.IGNORECASE)
_NONE = re.compile(
    r"\b(?:no|zero) (?!(?:more|less|fewer|longer|other|further|such|need|matter|way|one|particular|specific|"
    r"special)\b)(?=[a-z])",
    re.IGNORECASE,
)
# Content words behind a number that tell what it counts.
_COUNTED, _REACH = 2, 5


@dataclass(frozen=True, slots=True)
class _Single:
    """Where one is told, of what, and whether it says that there are no more."""

    what: frozenset[str]
    only: bool
    start: int
    end: int


def _counted(reading: Reading, end: int) -> frozenset[str]:
    """The stems of the first words with content behind a place, in its clause."""
    words = reading.text.words
    first = bisect_left(reading.text.starts, end)
    if first >= len(words):
        return frozenset()
    own = words[max(0, first - 1)].clause
    behind = [
        w.stem for w in words[first : first + _REACH] if w.clause == own and w.text not in STOP and w.text.isalpha()
    ]
    return frozenset(behind[:_COUNTED])


@found_once
def _singles(reading: Reading) -> list[_Single]:
    plain = reading.text.plain
    return [
        _Single(_counted(reading, match.end()), match["only"] is not None, *match.span())
        for match in _ONE.finditer(plain)
        if not _NO_COUNT.search(plain[max(0, match.start() - 8) : match.start()])
    ]


@found_once
def _several(reading: Reading) -> list[tuple[Quantity, frozenset[str]]]:
    """The whole numbers of two or more that count something, with what they count."""
    return [
        (each, _counted(reading, each.end) or each.counted)
        for each in reading.quantities
        if not each.dimension and not each.implied and each.number >= 2 and each.number == int(each.number)
    ]


def single_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """One of what the answer has several of, or several of what it has only one of."""
    wanted, several = _singles(reference), _several(reference)
    if not wanted and not several:
        return
    known = {each.number for each in (*reference.quantities, *question.quantities)}
    told, singles = _several(answer), _singles(answer)
    # The first is what has to be told where a number is asked for, and no other is given.
    asked = bool(wanted) and not known and _HOW_MANY.search(question.text.plain) is not None
    if asked:
        wanted = sorted(wanted, key=lambda each: not each.only)
    for single in wanted:
        words = reference.text.raw[single.start : single.end]
        same = [each for each in singles if each.what & single.what]
        against = [each for each, what in told if what & single.what and each.number not in known]
        if asked and not (same or against):
            # Other words for what is counted: "one occasion", "a single PO".
            same = [each for each in singles if each.only]
        if same or against or asked:
            places = tuple((each.start, each.end) for each in same or against)
            status: Status = "agreed" if same else "contradicted" if against else "omitted"
            yield Finding("quantity", words, status, places, only_if_seen=not asked)
            asked = False
    plain = answer.text.plain
    none = [_Single(_counted(answer, match.end()), True, *match.span()) for match in _NONE.finditer(plain)]
    only = [each for each in (*singles, *none) if each.only]
    numbers = {each.number for each in answer.quantities}
    for quantity, what in several if only else ():
        if quantity.number in numbers or any(each.number == quantity.number for each in question.quantities):
            continue
        against = [each for each in only if each.what & what]
        if against and not any(each.what & what for each in wanted):
            words = reference.text.raw[quantity.start : quantity.end]
            places = tuple((each.start, each.end) for each in against)
            yield Finding("quantity", words, "contradicted", places, only_if_seen=True)
