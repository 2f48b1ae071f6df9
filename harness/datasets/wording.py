"""How text is cleaned, compared and counted in data sets."""

from __future__ import annotations

import re
from collections.abc import Iterable

# ASCII, so that "µ" or "²" stay parts of words; hyphens split ("up-link" is two words).
_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SUFFIXES = ("ations", "ation", "ments", "ment", "ings", "ing", "ions", "ion", "ies", "ied", "ers", "ors", "ed", "es")
_SUFFIXES += ("er", "or", "al", "ly", "s", "e", "y")
_STOP_WORDS = """
    a an and any are as at be been being both but by can could do does each every for from had has have how if
    in into is it its itself may might more most must no nor not of off on one only or other out over own per
    shall should so some such than that the their them then there these they this those through to under up
    upon used using was well were what when where which while who whom whose why will with within without
    would also between because about you your we our
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def clean(text: str) -> str:
    r"""White space collapsed and stripped, NUL removed, lone surrogates replaced by U+FFFD.

    >>> clean("  the \n AMF\0 ")
    'the AMF'
    """
    return " ".join(whole(text).split())


def whole(text: str) -> str:
    """Text that can be stored as UTF-8, its inner line breaks kept (tables in a context need them)."""
    return whole_characters(text.replace("\0", "").strip())


def whole_characters(text: str) -> str:
    """The text with halves of a surrogate pair, which no tokenizer reads, as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def distinct(texts: Iterable[str], *, lines: bool = False) -> tuple[str, ...]:
    """Cleaned texts in order, empties dropped, repetitions (ignoring case) dropped; ``lines`` keeps their line breaks.

    >>> distinct(["the AMF", " The  amf ", "", "SMF"])
    ('the AMF', 'SMF')
    """
    kept: dict[str, str] = {}
    for text in map(whole if lines else clean, texts):
        if text:
            kept.setdefault(text.casefold(), text)
    return tuple(kept.values())


def words(text: str) -> list[str]:
    """Lower-case words: runs of letters and digits.

    >>> words("The N4-interface (PFCP).")
    ['the', 'n4', 'interface', 'pfcp']
    """
    return _WORD.findall(text.casefold())


def normalised(text: str) -> str:
    """The text for telling whether two questions are the same: words only, lower case; itself when it has no words."""
    return " ".join(words(text)) or text.casefold()


def numbers(text: str) -> set[str]:
    """Numbers written in digits, also those within names (the 4 of N4, the 38.331 of TS 38.331)."""
    return {number.strip(".,") for number in _NUMBER.findall(text)}


def stem(word: str) -> str:
    """A crude stem for asking whether a word is there in another form: one suffix off while three letters remain.

    >>> stem("handles") == stem("handling") == stem("handle")
    True
    """
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    # established/establishing have lost theirs; doubled letters of "controlled", "mapping" go too.
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def content_stems(text: str) -> set[str]:
    """Stems of the words that carry content (no stop words)."""
    return {stem(word) for word in words(text) if word not in STOP_WORDS}


def covered_share(text: str, within: str) -> float:
    """Share of the content stems of ``text`` that occur in ``within``; 1 when it has none."""
    wanted = content_stems(text)
    return len(wanted & content_stems(within)) / len(wanted) if wanted else 1.0
