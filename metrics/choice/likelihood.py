"""Accuracy of the choice that the checkpoint itself finds most likely."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..contract import ItemScore, Metric, Sample, missing
from .accuracy import chance
from .copies import first_equals

MULTI_SELECT = "multi-select"


def _likeliest(sample: Sample, scores: tuple[float, ...], sizes: Sequence[int]) -> ItemScore:
    """1 when the choice whose score over its size is highest is the right one; of equal ones the first counts."""
    if len(sample.answer) > 1:
        return missing(MULTI_SELECT)
    if len(scores) != len(sample.choices):
        return missing("not one likelihood for each choice")
    if any(math.isnan(score) for score in scores):
        return missing("a likelihood is not a number")
    likeliest = max(range(len(scores)), key=lambda index: scores[index] / sizes[index])
    equals = first_equals(tuple(sample.choices))
    return ItemScore(float(equals[likeliest] in {equals[index] for index in sample.answer}))


def _likelihood(sample: Sample) -> ItemScore:
    sizes = [max(1, len(choice.encode("utf-8", "surrogatepass"))) for choice in sample.choices]
    return _likeliest(sample, sample.option_scores or (), sizes)


def _letter_likelihood(sample: Sample) -> ItemScore:
    return _likeliest(sample, sample.letter_scores or (), [1] * len(sample.choices))


choice_likelihood = Metric(
    name="choice_likelihood",
    family="choice",
    range=(0, 1),
    higher_is_better=True,
    needs=frozenset({"choices", "option_scores"}),
    level="item",
    description="1 when the choice of highest log-likelihood a UTF-8 byte is the right one, else 0; ties: first.",
    score_batch=lambda samples: [_likelihood(sample) for sample in samples],
    options={"norm": "utf8-bytes", "ties": "first"},
    version=2,
    chance=chance,
)

choice_letter_likelihood = Metric(
    name="choice_letter_likelihood",
    family="choice",
    range=(0, 1),
    higher_is_better=True,
    needs=frozenset({"choices", "letter_scores"}),
    level="item",
    description=(
        "1 when the label of highest log-likelihood after the prompt that lists the options is the right one, else 0; "
        "ties: first."
    ),
    score_batch=lambda samples: [_letter_likelihood(sample) for sample in samples],
    options={"prompt": "options-listed", "ties": "first"},
    chance=chance,
)
