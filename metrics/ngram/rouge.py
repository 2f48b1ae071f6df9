"""ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum F-measures (Lin, 2004), equal to the rouge-score package with its stemmer.

Tokens are the runs of ``[a-z0-9]`` of the lowered text; those longer than three letters are stemmed by NLTK's Porter
stemmer, the one rouge-score uses. With several references each measure takes its own best one.

That drops all other scripts. Their form of the measures takes words of any script, and characters where a script has
no spaces; texts in ASCII have the same tokens by both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

from ..contract import ItemScore, Metric, Sample, metric
from .overlap import shared_ngrams
from .segmentation import unicode_words
from .text_cache import TextCache

# Codes start above the space and the line feed, which pad windows.
_FIRST_CODE = 33
_FIRST_SURROGATE, _AFTER_SURROGATES = 0xD7FF, 0xE000
_VOCABULARY_LIMIT = 250_000
_TOKEN = re.compile(r"[a-z0-9]+")
_OPTIONS = {"stem": "porter", "tok": "rouge-score"}
_UNICODE_OPTIONS = {"norm": "nfkc", "stem": "porter", "tok": "unicode"}


@cache
def _stemmer() -> Callable[[str], str]:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer().stem


def _token(word: str) -> str:
    """The stem of a word of ROUGE's own alphabet with more than three letters; other words as they are."""
    return _stemmer()(word) if len(word) > 3 and word.isascii() else word


def latin_words(text: str) -> list[str]:
    """The words of a text that rouge-score sees.

    >>> latin_words("Handover procedures (NG-RAN)")
    ['handover', 'procedures', 'ng', 'ran']
    """
    return _TOKEN.findall(text.lower())


def rouge_tokens(text: str) -> tuple[str, ...]:
    """Stemmed tokens of a text.

    >>> rouge_tokens("Handover procedures (NG-RAN)")
    ('handov', 'procedur', 'ng', 'ran')
    """
    return tuple(filter(None, map(_token, latin_words(text))))


def unicode_tokens(text: str) -> tuple[str, ...]:
    """Words of any script and characters where it has no spaces; the words of ROUGE's own alphabet stemmed.

    >>> unicode_tokens("Процедура handover（切换流程）")
    ('процедура', 'handov', '切', '换', '流', '程')
    """
    return tuple(filter(None, map(_token, unicode_words(text))))


class StemCodes(dict[str, str]):
    """Texts as strings with one code point a token, equal for equal tokens: cheap to keep and to compare.

    The mapping is from words, of which each is stemmed once, to codes.

    >>> codes = StemCodes(latin_words)
    >>> len(codes.text("Handover procedures")), codes.text("procedures") == codes.text("procedure")
    (2, True)
    """

    def __init__(self, words: Callable[[str], list[str]]) -> None:
        """An empty vocabulary."""
        super().__init__()
        self._codes = {"": ""}
        self._next = _FIRST_CODE
        self.text = TextCache(lambda text: "".join(map(self.__getitem__, words(text))))

    def __missing__(self, word: str) -> str:
        """The code of a word not met before."""
        token = _token(word)
        if token not in self._codes:
            self._next = _AFTER_SURROGATES if self._next == _FIRST_SURROGATE else self._next + 1
            self._codes[token] = chr(self._next)
        code = self[word] = self._codes[token]
        return code

    @property
    def full(self) -> bool:
        """Are there so many words that another vocabulary should be begun?"""
        return len(self) > _VOCABULARY_LIMIT


def common_subsequence(left: str, right: str) -> int:
    """Length of the longest common subsequence of two strings.

    >>> common_subsequence("abcde", "xbxdx")
    2
    """
    from rapidfuzz.distance import LCSseq

    return LCSseq.similarity(left, right)


def _f_measure(common: int, predicted: int, wanted: int) -> float:
    if not common:
        return 0.0
    precision, recall = common / predicted, common / wanted
    return 2 * precision * recall / (precision + recall)


def _best_overlap(codes: StemCodes, order: int, samples: Sequence[Sample]) -> list[float]:
    """F-measure of the n-grams shared with the best reference, for each sample."""
    pairs = [(codes.text(each.prediction), codes.text(text)) for each in samples for text in each.references]
    shared = iter(shared_ngrams(pairs, order)[:, order - 1].tolist())
    sizes = ((max(len(left) - order + 1, 0), max(len(right) - order + 1, 0)) for left, right in pairs)
    values = (_f_measure(common, *size) for common, size in zip(shared, sizes, strict=True))
    return [max(islice(values, len(each.references))) for each in samples]


def _best_subsequence(codes: StemCodes, samples: Sequence[Sample]) -> list[float]:
    """F-measure of the longest common subsequence with the best reference, for each sample."""
    best = []
    for each in samples:
        own, wanted = codes.text(each.prediction), [codes.text(text) for text in each.references]
        best.append(max(_f_measure(common_subsequence(own, text), len(own), len(text)) for text in wanted))
    return best


def _measures(words: Callable[[str], list[str]], options: dict[str, str]) -> tuple[Metric, Metric, Metric]:
    """The three measures over one kind of tokens."""
    vocabulary = [StemCodes(words)]

    def measure(name: str, description: str, score: Callable[[StemCodes, Sequence[Sample]], list[float]]) -> Metric:
        def score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
            if vocabulary[0].full:
                vocabulary[0] = StemCodes(words)
            return list(map(ItemScore, score(vocabulary[0], samples)))

        return Metric(
            name=name,
            family="ngram",
            range=(0, 1),
            higher_is_better=True,
            needs=frozenset({"references"}),
            level="item",
            description=description,
            score_batch=score_batch,
            options=options,
        )

    return (
        measure(
            "rouge1",
            "F-measure of the stemmed words shared with the best reference.",
            lambda codes, samples: _best_overlap(codes, 1, samples),
        ),
        measure(
            "rouge2",
            "F-measure of the stemmed word pairs shared with the best reference; 0 for texts under two words.",
            lambda codes, samples: _best_overlap(codes, 2, samples),
        ),
        measure(
            "rougeL",
            "F-measure of the longest common subsequence of stemmed words, best reference.",
            _best_subsequence,
        ),
    )


def _with_variant(latin: Metric, any_script: Metric) -> Metric:
    return replace(latin, variants={"unicode-words": any_script, "characters": any_script})


_latin, _any_script = _measures(latin_words, _OPTIONS), _measures(unicode_words, _UNICODE_OPTIONS)
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
