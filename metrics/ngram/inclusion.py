"""How much of the reference an answer says, whatever else it says; and matches that keep signs and decimals.

F1 and exact match fall with every word beyond the reference, so a right answer in a whole sentence loses to a bare
phrase, and systems are ranked by how short they answer. Recall does not fall. Precision and the length of answers
stand beside it, since an answer that lists everything has a recall of 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ..contract import Sample, metric
from .technical import technical_words
from .text_cache import TextCache

_OPTIONS = {"norm": "technical"}
# Longer references are sentences, that right answers say in other words.
SHORT = 10
# The five metrics score the same answers one after another: texts are cut once.
_words = TextCache(technical_words)
_counts = TextCache(lambda text: Counter(_words(text)))


def are_short(references: Sequence[Sequence[str]]) -> bool:
    """Has at least half of the items a shortest reference of at most `SHORT` technical words?

    Up to 200 items are read, evenly spaced.
    """
    chosen = references[:: -(-len(references) // 200) or 1]
    few = sum(min(len(_words(text)) for text in texts) <= SHORT for texts in chosen)
    return bool(chosen) and 2 * few >= len(chosen)


def _best(sample: Sample, share: Callable[[int, int, int], float]) -> float:
    """The best reference's value: from how many tokens are common, and how many answer and reference have."""
    said = _counts(sample.prediction)
    length = said.total()

    def value(reference: str) -> float:
        wanted = _counts(reference)
        if not said or not wanted:
            return float(said == wanted)
        common = sum(min(count, said[token]) for token, count in wanted.items() if token in said)
        return share(common, length, wanted.total())

    return max(map(value, sample.references))


def _stands_in(wanted: Sequence[str], said: Sequence[str]) -> bool:
    """Do the wanted tokens stand in a row?"""
    # No token holds a space, so whole tokens are compared.
    return f" {' '.join(wanted)} " in f" {' '.join(said)} "


@metric(name="token_recall", family="ngram", range=(0, 1), needs={"references"}, options=_OPTIONS)
def token_recall(sample: Sample) -> float:
    """Share of the reference's tokens that the answer holds, best reference: extra words cost nothing.

    Where answer and reference both have no token the value is 1, where one of them has none it is 0.
    """
    return _best(sample, lambda common, _said, wanted: common / wanted)


@metric(name="token_precision", family="ngram", range=(0, 1), needs={"references"}, options=_OPTIONS)
def token_precision(sample: Sample) -> float:
    """Share of the answer's tokens that the reference holds, best reference; empty texts as in token_recall."""
    return _best(sample, lambda common, said, _wanted: common / said)


@metric(name="technical_f1", family="ngram", range=(0, 1), needs={"references"}, options=_OPTIONS)
def technical_f1(sample: Sample) -> float:
    """Harmonic mean of token precision and recall, best reference: a token_f1 that tells -90 from 90."""
    return _best(sample, lambda common, said, wanted: 2 * common / (said + wanted))


@metric(name="reference_included", family="ngram", range=(0, 1), needs={"references"}, options=_OPTIONS)
def reference_included(sample: Sample) -> float:
    """1 when the tokens of a reference stand in the answer in a row, else 0.

    Whole tokens count: `10 ms` does not stand in `110 ms` or `-10 ms`. A reference without tokens is only in an answer
    without any.
    """
    said = _words(sample.prediction)
    wanted = map(_words, sample.references)
    return float(any(_stands_in(each, said) if each else not said for each in wanted))


@metric(
    name="technical_match",
    family="ngram",
    range=(0, 1),
    needs={"references"},
    options=_OPTIONS,
    says=lambda sample: tuple(_words(sample.prediction)),
)
def technical_match(sample: Sample) -> float:
    """1 when answer and reference have the same tokens in order: exact_match that tells >10 ms from <10 ms."""
    said = _words(sample.prediction)
    return float(any(said == _words(reference) for reference in sample.references))
