"""ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum F-measures (Lin, 2004), equal to the rouge-score package with its stemmer.

Tokens are the runs of ``[a-z0-9]`` of the lowered text; those longer than three letters are stemmed by NLTK's Porter
stemmer, the one rouge-score uses. With several references each measure takes its own best one.

That drops all other scripts. Their form of the measures takes words of any script, and characters where a script has
no spaces; texts in ASCII have the same tokens by both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, TypeVar

from ..contract import Metric, Sample, metric
from .segmentation import unicode_words
from .text_cache import TextCache

Gram = TypeVar("Gram", str, tuple[str, str])

_TOKEN = re.compile(r"[a-z0-9]+")
_OPTIONS = {"stem": "porter", "tok": "rouge-score"}
_UNICODE_OPTIONS = {"norm": "nfkc", "stem": "porter", "tok": "unicode"}


@cache
def _stemmer() -> Callable[[str], str]:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer().stem


@lru_cache(maxsize=2**17)
def _stem(token: str) -> str:
    return _stemmer()(token) if len(token) > 3 else token


def rouge_tokens(text: str) -> tuple[str, ...]:
    """Stemmed tokens of a text.

    >>> rouge_tokens("Handover procedures (NG-RAN)")
    ('handov', 'procedur', 'ng', 'ran')
    """
    return tuple(filter(None, map(_stem, _TOKEN.findall(text.lower()))))


def unicode_tokens(text: str) -> tuple[str, ...]:
    """Words of any script and characters where it has no spaces; the words of ROUGE's own alphabet stemmed.

    >>> unicode_tokens("Процедура handover（切换流程）")
    ('процедура', 'handov', '切', '换', '流', '程')
    """
    return tuple(filter(None, (_stem(word) if word.isascii() else word for word in unicode_words(text))))


def token_positions(tokens: tuple[str, ...]) -> dict[str, int]:
    """For every token the set of its positions, as the bits of an integer."""
    found: dict[str, int] = {}
    for index, token in enumerate(tokens):
        found[token] = found.get(token, 0) | 1 << index
    return found


def common_subsequence(tokens: tuple[str, ...], positions: dict[str, int], length: int) -> int:
    """Length of the longest common subsequence of ``tokens`` and a text of ``length`` tokens at those ``positions``.

    The bit-parallel recurrence of Hyyrö (2004): a zero bit marks where the length grows along the text, so one row of
    the usual table is four operations on an integer of any width.
    """
    row = full = (1 << length) - 1
    for token in tokens:
        if token in positions:
            hits = row & positions[token]
            row = (row + hits | row - hits) & full
    return length - row.bit_count()


def _f_measure(common: int, predicted: int, wanted: int) -> float:
    if not common:
        return 0.0
    precision, recall = common / predicted, common / wanted
    return 2 * precision * recall / (precision + recall)


def _overlap_f1(predicted: Counter[Gram], wanted: Counter[Gram]) -> float:
    common = sum(min(count, wanted[gram]) for gram, count in predicted.items() if gram in wanted)
    return _f_measure(common, predicted.total(), wanted.total())


def _measures(tokenise: Callable[[str], tuple[str, ...]], options: dict[str, str]) -> tuple[Metric, Metric, Metric]:
    """The three measures over one kind of tokens."""
    tokens = TextCache(tokenise)
    unigrams = TextCache(lambda text: Counter(tokens(text)))
    bigrams = TextCache(lambda text: Counter(pairwise(tokens(text))))
    positions = TextCache(lambda text: token_positions(tokens(text)))

    @metric(name="rouge1", family="ngram", range=(0, 1), needs={"references"}, options=options)
    def rouge1(sample: Sample) -> float:
        """F-measure of the stemmed words shared with the best reference."""
        predicted = Counter(tokens(sample.prediction))
        return max(_overlap_f1(predicted, unigrams(reference)) for reference in sample.references)

    @metric(name="rouge2", family="ngram", range=(0, 1), needs={"references"}, options=options)
    def rouge2(sample: Sample) -> float:
        """F-measure of the stemmed word pairs shared with the best reference; 0 for texts under two words."""
        predicted = Counter(pairwise(tokens(sample.prediction)))
        return max(_overlap_f1(predicted, bigrams(reference)) for reference in sample.references)

    @metric(name="rougeL", family="ngram", range=(0, 1), needs={"references"}, options=options)
    def rouge_l(sample: Sample) -> float:
        """F-measure of the longest common subsequence of stemmed words, best reference."""
        predicted = tokens(sample.prediction)
        best = 0.0
        for reference in sample.references:
            wanted = len(tokens(reference))
            common = common_subsequence(predicted, positions(reference), wanted)
            best = max(best, _f_measure(common, len(predicted), wanted))
        return best

    return rouge1, rouge2, rouge_l


def _with_variant(latin: Metric, any_script: Metric) -> Metric:
    return replace(latin, variants={"unicode-words": any_script, "characters": any_script})


_latin, _any_script = _measures(rouge_tokens, _OPTIONS), _measures(unicode_tokens, _UNICODE_OPTIONS)
rouge1 = _with_variant(_latin[0], _any_script[0])
rouge2 = _with_variant(_latin[1], _any_script[1])
rouge_l = _with_variant(_latin[2], _any_script[2])


class _Tokens:
    """A tokeniser as the rouge-score package asks it."""

    def __init__(self, tokenise: Callable[[str], tuple[str, ...]]) -> None:
        self._tokenise = tokenise

    def tokenize(self, text: str) -> list[str]:
        """The tokens of one line."""
        return list(self._tokenise(text))


def _summary_level(tokenise: Callable[[str], tuple[str, ...]], options: dict[str, str]) -> Metric:
    """ROUGE-Lsum over one kind of tokens; the package computes it."""

    @cache
    def scorer() -> Any:
        from rouge_score.rouge_scorer import RougeScorer

        tokens: Any = _Tokens(tokenise)
        return RougeScorer(["rougeLsum"], tokenizer=tokens)

    @metric(
        name="rougeLsum", family="ngram", range=(0, 1), needs={"references"}, options={**options, "split": "newline"}
    )
    def rouge_lsum(sample: Sample) -> float:
        """F-measure of the words in the union of common subsequences line by line, best reference."""
        return max(
            float(scorer().score(reference, sample.prediction)["rougeLsum"].fmeasure) for reference in sample.references
        )

    return rouge_lsum


rouge_lsum = _with_variant(_summary_level(rouge_tokens, _OPTIONS), _summary_level(unicode_tokens, _UNICODE_OPTIONS))
