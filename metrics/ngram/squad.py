"""Exact match and token F1 with the normalisation of SQuAD v1.1 (Rajpurkar et al., 2016).

Their form for scripts without spaces takes each character for a token, and knows punctuation beyond ASCII.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from ..contract import ItemScore, Sample, metric
from .segmentation import apart, has_characters, without_punctuation

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_OPTIONS = {"norm": "squad-v1.1"}
_CHARACTER_OPTIONS = {"norm": "squad-v1.1-nfkc", "tok": "characters"}


def normalised(text: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single spaces.

    >>> normalised("The  E-UTRAN's an eNB!")
    'eutrans enb'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def normalised_characters(text: str) -> str:
    """As `normalised`, with wide forms folded, no punctuation of any script, and characters apart.

    Texts with characters keep ``a``: it is a label there ("方案A"), and no article.

    >>> normalised_characters("由AMF（５Ｇ核心网）负责。"), normalised_characters("The  E-UTRAN's an eNB!")
    ('由 amf 5g 核 心 网 负 责', 'eutrans enb')
    """
    if text.isascii():
        return normalised(text)
    folded = without_punctuation(text)
    if not has_characters(folded):
        return normalised(folded)
    return " ".join(apart(folded.lower().translate(_NO_PUNCTUATION)).split())


# Fifty checkpoints answer one test set, so its references come back. Answers do not, and may be long: none is kept.
_counts = lru_cache(maxsize=1 << 12)(lambda normalise, text: Counter(normalise(text).split()))


def _match(sample: Sample, normalise: Callable[[str], str]) -> float:
    prediction = normalise(sample.prediction)
    return float(any(prediction == normalise(reference) for reference in sample.references))


def _f1(predicted: Counter[str], wanted: Counter[str]) -> float:
    if not predicted or not wanted:
        return float(predicted == wanted)
    common = sum(min(count, wanted[token]) for token, count in predicted.items() if token in wanted)
    precision, recall = common / predicted.total(), common / wanted.total()
    return 2 * precision * recall / (precision + recall) if common else 0.0


def _character_f1(sample: Sample) -> float:
    predicted = Counter(normalised_characters(sample.prediction).split())
    return max(_f1(predicted, _counts(normalised_characters, reference)) for reference in sample.references)


@metric(
    name="exact_match",
    family="ngram",
    range=(0, 1),
    needs={"references"},
    options=_OPTIONS,
    says=lambda sample: normalised(sample.prediction),
)
def exact_match(sample: Sample) -> float:
    """1 when the normalised prediction equals a normalised reference, else 0.

    Normalising drops signs, points and comparisons: -90 dBm equals 90 dBm, >10 ms equals <10 ms. technical_match keeps
    them apart.
    """
    return _match(sample, normalised)


@metric(name="token_f1", family="ngram", range=(0, 1), needs={"references"}, options=_OPTIONS)
def token_f1(sample: Sample) -> float:
    """Harmonic mean of precision and recall over the bag of normalised tokens, best reference.

    When prediction and reference both normalise to nothing the value is 1 (as exact match says; SQuAD v2.0 has the
    same rule, the v1.1 script gives 0); when only one does, it is 0.
    """
    predicted = Counter(normalised(sample.prediction).split())
    return max(_f1(predicted, _counts(normalised, reference)) for reference in sample.references)


# The forms for scripts without spaces.
_BY_CHARACTERS: dict[str, Callable[[Sample], float]] = {
    "exact_match": lambda sample: _match(sample, normalised_characters),
    "token_f1": _character_f1,
}
exact_match, token_f1 = (
    replace(
        each,
        variants={
            "characters": replace(
                each,
                options=_CHARACTER_OPTIONS,
                score_batch=lambda samples, score=_BY_CHARACTERS[each.name]: [ItemScore(score(one)) for one in samples],
            )
        },
    )
    for each in (exact_match, token_f1)
)
