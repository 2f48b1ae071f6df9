"""Words that exclude one another (uplink and downlink, before and after): which of them a text uses, and where.

The groups are `tables/contrasts.txt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from .lexicon import lines_of
from .text import STOP, Text, Word


@dataclass(frozen=True, slots=True)
class Group:
    """Words that exclude one another. ``sides`` says how many there are.

    A side of a ``weak`` group is no fact to be told, since many other words say it; the other side contradicts it.
    """

    name: str
    sides: int
    complementary: bool
    reciprocal: bool
    weak: bool


@dataclass(frozen=True, slots=True)
class Pole:
    """One side of a group, as a text uses it: the places of its words, from ``first`` up to ``last``."""

    group: Group
    side: int
    first: int
    last: int
    start: int
    end: int


_NEXT = frozenset({"then", "next"})
_BOUNDS = frozenset({"above", "below", "beyond", "under", "beneath"})
_RADIO = frozenset({"transmit", "receive"})
_RADIO_NOUNS = frozenset({"power", "antenna", "divers", "chain", "beam", "path", "side", "buffer", "window", "mode"})
_CONDITIONS = frozenset({"if", "when", "whenever", "once", "unless", "since", "as"})


@cache
def _order() -> Group:
    return next(group for entries in _table().values() for _, group, _ in entries if group.name == "order")


def _in_turn(words: Sequence[Word], at: int) -> bool:
    """Does "then" or "next" tell an order: after "first", or "then" without a condition?"""
    before = {word.text for word in words[max(0, at - 12) : at] if word.sentence == words[at].sentence}
    return "first" in before or (words[at].text == "then" and bool(before) and before.isdisjoint(_CONDITIONS))


def _stresses(words: Sequence[Word], at: int) -> bool:
    """Is "even" no number: "not even for calls", "even if"?"""
    before = words[at - 1].text if at else ""
    after = words[at + 1].text if at + 1 < len(words) else ""
    return before in ("not", "or", "and") or after in STOP or after.endswith("er")


def _forms(word: str) -> tuple[str, ...]:
    """A word with its endings: no stems, for a receiver is not what is received."""
    if len(word) < 4 or (word.endswith(("ly", "est", "less", "ing", "ed")) and not word.endswith("eed")):
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
def _table() -> dict[tuple[str, ...], tuple[tuple[tuple[str, ...], Group, int], ...]]:
    """The groups' words in all their forms, by their first two or their only one; longer phrases first."""
    found: dict[tuple[str, ...], list[tuple[tuple[str, ...], Group, int]]] = {}
    for line in lines_of("contrasts.txt"):
        name, _, sides = line.partition(":")
        parted = sides.split("|")
        group = Group(name.rstrip(" ~<>!"), len(parted), "~" in name, "<>" in name, "!" in name)
        for side, phrases in enumerate(parted):
            for phrase in phrases.split(","):
                words = phrase.split()
                for last in _forms(words[-1]):
                    own = (*words[:-1], last)
                    found.setdefault(own[:2], []).append((own, group, side))
    return {first: tuple(sorted(entries, key=lambda each: -len(each[0]))) for first, entries in found.items()}


@cache
def _first_words() -> frozenset[str]:
    """The words that may open a side of a group; few words of a text do."""
    return _NEXT.union(opening[0] for opening in _table())


def _stands(phrase: tuple[str, ...], span: Sequence[Word]) -> bool:
    """Are these the words of the phrase, in one sentence?"""
    return tuple(word.text for word in span) == phrase and span[-1].sentence == span[0].sentence


def poles(text: Text, denied: frozenset[int] = frozenset(), covered: frozenset[int] = frozenset()) -> tuple[Pole, ...]:
    """The sides that a text names, in order of their places.

    ``denied`` are the places of denied words; ``covered`` those that a negation of another word may deny, too.

    >>> [(pole.group.name, pole.side) for pole in poles(Text("before the downlink starts"))]
    [('order', 0), ('link direction', 1), ('begin', 0)]
    """
    found, words, table = [], text.words, _table()
    # A word belongs to one group whose sides are facts, and to any whose sides are not.
    free: dict[str, int] = {}
    opening_one = _first_words()
    for at, word in enumerate(words):
        if word.text not in opening_one:
            continue
        opening = (word.text, words[at + 1].text if at + 1 < len(words) else "")
        entries = (*table.get(opening, ()), *table.get(opening[:1], ()))
        if not entries and word.text not in _NEXT:
            continue
        later = word.text in _NEXT and _in_turn(words, at)
        if later and free.get("", 0) <= at:
            # "First A, then B".
            found.append(Pole(_order(), 0, at, at, word.start, word.end))
            free[""] = at + 1
            continue
        if word.text == "even" and _stresses(words, at):
            continue
        if word.text in _RADIO and at + 1 < len(words) and words[at + 1].stem in _RADIO_NOUNS:
            # "Transmit power" sends nothing.
            continue
        if word.text in _BOUNDS and at + 1 < len(words) and words[at + 1].text[0].isdigit():
            # "Below 6 GHz" bounds a number, and compares nothing.
            continue
        for own, group, side in entries:
            place, last = group.name if group.weak else "", at + len(own) - 1
            if free.get(place, 0) <= at and (last == at or _stands(own, words[at : last + 1])):
                if group.complementary and at in covered and at not in denied:
                    break
                turned = group.complementary and at in denied
                found.append(Pole(group, 1 - side if turned else side, at, last, word.start, words[last].end))
                free[place] = last + 1
    return tuple(found)
