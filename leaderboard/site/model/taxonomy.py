"""What is wrong with a wrong answer: kinds of error by rules in plain sight.

An answer is *right*, and has no kind, when the first of these scores that the sample has says so: choice accuracy,
answer or factual correctness of a judge, token F1; or when it holds a whole reference word by word. Of a wrong answer
the first kind that applies is told:

1. **empty**: no letter and no digit;
2. **truncated**: generation stopped at the length limit;
3. **refused**: it says that it cannot answer (`telbench.metrics.refusal`);
4. **copied context**: most of its words are runs of eight words or more of the context;
5. **wrong number or unit**: every reference states a quantity that it lacks, and it states another one;
6. **wrong entity**: every reference has a name (AMF, N2, TS 38.331) that neither question nor answer has, and the
   answer has one that neither question nor references have;
7. **other**.

To a question without an answer a refusal is right and anything else is **not refused**. The rules look at words only:
they sort answers for a reader, they do not judge.

`error_kind` tells the kind. `quantities` and `names` are what it reads in a text: numbers in the basic unit of their
dimension, and the names of interfaces, functions and specifications.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from ....metrics.ngram.squad import normalised
from ....metrics.refusal import is_refusal

Kind = Literal[
    "empty",
    "truncated",
    "refused",
    "copied context",
    "wrong number or unit",
    "wrong entity",
    "not refused",
    "other",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
# From which score on an answer counts as right, the first that is there decides.
RIGHT_FROM = {"choice_accuracy": 1.0, "answer_correctness": 0.5, "factual_correctness": 0.5, "token_f1": 0.5}
# Characters of an answer and of a context that the rules read.
_ANSWER, _CONTEXT = 20_000, 400_000
_RUN, _COPIED = 8, 0.6
# References that are kept as they were read.
_ITEMS = 1 << 14
_WORD = re.compile(r"\w+")
_SAYS_SOMETHING = re.compile(r"[^\W_]")
# What a unit measures, how much it is of the dimension's basic unit (1 GHz and 1000 MHz are the same), its spellings.
_SPELLINGS = (
    ("frequency", 1.0, "hz"),
    ("frequency", 1e3, "khz"),
    ("frequency", 1e6, "mhz"),
    ("frequency", 1e9, "ghz"),
    ("time", 1e-9, "ns nanosecond nanoseconds"),
    ("time", 1e-6, "us μs microsecond microseconds"),
    ("time", 1e-3, "ms millisecond milliseconds"),
    ("time", 1.0, "s sec second seconds"),
    ("time", 60.0, "min minute minutes"),
    ("time", 3600.0, "h hour hours"),
    ("time", 86400.0, "day days"),
    ("rate", 1.0, "bps bit/s bits/s"),
    ("rate", 1e3, "kbps kbit/s"),
    ("rate", 1e6, "mbps mbit/s"),
    ("rate", 1e9, "gbps gbit/s"),
    ("size", 1.0, "bit bits"),
    ("size", 8.0, "byte bytes octet octets"),
    ("length", 1e-3, "mm"),
    ("length", 1e-2, "cm"),
    ("length", 1.0, "m metre metres meter meters"),
    ("length", 1e3, "km kilometre kilometres kilometer kilometers"),
    ("level", 1.0, "dbm"),
    ("ratio", 1.0, "db"),
    ("power", 1e-3, "mw"),
    ("power", 1.0, "w"),
    ("share", 1.0, "% percent"),
    ("angle", 1.0, "° degree degrees"),
)
UNITS = {name: (dimension, factor) for dimension, factor, spelt in _SPELLINGS for name in spelt.split()}
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_SPELT = {word: float(value) for value, word in enumerate(_WORDS)}
_UNIT = "|".join(sorted(map(re.escape, UNITS), key=lambda name: (-len(name), name)))
_SPELLING = "|".join(_SPELT)
_BEGINNINGS = "".join(sorted({letter for word in _SPELT for letter in (word[0], word[0].upper())}))
# Not within a name: 5G, n78, 38.331 after TS, Release 15, Rel-15. How it may begin is looked at first: most places in a
# text are no number.
_QUANTITY = re.compile(
    rf"(?=[-−+\d{_BEGINNINGS}])"
    rf"(?<![\w./-])(?<!TS )(?<!TR )(?<!RFC )(?<!Release )([-−+]?\d[\d,]*(?:\.\d+)?|(?i:{_SPELLING})\b)"
    rf"(?:\s?(?i:({_UNIT}))(?![\w/]))?(?![\w])(?![./-]\d)"
)
_NAME = re.compile(
    r"\b(?:(?:TS|TR|RFC|Release|Rel)[ -]?\d[\d.]*\d|(?=\w*[A-Z\d])\w*(?:[A-Z]\w*[A-Z]|[A-Z]\d|\d[A-Z]|[a-z]\d)[\w/-]*)"
)


class Quantity(NamedTuple):
    """A number in the basic unit of its dimension; the dimension is empty where no unit follows."""

    value: float
    dimension: str


def error_kind(
    answer: str,
    references: Sequence[str],
    scores: Mapping[str, float | None],
    *,
    question: str = "",
    context: str | None = None,
    finish_reason: str | None = None,
    answerable: bool = True,
) -> Kind | None:
    """The kind of error, or None where the answer is right.

    >>> error_kind("It is 20 ms.", ["10 ms"], {"token_f1": 0.4})
    'wrong number or unit'
    """
    text = answer[:_ANSWER]
    if not _SAYS_SOMETHING.search(text):
        return "empty"
    if not answerable:
        return None if is_refusal(text) else "not refused"
    if _right(text, references, scores):
        return None
    if finish_reason == "length":
        return "truncated"
    if is_refusal(text):
        return "refused"
    if context and _copied(text, context[:_CONTEXT]):
        return "copied context"
    if _wrong_number(text, references):
        return "wrong number or unit"
    if _wrong_entity(text, references, question):
        return "wrong entity"
    return "other"


def quantities(text: str) -> frozenset[Quantity]:
    """The numbers that stand by themselves, with their units.

    >>> sorted(quantities("1 GHz, TS 38.331 and two slots of 5G"))
    [Quantity(value=2.0, dimension=''), Quantity(value=1000000000.0, dimension='frequency')]
    """
    return frozenset(found for _, found in quantity_places(unicodedata.normalize("NFKC", text)))


def quantity_places(text: str) -> Iterator[tuple[tuple[int, int], Quantity]]:
    """Where each number with its unit stands in a text in normal form (NFKC)."""
    for match in _QUANTITY.finditer(text):
        spelt, unit = match[1].lower(), (match[2] or "").lower()
        value = _SPELT.get(spelt)
        if value is None:
            value = float(spelt.replace(",", "").replace("−", "-"))
        dimension, factor = UNITS.get(unit, ("", 1.0))
        yield match.span(), Quantity(float(f"{value * factor:.9g}"), dimension)


def names(text: str) -> frozenset[str]:
    """Acronyms, interfaces, specifications: words with two capitals, or with capitals or letters beside digits.

    >>> sorted(names("The AMF talks to the gNB over N2, see TS 38.413"))
    ['AMF', 'GNB', 'N2', 'TS38.413']
    """
    return frozenset(found for _, found in name_places(unicodedata.normalize("NFKC", text)))


def name_places(text: str) -> Iterator[tuple[tuple[int, int], str]]:
    """Where each name stands in a text in normal form (NFKC)."""
    for match in _NAME.finditer(text):
        if match[0].lower() not in UNITS:
            yield match.span(), _singular(re.sub(r"[ -]", "", match[0]).upper())


# All runs of a board answer the same questions: what is read in these and in references comes back, run after run.
_normalised = lru_cache(maxsize=_ITEMS)(normalised)
_quantities = lru_cache(maxsize=_ITEMS)(quantities)
_names = lru_cache(maxsize=2 * _ITEMS)(names)


def _right(answer: str, references: Sequence[str], scores: Mapping[str, float | None]) -> bool:
    for name, least in RIGHT_FROM.items():
        value = scores.get(name)
        if value is not None:
            if value >= least:
                return True
            break
    # A letter or a digit alone is found in any answer: what is that short has to be all of it.
    padded = f" {normalised(answer)} "
    told = [_normalised(reference) for reference in references]
    return any(f" {reference} " in padded for reference in told if len(reference) > 2)


def _copied(answer: str, context: str) -> bool:
    words = _lower_words(answer)
    if len(words) < _RUN:
        return False
    known = _word_runs(context)
    covered: set[int] = set()
    for start in range(len(words) - _RUN + 1):
        if hash(words[start : start + _RUN]) in known:
            covered.update(range(start, start + _RUN))
    return len(covered) > _COPIED * len(words)


@lru_cache(maxsize=4)
def _word_runs(context: str) -> frozenset[int]:
    """All runs of words of the context, by their hashes; answers to one item follow one another."""
    words = _lower_words(context)
    return frozenset(hash(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1))


def _lower_words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def _wrong_number(answer: str, references: Sequence[str]) -> bool:
    stated = quantities(answer)
    wanted = [_quantities(reference) for reference in references]
    known = frozenset().union(*wanted)
    return bool(wanted and stated - known) and all(each - stated for each in wanted)


def _wrong_entity(answer: str, references: Sequence[str], question: str) -> bool:
    asked = _names(question)
    stated = names(answer) - asked
    wanted = [_names(reference) - asked for reference in references]
    known = frozenset().union(*wanted)
    return bool(wanted and stated - known) and all(each - stated for each in wanted)


def _singular(name: str) -> str:
    return name[:-1] if len(name) > 3 and name.endswith("S") else name
