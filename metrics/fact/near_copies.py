"""Sentences that an answer takes over almost word by word: what it changes in them stands in the very place of a fact.

In other words a fact can hide: a name or a side that the reference has twice is told, though one of the two was
changed. In a near copy the changed words can be held against one another.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from .reading.polarity import AFFIRM, NEGATIONS
from .reading.quantities import equal
from .reading.reading import Reading, found_once
from .reading.text import STOP, Word
from .relations.findings import Finding, Kind

# How alike two sentences are to be a copy with a change (difflib's ratio over words), and how long.
_ALIKE, _LEAST, _MOST = 0.75, 5, 80
# Words that are changed at one place.
_CHANGED = 4


def near_copy_findings(reference: Reading, answer: Reading) -> Iterator[Finding]:
    """Contradictions between sentences of the reference and near copies of them in the answer."""
    told, by_stem = _sentences(answer), _by_stem(answer)
    for words, content in zip(_sentences(reference), _contents(reference), strict=True):
        shared: dict[int, int] = {}
        for stem in content:
            found = by_stem.get(stem, ())
            if len(found) <= _MOST:
                for at in found:
                    shared[at] = shared.get(at, 0) + 1
        best = max(shared, key=lambda at: (shared[at], -at), default=None)
        if best is not None and 2 * shared[best] >= len(content):
            yield from _changes(reference, words, answer, told[best])


@found_once
def _contents(reading: Reading) -> list[frozenset[str]]:
    """The stems with content of each sentence."""
    return [frozenset(word.stem for word in words if word.text not in STOP) for words in _sentences(reading)]


@found_once
def _by_stem(reading: Reading) -> dict[str, set[int]]:
    """In which sentences each stem stands."""
    found: dict[str, set[int]] = {}
    for at, content in enumerate(_contents(reading)):
        for stem in content:
            found.setdefault(stem, set()).add(at)
    return found


@found_once
def _sentences(reading: Reading) -> list[list[Word]]:
    found: dict[int, list[Word]] = {}
    for word in reading.text.words:
        found.setdefault(word.sentence, []).append(word)
    return [words for words in found.values() if _LEAST <= len(words) <= _MOST]


def _changes(reference: Reading, wanted: list[Word], answer: Reading, told: list[Word]) -> Iterator[Finding]:
    mine, theirs = [w.stem for w in wanted], [w.stem for w in told]
    size = len(mine) + len(theirs)
    # The ratio is at most that of the words in common, in any order; nothing is changed where all are the same.
    if 2 * min(len(mine), len(theirs)) < _ALIKE * size or mine == theirs:
        return
    if 2 * (Counter(mine) & Counter(theirs)).total() < _ALIKE * size:
        return
    matcher = SequenceMatcher(None, mine, theirs, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return
    for operation, first, last, other_first, other_last in matcher.get_opcodes():
        if operation == "equal" or max(last - first, other_last - other_first) > _CHANGED:
            continue
        old, new = wanted[first:last], told[other_first:other_last]
        kind = _contradicts(reference, old, answer, new)
        if kind:
            spoken = old or wanted[max(0, first - 1) : first + 1]
            words = reference.text.raw[spoken[0].start : spoken[-1].end]
            there = new or told[max(0, other_first - 1) : other_first + 1]
            yield Finding(kind, words, "contradicted", ((there[0].start, there[-1].end),), only_if_seen=True)


def _contradicts(reference: Reading, old: Sequence[Word], answer: Reading, new: Sequence[Word]) -> Kind | None:
    denied, other_denied = (_denials(part) for part in (old, new))
    if (denied + other_denied) % 2 and _content(old) == _content(new):
        return "polarity"
    if not old or not new:
        return None
    sides, other_sides = _poles(reference, old), _poles(answer, new)
    if any(name in other_sides and other_sides[name].isdisjoint(sides[name]) for name in sides):
        return "direction"
    for one in reference.quantities:
        if old[0].start <= one.start < old[-1].end:
            for other in answer.quantities:
                if new[0].start <= other.start < new[-1].end and not equal(one, other):
                    return "quantity"
    names = _names(reference, old)
    others = _names(answer, new)
    if names and others and not names[0] & others[0] and names[1] & others[1] - {"?", "name", "phrase"}:
        return "entity"
    return None


def _denials(part: Sequence[Word]) -> int:
    """How many words deny; "not only" does not."""
    behind = [*(word.text for word in part[1:]), ""]
    return sum(
        (word.text in NEGATIONS or word.text.endswith("n't")) and following not in AFFIRM
        for word, following in zip(part, behind, strict=False)
    )


def _content(part: Sequence[Word]) -> set[str]:
    return {word.stem for word in part if word.text not in STOP and word.text not in NEGATIONS}


def _poles(reading: Reading, part: Sequence[Word]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for pole in reading.poles:
        if part[0].start < pole.end and pole.start < part[-1].end:
            found.setdefault(pole.group.name, set()).add(pole.side)
    return found


def _names(reading: Reading, part: Sequence[Word]) -> tuple[frozenset[str], frozenset[str]] | None:
    """The keys and tags of the one name in a part."""
    starts = [entity.start for entity in reading.entities]
    low, high = bisect_left(starts, part[0].start), bisect_right(starts, part[-1].start)
    inside = reading.entities[max(0, low - 1) : high]
    inside = tuple(entity for entity in inside if entity.end > part[0].start)
    return (inside[0].keys, inside[0].tags) if len(inside) == 1 else None
