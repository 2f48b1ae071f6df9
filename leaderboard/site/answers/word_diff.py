"""What words differ between two answers: longest common subsequence of words, in bounded time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["same", "removed", "added", "not compared"]
# Longer texts are compared up to here: the table of the comparison has a bit for each pair of words.
MOST_WORDS = 10_000
# A common word this short between two changes is chance: showing it as kept makes the rest hard to read.
_SHORT = 3
_WORD = re.compile(r"\S+\s*|^\s+")


@dataclass(frozen=True)
class Piece:
    """Consecutive words with the white space after them: in both texts (as the new one has them), or in one of them.

    ``not compared`` are the words of either text after the first `MOST_WORDS`; ``new`` says whose they are.
    """

    kind: Kind
    text: str
    new: bool = True


def word_diff(old: str, new: str, most: int = MOST_WORDS) -> list[Piece]:
    """The pieces that turn ``old`` into ``new``, in order; white space alone is no difference.

    >>> [(piece.kind, piece.text) for piece in word_diff("in RRC idle mode", "in RRC connected mode")]
    [('same', 'in RRC '), ('removed', 'idle '), ('added', 'connected '), ('same', 'mode')]
    """
    ours, theirs = _spaced_words(old, most), _spaced_words(new, most)
    pieces = list(_pieces(_changes(ours, theirs)))
    for words, text, is_new in ((ours, old, False), (theirs, new, True)):
        rest = text[sum(map(len, words)) :]
        if rest:
            pieces.append(Piece("not compared", rest, is_new))
    return pieces


def _spaced_words(text: str, most: int) -> list[str]:
    return [found[0] for found in itertools.islice(_WORD.finditer(text), most)]


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[bool, str, str]]:
    """(kept, text in the old, text in the new) of consecutive words; short kept words between two changes are none."""
    from rapidfuzz.distance import LCSseq

    steps = list(LCSseq.opcodes([word.strip() for word in old], [word.strip() for word in new]))
    for place, step in enumerate(steps):
        before, after = "".join(old[step.src_start : step.src_end]), "".join(new[step.dest_start : step.dest_end])
        between = 0 < place < len(steps) - 1 and len(after.strip()) <= _SHORT
        yield step.tag == "equal" and not between, before, after


def _pieces(changes: Iterator[tuple[bool, str, str]]) -> Iterator[Piece]:
    """Between two common pieces one removed and one added piece, in this order."""
    for kept, group in itertools.groupby(changes, key=lambda change: change[0]):
        texts = list(group)
        before, after = "".join(text for _, text, _ in texts), "".join(text for _, _, text in texts)
        if kept:
            yield Piece("same", after)
            continue
        if before:
            yield Piece("removed", before, False)
        if after:
            yield Piece("added", after)
