"""A text as the fact metrics read it: folded character by character, cut into words, clauses and sentences.

Folding keeps every position, so that a fact found in the folded text can be marked in the answer as it was written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

from .lexicon import lines_of, word_list

SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_KEPT = frozenset(SUPERSCRIPTS + "⁻⁺½¼¾⅓⅔")
_MADE = {"−": "-", "‐": "-", "‑": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "\0": " "}
# "De-activated" is one word.
_WORD = re.compile(r"(?:\b(?:[Dd]e|[Uu]n|[Dd]is)-(?=[a-z]))?[^\W_]+(?:'[^\W_]+)?")
# What parts sentences: a line, or a mark before white space ("TS 38.331" has none).
# The mark is looked for first, and then what stands around it: so the search passes quickly over all else.
_SENTENCE_END = re.compile(r"[.!?;\n](?:(?<=[;\n])|(?=\s|$))")
_CLAUSE_END = re.compile(
    r"[,:()\[\].!?;\n–—-](?:(?<=[;\n])|(?<=[,:()\[\].!?])(?=\s|$)|(?<=\s[(\[])|(?<=\s[-–—])(?=\s))"
)
_CLAUSE_WORDS = word_list("clause openers")
# Words that carry no fact of their own, and letters that hyphens part from names.
STOP = word_list("no content") | frozenset("bcdefghijklmnopqrstuvwxyz")


class Word(NamedTuple):
    """A word in lower case with its place; ``clause`` and ``sentence`` count from the start of the text."""

    text: str
    start: int
    end: int
    stem: str
    clause: int
    sentence: int


@lru_cache(maxsize=1 << 12)
def _folded_character(character: str) -> str:
    if character in _KEPT:
        return character
    made = _MADE.get(character) or unicodedata.normalize("NFKC", character)
    return made if len(made) == 1 else " " if made.isspace() else character


def folded(text: str) -> str:
    """The text with compatibility forms, signs and quotes made alike; as many characters as before.

    >>> folded("−90 dBm, 5 µs")
    '-90 dBm, 5 μs'
    """
    return text if text.isascii() and "\0" not in text else "".join(map(_folded_character, text))


@cache
def _stemmer() -> Callable[[str], str]:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer().stem


# Stems that telecom texts use for one another; each group counts as its first.
_SAME = {each: line.split()[0] for line in lines_of("synonyms.txt") for each in line.split()}


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Porter stem of a word in lower case; a word of three letters or fewer is its own."""
    if len(word) <= 3 or not word.isascii() or len(word) > 40:
        return _SAME.get(word, word[:40])
    made = _stemmer()(word)
    return _SAME.get(made, made)


@lru_cache(maxsize=1 << 16)
def _read_word(written: str) -> tuple[str, str, bool]:
    """A word in lower case, its stem, and whether it opens a clause."""
    word = written.lower().replace("-", "")
    return word, stem(word.removesuffix("'s")), word in _CLAUSE_WORDS


@dataclass(frozen=True, eq=False)
class Text:
    """A text with its folded form and its words."""

    raw: str

    @cached_property
    def plain(self) -> str:
        """The folded text: positions are those of ``raw``."""
        return folded(self.raw)

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """All words in order, each with its clause and sentence; linear in the length of the text."""
        plain, found = self.plain, []
        # No word starts behind the end of the text: that closes both lists.
        ends = [*(match.start() for match in _CLAUSE_END.finditer(plain)), len(plain)]
        stops = [*(match.start() for match in _SENTENCE_END.finditer(plain)), len(plain)]
        clause = sentence = passed = 0
        for match in _WORD.finditer(plain):
            start, end = match.span()
            while ends[passed] < start:
                passed, clause = passed + 1, clause + 1
            while stops[sentence] < start:
                sentence += 1
            word, own, opens = _read_word(match[0])
            clause += opens
            found.append(Word(word, start, end, own, clause, sentence))
        return tuple(found)

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of all words that carry content."""
        return frozenset(word.stem for word in self.words if word.text not in STOP)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where the words begin, for looking up a place."""
        return tuple(word.start for word in self.words)
