"""Words that exclude one another (uplink and downlink, before and after): which of them a text uses, and where.

The groups are `tables/contrasts.txt`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from .lexicon import lines_of
from .text import Text


@dataclass(frozen=True, slots=True)
class Group:
    """Words that exclude one another. ``sides`` says how many there are."""

    name: str
    sides: int
    complementary: bool
    reciprocal: bool


@dataclass(frozen=True, slots=True)
class Pole:
    """One side of a group, as a text uses it: the places of its words, from ``first`` up to ``last``."""

    group: Group
    side: int
    first: int
    last: int
    start: int
    end: int


def _forms(word: str) -> tuple[str, ...]:
    """A word with its endings: no stems, for a receiver is not what is received."""
    if len(word) < 4 or word.endswith(("ly", "est", "less", "ing", "ed")):
        return (word,)
    root = word.removesuffix("e")
    root = word[:-1] + "i" if word.endswith("y") else root
    double = word + word[-1] if word[-1] in "tlpbgmn" and word[-2] in "aeiou" else root
    return (
        word,
        f"{word}s",
        f"{word}es",
        f"{root}ed",
        f"{root}es",
        f"{word.removesuffix('e')}ing",
        f"{double}ed",
        f"{double}ing",
    )


@cache
def _table() -> dict[str, tuple[tuple[tuple[str, ...], Group, int], ...]]:
    """The groups' words in all their forms, by their first; longer phrases first."""
    found: dict[str, list[tuple[tuple[str, ...], Group, int]]] = {}
    for line in lines_of("contrasts.txt"):
        name, _, sides = line.partition(":")
        parted = sides.split("|")
        group = Group(name.rstrip(" ~<>"), len(parted), "~" in name, "<>" in name)
        for side, phrases in enumerate(parted):
            for phrase in phrases.split(","):
                words = phrase.split()
                for last in _forms(words[-1]):
                    own = (*words[:-1], last)
                    found.setdefault(own[0], []).append((own, group, side))
    return {first: tuple(sorted(entries, key=lambda each: -len(each[0]))) for first, entries in found.items()}


def poles(text: Text, denied: frozenset[int] = frozenset()) -> tuple[Pole, ...]:
    """The sides that a text names, in order of their places; ``denied`` are the places of denied words.

    >>> [(pole.group.name, pole.side) for pole in poles(Text("before the downlink starts"))]
    [('order', 0), ('link direction', 1), ('begin', 0)]
    """
    found, words, table = [], text.words, _table()
    at = 0
    while at < len(words):
        taken = 1
        for own, group, side in table.get(words[at].text, ()):
            span = words[at : at + len(own)]
            if tuple(word.text for word in span) == own and span[-1].sentence == span[0].sentence:
                turned = group.complementary and at in denied
                found.append(
                    Pole(group, 1 - side if turned else side, at, at + len(own) - 1, span[0].start, span[-1].end)
                )
                taken = len(own)
                break
        at += taken
    return tuple(found)
