"""What a checkpoint gives its references: log-probability a token, perplexity, bits a byte.

A reference's probability is that of its tokens and of the end-of-sequence token after them, given the prompt that the
checkpoint was asked: what supervised fine-tuning maximises, so that exp(-loss) of training and these values speak of
the same tokens. Of several references the best one counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .contract import ItemScore, Metric, Sample, missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEEDED = frozenset({"references", "reference_scores"})
NOT_FINITE = "no finite likelihood of a reference"
END = {"end": "eos", "prompt": "as-asked"}
# The largest power of e that a double holds, nearly.
_LARGEST = 709.0


def scored_references(sample: Sample) -> list[tuple[float, int, int]]:
    """(summed natural log-probability, tokens, UTF-8 bytes of the text) of each reference whose likelihood is finite.

    >>> scored_references(Sample("a", "", ("µs",), reference_scores=((-3.0, 2),)))
    [(-3.0, 2, 3)]
    """
    return [
        (log_likelihood, tokens, len(text.encode("utf-8", "surrogatepass")))
        for text, (log_likelihood, tokens) in zip(sample.references, sample.reference_scores or (), strict=True)
        if math.isfinite(log_likelihood) and tokens > 0
    ]


def _reference_likelihood(sample: Sample) -> ItemScore:
    found = [log_likelihood / tokens for log_likelihood, tokens, _ in scored_references(sample)]
    return ItemScore(max(found)) if found else missing(NOT_FINITE)


def _reference_perplexity(sample: Sample) -> ItemScore:
    found = scored_references(sample)
    if not found:
        return missing(NOT_FINITE)
    log_likelihood, tokens, _ = max(found, key=lambda each: each[0] / each[1])
    return ItemScore(_exp(-log_likelihood / tokens), stats=(log_likelihood, float(tokens)))


def _reference_bits_per_byte(sample: Sample) -> ItemScore:
    found = scored_references(sample)
    if not found:
        return missing(NOT_FINITE)
    log_likelihood, _, size = max(found, key=lambda each: each[0] / each[2])
    bits = -log_likelihood / math.log(2)
    return ItemScore(bits / size, stats=(bits, float(size)))


def _exp(value: float) -> float:
    """Exponential of a value; infinite (and so counted as missing) where a double cannot hold it."""
    return math.exp(value) if value < _LARGEST else math.inf


def _perplexity(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.exp(-sums[:, 0] / sums[:, 1])


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return sums[:, 0] / sums[:, 1]


def _each(score: Callable[[Sample], ItemScore]) -> Callable[[Sequence[Sample]], Sequence[ItemScore]]:
    return lambda samples: [score(sample) for sample in samples]


reference_likelihood = Metric(
    name="reference_likelihood",
    family="likelihood",
    range=(None, 0),
    higher_is_better=True,
    needs=NEEDED,
    level="item",
    description=(
        "Mean natural log-probability a token of the reference and its end under the checkpoint itself, given the "
        "prompt that it was asked; the best reference. Not comparable between vocabularies."
    ),
    score_batch=_each(_reference_likelihood),
    options=END,
)
reference_perplexity = Metric(
    name="reference_perplexity",
    family="likelihood",
    range=(1, None),
    higher_is_better=False,
    needs=NEEDED,
    level="corpus",
    description=(
        "exp(-sum of log-probabilities / sum of tokens) of the references and their ends under the checkpoint itself, "
        "each item's best reference. Not comparable between vocabularies."
    ),
    score_batch=_each(_reference_perplexity),
    aggregate=_perplexity,
    statistics=2,
    options=END,
)
reference_bits_per_byte = Metric(
    name="reference_bits_per_byte",
    family="likelihood",
    range=(0, None),
    higher_is_better=False,
    needs=NEEDED,
    level="corpus",
    description=(
        "Sum of -log2 probabilities of the references and their ends under the checkpoint itself, over the sum of "
        "their UTF-8 bytes, each item's best reference. Comparable between vocabularies."
    ),
    score_batch=_each(_reference_bits_per_byte),
    aggregate=_ratio,
    statistics=2,
    options=END,
)
