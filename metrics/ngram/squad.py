"""Exact match and token F1 with the normalisation of SQuAD v1.1 (Rajpurkar et al., 2016)."""

from __future__ import annotations

import re
import string
from collections import Counter
from functools import lru_cache

from ..contract import Sample, metric

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_OPTIONS = {"norm": "squad-v1.1"}


def normalised(text: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single spaces.

    >>> normalised("The  E-UTRAN's an eNB!")
    'eutrans enb'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


# Fifty checkpoints answer one test set, so its references come back. Answers do not, and may be long: none is kept.
_reference_counts = lru_cache(maxsize=1 << 12)(lambda text: Counter(normalised(text).split()))


@metric(name="exact_match", family="ngram", range=(0, 1), needs={"references"}, options=_OPTIONS)
def exact_match(sample: Sample) -> float:
    """1 when the normalised prediction equals a normalised reference, else 0."""
    prediction = normalised(sample.prediction)
    return float(any(prediction == normalised(reference) for reference in sample.references))


@metric(name="token_f1", family="ngram", range=(0, 1), needs={"references"}, options=_OPTIONS)
def token_f1(sample: Sample) -> float:
    """Harmonic mean of precision and recall over the bag of normalised tokens, best reference.

    When prediction and reference both normalise to nothing the value is 1 (as exact match says; SQuAD v2.0 has the same
    rule, the v1.1 script gives 0); when only one does, it is 0.
    """
    predicted = Counter(normalised(sample.prediction).split())
    return max(_f1(predicted, _reference_counts(reference)) for reference in sample.references)


def _f1(predicted: Counter[str], wanted: Counter[str]) -> float:
    if not predicted or not wanted:
        return float(predicted == wanted)
    common = sum(min(count, wanted[token]) for token, count in predicted.items() if token in wanted)
    precision, recall = common / predicted.total(), common / wanted.total()
    return 2 * precision * recall / (precision + recall) if common else 0.0
