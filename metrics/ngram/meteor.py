"""METEOR (Banerjee and Lavie, 2005) as nltk computes it, where WordNet's data is on this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
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


def best_meteor(sample: Sample, wordnet: Any) -> float:
    """METEOR of the prediction and its best reference; ``wordnet`` is nltk's reader, asked for words' ``synsets``."""
    from nltk.translate.meteor_score import meteor_score

    return meteor_score(
        [tokens(reference) for reference in sample.references], tokens(sample.prediction), wordnet=wordnet
    )


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
        options={
            "alpha": "0.9",
            "beta": "3",
            "gamma": "0.5",
            "tok": "wordpunct",
            "wordnet": "none" if wordnet is None else str(wordnet.get_version()),
        },
    )


meteor = MetricRecipe(NAME, "ngram", RANGE, NEEDS, _build_meteor)
