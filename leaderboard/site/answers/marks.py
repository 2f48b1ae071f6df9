"""Numbers and names of an answer, marked by whether a reference has them: the rules behind the kinds of error."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ..model.taxonomy import name_places, names, quantities, quantity_places

Status = Literal["told", "other"]


class Marked(NamedTuple):
    """A piece of an answer: a fact that a reference has too is told, one that none has is other, the rest is None."""

    text: str
    status: Status | None


def marked(answer: str, references: Sequence[str], question: str) -> list[Marked]:
    """The answer in pieces, which together are the answer.

    Only where the references hold a number (a name that the question lacks) are numbers (names) marked. What the
    question names is marked in neither way.

    >>> marked("It is 20 ms on N2.", ["10 ms over N2"], "How long?")[1:4]
    [Marked(text='20 ms', status='other'), Marked(text=' on ', status=None), Marked(text='N2', status='told')]
    """
    if not unicodedata.is_normalized("NFKC", answer):
        # Places in the normal form are other places in what is shown.
        return [Marked(answer, None)]
    pieces, at = [], 0
    for (start, end), status in _places(answer, references, question):
        if start < at:
            continue
        pieces += [Marked(answer[at:start], None)] if start > at else []
        pieces.append(Marked(answer[start:end], status))
        at = end
    return [*pieces, Marked(answer[at:], None)] if at < len(answer) or not answer else pieces


def _places(answer: str, references: Sequence[str], question: str) -> list[tuple[tuple[int, int], Status]]:
    asked, asked_numbers = names(question), quantities(question)
    numbers = frozenset().union(*map(quantities, references)) - asked_numbers
    known = frozenset().union(*map(names, references)) - asked
    found: list[tuple[tuple[int, int], Status]] = []
    for place, number in quantity_places(answer) if numbers else ():
        if number not in asked_numbers:
            found.append((place, "told" if number in numbers else "other"))
    for place, name in name_places(answer) if known else ():
        if name not in asked:
            found.append((place, "told" if name in known else "other"))
    return sorted(found)
