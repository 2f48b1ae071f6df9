"""Option texts in answers: a copy is compared as written first, then with less and less left out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

# Minus signs and hyphens that texts use for one another; the option's own sign is compared first.
_MINUS = str.maketrans("−‐‑–", "----")
_WRAPPING = " \t\n*_`\"'“”‘’„«»$"
# What a sentence around a copy may add at its end.
_END = ".,;:!。、，；："
# Mathematical signs and arrows tell options apart: ≤ and ≥, ∪ and ∩.
_NOT_PLAIN = re.compile(r"[^\w+%/<>=°^~¬±×÷·\u2190-\u22ff\u27c0-\u27ff\u2980-\u2aff-]+")


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_MINUS)


def _as_written(text: str) -> str:
    return text.strip()


def _tidy(text: str) -> str:
    """One space where there was white space; no quotes, emphasis or full stop around it."""
    return " ".join(_normal(text).split()).strip(_WRAPPING).rstrip(_END).strip(_WRAPPING)


def _small(text: str) -> str:
    return _tidy(text).casefold()


def bare(text: str) -> str:
    """Lower case, the words and the signs that carry meaning, single spaces."""
    return " ".join(_NOT_PLAIN.sub(" ", _normal(text).casefold()).split())


# The forms of a text, each leaving out more than the one before.
FORMS: tuple[Callable[[str], str], ...] = (_as_written, _tidy, _small, bare)


@lru_cache(maxsize=1024)
def _forms(options: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The options in each form."""
    return tuple(tuple(form(option) for option in options) for form in FORMS)


@lru_cache(maxsize=1024)
def first_equals(options: tuple[str, ...]) -> tuple[int, ...]:
    """For each option the index of the first one with the same text: equal texts are one option.

    >>> first_equals(("NR", "LTE", "NR "))
    (0, 1, 0)
    """
    written = [" ".join(option.split()) for option in options]
    return tuple(written.index(text) for text in written)


def longest_copy(options: Sequence[str]) -> int:
    """Characters that a copy of an option has at most: twice those of the longest, and room for quotes and spaces."""
    return 2 * max(map(len, options), default=0) + 64


def copied(text: str, options: Sequence[str], forms: int = len(FORMS)) -> int | None:
    """Index of the option that the text is a copy of, or None where it is none or could be several.

    The first form in which the text equals an option decides; ``forms`` is how many are tried.

    >>> copied("≤", ("≥", "≤")), copied("bb BB.", ("BB bb", "bb BB")), copied("7", ("-7", "7"))
    (1, 1, 1)
    """
    options = tuple(options)
    if len(text) > longest_copy(options):
        return None
    equals = first_equals(options)
    for form, others in zip(FORMS[:forms], _forms(options), strict=False):
        own = form(text)
        same = {equals[index] for index, other in enumerate(others) if other == own and own}
        if same:
            return same.pop() if len(same) == 1 else None
    return None


def occurring(text: str, options: Sequence[str]) -> int | None:
    """Index of the one option whose text occurs in a longer text, told apart by case where that is needed.

    An option that is part of another one found does not count.
    """
    options = tuple(options)
    equals = first_equals(options)
    by_form = _forms(options)
    for form, forms in ((_spaced, options), (bare, by_form[3])):
        padded = f" {form(text)} "
        found = {equals[index] for index, option in enumerate(forms) if option and f" {form(option)} " in padded}
        widest = [
            index
            for index in found
            if not any(other != index and f" {form(forms[index])} " in f" {form(forms[other])} " for other in found)
        ]
        if len(widest) == 1:
            return widest[0]
    return None


def _spaced(text: str) -> str:
    """The words and signs as they are written, single spaces, punctuation left out."""
    return " ".join(_NOT_PLAIN.sub(" ", _normal(text)).split())
