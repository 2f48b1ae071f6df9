"""METEOR (Banerjee and Lavie, 2005) by nltk's alignment, where WordNet's data is on this machine.

nltk looks synonyms up by the stems of words, of which WordNet knows few: by itself it never matches *car* and
*automobile*. Here the words stand behind their stems, and WordNet is asked for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from telbench.errors import InputError

from ..contract import ItemScore, Metric, MetricRecipe, Range, Resources, Sample, missing

NO_WORDNET = (
    "no WordNet data: python -m nltk.downloader -d FOLDER wordnet on a machine with network, then set NLTK_DATA=FOLDER"
)
UNREADABLE = "meteor counts words with spaces between them, the references have none"
NAME = "meteor"
RANGE: Range = (0, 1)
NEEDS = frozenset({"references"})
# Runs of word characters and runs of other marks: nltk's own tokenizer for METEOR needs further data.
_TOKEN = re.compile(r"\w+|[^\w\s]+")


def tokens(text: str) -> list[str]:
    """Words and runs of punctuation.

    >>> tokens("The O-RU's 7.2x split.")
    ['The', 'O', '-', 'RU', "'", 's', '7', '.', '2x', 'split', '.']
    """
    return _TOKEN.findall(text)


class _Stem(str):
    """A stem that remembers the word it is of."""

    __slots__ = ("word",)
    word: str


class _Stemmer:
    """Porter's stemmer, as nltk's METEOR asks it."""

    def stem(self, word: str) -> _Stem:
        """The stem of a word, which remembers it."""
        stem = _Stem(_porter(word))
        stem.word = word
        return stem


@lru_cache(maxsize=2**16)
def _porter(word: str) -> str:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer().stem(word)


class _StemmedLemma:
    """A lemma of a synset, by the stem that the texts' words have at that step."""

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        """The lemma's stem; names of several words keep their underscores, by which nltk leaves them out."""
        return self._name if "_" in self._name else _porter(self._name.lower())


class _StemmedSynset:
    """A synset with stemmed lemmas."""

    def __init__(self, synset: Any) -> None:
        self._synset = synset

    def lemmas(self) -> Iterator[_StemmedLemma]:
        """Each lemma of the synset."""
        return (_StemmedLemma(lemma.name()) for lemma in self._synset.lemmas())


class _WordNet:
    """WordNet asked for the words behind stems."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def synsets(self, stem: str) -> list[_StemmedSynset]:
        """The synsets of the word that the stem is of."""
        return [_StemmedSynset(each) for each in self._reader.synsets(getattr(stem, "word", stem))]


def best_meteor(sample: Sample, wordnet: Any) -> float:
    """METEOR of the prediction and its best reference; ``wordnet`` is nltk's reader, asked for words' ``synsets``."""
    from nltk.translate.meteor_score import meteor_score

    stemmer: Any = _Stemmer()
    reader: Any = _WordNet(wordnet)
    references = [tokens(reference) for reference in sample.references]
    return meteor_score(references, tokens(sample.prediction), stemmer=stemmer, wordnet=reader)


def installed_wordnet() -> Any:
    """The WordNet reader of nltk, or None where its data is in no folder that nltk looks in; nothing is downloaded.

    Raises:
        InputError: when the data is there and cannot be read.
    """
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return None
    except Exception as error:
        raise InputError(
            f"nltk's WordNet data cannot be read ({type(error).__name__}: {error}): download it again with python -m "
            "nltk.downloader wordnet, or drop the metric meteor"
        ) from error
    return wordnet


def _build_meteor(resources: Resources) -> Metric:
    wordnet = installed_wordnet()

    def score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
        if wordnet is None:
            return [missing(NO_WORDNET) for _ in samples]
        if resources.segmentation == "characters":
            return [missing(UNREADABLE) for _ in samples]
        return [ItemScore(float(best_meteor(sample, wordnet))) for sample in samples]

    return Metric(
        name=NAME,
        family="ngram",
        range=RANGE,
        higher_is_better=True,
        needs=NEEDS,
        level="item",
        description=(
            "Weighted harmonic mean of precision and recall of words that match exactly, by stem or by WordNet "
            "synonym, less a penalty for matches out of order; the best reference. Needs WordNet's data."
        ),
        score_batch=score_batch,
        version=2,
        options={
            "alpha": "0.9",
            "beta": "3",
            "gamma": "0.5",
            "tok": "wordpunct",
            "synonyms": "of-words",
            "wordnet": "none" if wordnet is None else str(wordnet.get_version()),
        },
    )


meteor = MetricRecipe(NAME, "ngram", RANGE, NEEDS, _build_meteor)
