"""A text with all that the fact metrics read in it; references and questions are read once for all runs."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property, wraps
from itertools import pairwise
from typing import Any, Concatenate, ParamSpec, TypeVar

from ...ngram.text_cache import TextCache
from .contrasts import Pole, poles
from .entities import Entity, entities, key_of
from .polarity import Polarity, polarity
from .quantities import Quantity, quantities
from .text import STOP, Text

Found = TypeVar("Found")
More = ParamSpec("More")

_OR_AFTER = re.compile(r",?\s(?:or|versus|vs\.?)\s", re.IGNORECASE)
_OR_BEFORE = re.compile(r"\s(?:or|versus|vs\.?)\s(?:the |an? )?$", re.IGNORECASE)
_OR = re.compile(r"\s?,?\s?or\s(?:the |an? )?", re.IGNORECASE)
# Questions for yes or no.
_ASKS = re.compile(
    r"(?:[^?]*,\s)?(?:do|does|did|is|are|was|were|can|could|may|must|shall|should|will|would|has|have)\b", re.IGNORECASE
)
# Characters of an answer that are read; no answer to a question has its facts behind them.
LONGEST = 100_000
# Of each kind of fact so many are read, from the start: what lists more tells nothing, and comparing takes its square.
MOST_QUANTITIES, MOST_NAMES, MOST_POLES = 400, 2_000, 1_000


@dataclass(frozen=True, eq=False)
class Reading:
    """What stands in a text: everything is found when it is first asked for, in time linear in the text."""

    text: Text

    @cached_property
    def seen(self) -> dict[tuple[int, int], frozenset[tuple[int, str]]]:
        """What stands beside places that were asked for before."""
        return {}

    @cached_property
    def found(self) -> dict[Hashable, Any]:
        """What `found_once` has found in the text so far, by what found it."""
        return {}

    @cached_property
    def entities(self) -> tuple[Entity, ...]:
        """The names, in order."""
        return entities(self.text)[:MOST_NAMES]

    @cached_property
    def named(self) -> dict[str, list[Entity]]:
        """The names by each of their keys."""
        found: dict[str, list[Entity]] = {}
        for entity in self.entities:
            for key in entity.keys:
                found.setdefault(key, []).append(entity)
        return found

    @cached_property
    def keys(self) -> frozenset[str]:
        """All that the text names, by any of its names; words in lower case too, for names written small."""
        return frozenset(self.named) | {key_of(token) for token in self.text.plain.split() if len(token) < 40}

    @cached_property
    def initials(self) -> str:
        """The first letters of all words that carry content, a space where a sentence ends."""
        letters, sentence = [], 0
        for word in self.text.words:
            if word.sentence != sentence:
                sentence = word.sentence
                letters.append(" ")
            if word.text not in STOP:
                letters.append(word.text[0])
        return "".join(letters)

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """The numbers that are no part of a name, in order."""
        return quantities(self.text, [(each.start, each.end) for each in self.entities])[:MOST_QUANTITIES]

    @cached_property
    def poles(self) -> tuple[Pole, ...]:
        """The sides of contrasts, in order; "not encrypted" is unencrypted, and the DU of an O-DU is part of a name."""
        plain = self.text.plain
        names = [
            (e.start, e.end)
            for e in self.entities
            if not plain[e.start : e.end].islower() and "-" in plain[e.start : e.end]
        ]
        starts = [start for start, _ in names]
        found = []
        for pole in poles(self.text, self.polarity.focus | self.polarity.predicates, self.polarity.covered):
            at = bisect_right(starts, pole.start) - 1
            inside = at >= 0 and names[at][1] > pole.start and names[at] != (pole.start, pole.end)
            if not inside:
                found.append(pole)
        return tuple(found[:MOST_POLES])

    @cached_property
    def offered(self) -> frozenset[str]:
        """Names that a question offers as alternatives: it gives neither of "the UE or the AMF"."""
        found = set[str]()
        for each in self.entities:
            if _OR_AFTER.match(self.text.plain, each.end) or _OR_BEFORE.search(
                self.text.plain[max(0, each.start - 12) : each.start]
            ):
                found |= each.keys
        return frozenset(found)

    @cached_property
    def asks(self) -> bool:
        """Asks the text for yes or no?"""
        return _ASKS.match(self.text.plain.lstrip()) is not None

    @cached_property
    def given(self) -> tuple[Quantity, ...]:
        """The quantities of a question, without those that it offers as alternatives."""
        offered = {
            each
            for one, other in pairwise(self.quantities)
            if _OR.fullmatch(self.text.plain, one.end, other.start)
            for each in (one, other)
        }
        return tuple(each for each in self.quantities if each not in offered)

    @cached_property
    def polarity(self) -> Polarity:
        """What is said and what is denied."""
        return polarity(self.text)


def read(text: str) -> Reading:
    """The reading of a text."""
    return Reading(Text(text[:LONGEST]))


def found_once(
    find: Callable[Concatenate[Reading, More], Found],
) -> Callable[Concatenate[Reading, More], Found]:
    """What is found in a text, kept with its reading: a reference is held against many answers, an answer against many.

    What ``find`` gives is shared by all who ask: it must not be changed.
    """
    name = f"{find.__module__}.{find.__qualname__}"

    @wraps(find)
    def found(reading: Reading, *more: More.args, **named: More.kwargs) -> Found:
        key, kept = (name, *more) if more else name, reading.found
        if key not in kept:
            kept[key] = find(reading, *more, **named)
        return kept[key]

    return found


def neighbours(reading: Reading, start: int, end: int) -> frozenset[tuple[int, str]]:
    """The content words right before and after a place in its sentence, each with its side."""
    found = reading.seen.get((start, end))
    if found is None:
        found = reading.seen[start, end] = _neighbours(reading, start, end)
    return found


def _neighbours(reading: Reading, start: int, end: int) -> frozenset[tuple[int, str]]:
    words, starts = reading.text.words, reading.text.starts
    first, last = bisect_left(starts, start), bisect_left(starts, end)
    if first >= len(words):
        return frozenset()
    sentence, found = words[first].sentence, set()
    for side, places in ((-1, range(first - 1, first - 4, -1)), (1, range(last, last + 3))):
        for place in places:
            if not 0 <= place < len(words) or words[place].sentence != sentence:
                break
            if words[place].text not in STOP:
                found.add((side, words[place].stem))
                break
    return frozenset(found)


# Fifty checkpoints answer one test set: its references and questions come back fifty times, answers do not.
read_again = TextCache(read)
