"""Acronyms and what they stand for: a table, and the definitions that a text itself gives.

The table is `tables/acronyms.tsv`, kept by hand (acronym, expansion, class), and `tables/acronyms_found.tsv`, made by
``benchmarks/fact_acronyms.py``. An acronym with several expansions keeps them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from .lexicon import lines_of, word_list

_ACRONYM = r"[A-Za-z0-9][A-Za-z0-9/-]{0,14}[A-Z0-9][a-z]?"
# At most nine words before a bracket; each is a run of word characters, so that the search stays linear.
_BEFORE = re.compile(rf"\(\s?({_ACRONYM})s?\s?[),;]")
_INSIDE = re.compile(r"\b([A-Z][A-Za-z0-9/-]{1,14})\s\(([A-Za-z][\w /&-]{4,90})\)")
_WORDS = re.compile(r"[A-Za-z0-9]+")
_SMALL = word_list("small words of expansions")
_REACH = 110


class Entry(NamedTuple):
    """An acronym, an expansion as words in lower case, and its class ("" where it is not known)."""

    acronym: str
    words: tuple[str, ...]
    kind: str


@lru_cache(maxsize=1 << 14)
def singular(word: str) -> str:
    """A word without the s of its plural.

    >>> singular("functions"), singular("access"), singular("entities")
    ('function', 'access', 'entity')
    """
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def words_of(text: str) -> tuple[str, ...]:
    """The words of an expansion in lower case and singular, hyphens apart."""
    return tuple(singular(word.lower()) for word in _WORDS.findall(text))


def spells(expansion: str, acronym: str) -> bool:
    """Do the words' letters give the acronym, in order, each word at its start?

    >>> spells("Session Management Function", "SMF"), spells("radio network", "SMF")
    (True, False)
    """
    letters = [letter for letter in acronym.lower() if letter.isalnum()]
    words = [word.lower() for word in _WORDS.findall(expansion)]
    if len(letters) < 2 or not words or len(words) > 12 or len(letters) > 10:
        return False

    def fits(at: int, word: int) -> bool:
        """Can the letters from ``at`` on be told by the words from ``word`` on?"""
        if at == len(letters):
            return all(rest in _SMALL for rest in words[word:])
        if word == len(words):
            return False
        if words[word][0] == letters[at]:
            # One letter, or up to four of this word's (X in "eXtensible" is not followed).
            for taken in range(1, min(5, len(letters) - at + 1)):
                if words[word][:taken] == "".join(letters[at : at + taken]) and fits(at + taken, word + 1):
                    return True
        return words[word] in _SMALL and fits(at, word + 1)

    return fits(0, 0)


def defined(text: str) -> Iterator[tuple[str, str]]:
    """The pairs (acronym, expansion) that a text defines by brackets.

    >>> list(defined("The Session Management Function (SMF) and the UPF (User Plane Function)"))
    [('SMF', 'Session Management Function'), ('UPF', 'User Plane Function')]
    """
    for match in _BEFORE.finditer(text):
        acronym = match[1]
        if sum(letter.isupper() or letter.isdigit() for letter in acronym) < 2:
            continue
        before = text[max(0, match.start() - _REACH) : match.start()]
        before = re.split(r"[.;:,()\n]", before)[-1] if before.rstrip() else ""
        places = [word.start() for word in _WORDS.finditer(before)][-10:]
        # The shortest that spells it; a small word does not open a name.
        for start in reversed(places):
            candidate = before[start:].strip()
            if candidate.split()[0].lower() not in _SMALL and spells(candidate, acronym):
                yield acronym, candidate
                break
    for match in _INSIDE.finditer(text):
        if spells(match[2], match[1]):
            yield match[1], match[2]


@cache
def table() -> tuple[Entry, ...]:
    """All entries, those kept by hand first."""
    entries: dict[tuple[str, tuple[str, ...]], Entry] = {}
    for name in ("acronyms.tsv", "acronyms_found.tsv"):
        for line in lines_of(name):
            acronym, expansion, kind = (*line.split("\t"), "")[:3]
            words = words_of(expansion)
            entries.setdefault((acronym, words), Entry(acronym, words, kind))
    return tuple(entries.values())
