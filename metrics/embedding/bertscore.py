"""BERTScore: each token's best match in the other text, by the cosine of contextual embeddings (Zhang et al. 2020)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..base import ItemScore, Metric, MetricRecipe, Resources, Sample, missing
from .encoder import TextEncoder, open_encoder
from .store import Embedded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEEDS = frozenset({"encoder", "references"})
EMPTY = "empty answer"


class Match(NamedTuple):
    """How well a prediction matches a reference."""

    precision: float
    recall: float
    f1: float


def match(prediction: Embedded, reference: Embedded, idf: Mapping[int, float] | None = None) -> Match:
    """Greedy matching of two texts; all 0 where one has no token that counts.

    Precision is the mean over the prediction's tokens of the highest cosine to a token of the reference, recall the
    same from the reference; class and separator tokens may be matched but are not averaged. With ``idf`` (see
    `idf_weights`) the means are weighted by it. F1 is 0 where precision or recall is not positive.
    """
    import numpy as np

    weights = [_weights(text, idf) for text in (prediction, reference)]
    if not all(len(weight) and weight.sum() > 0 for weight in weights):
        return Match(0.0, 0.0, 0.0)
    cosines = prediction.tokens @ reference.tokens.T
    precision = min(1.0, float(np.average(cosines.max(axis=1), weights=weights[0])))
    recall = min(1.0, float(np.average(cosines.max(axis=0), weights=weights[1])))
    positive = precision > 0 and recall > 0
    return Match(precision, recall, 2 * precision * recall / (precision + recall) if positive else 0.0)


def idf_weights(references: Sequence[Embedded]) -> dict[int, float]:
    """Inverse document frequency ln((N + 1) / (n + 1)) of each token of N references; -1 keys that of any other."""
    counts = Counter(token for reference in references for token in set(reference.ids.tolist()))
    total = len(references) + 1
    return {token: math.log(total / (count + 1)) for token, count in counts.items()} | {-1: math.log(total)}


def best_match(
    encoder: TextEncoder, samples: Sequence[Sample], idf: Mapping[int, float] | None = None
) -> list[Match | None]:
    """Each sample's best precision, recall and F1 over its references; None where the references are all empty."""
    references = encoder.embed([text for sample in samples for text in sample.references if text.strip()], keep=True)
    predictions = encoder.embed([sample.prediction for sample in samples if sample.prediction.strip()], keep=False)
    best: list[Match | None] = []
    for sample in samples:
        usable = [references[text] for text in sample.references if text.strip()]
        if not usable:
            best.append(None)
        elif (prediction := predictions.get(sample.prediction)) is None:
            best.append(Match(0.0, 0.0, 0.0))
        else:
            best.append(Match(*map(max, zip(*(match(prediction, other, idf) for other in usable), strict=True))))
    return best


def _weights(text: Embedded, idf: Mapping[int, float] | None) -> NDArray[np.float32]:
    import numpy as np

    if idf is None:
        return text.counted
    return np.asarray([idf.get(token, idf[-1]) for token in text.ids.tolist()], np.float32)


def _recipe(name: str, low: float, part: Callable[[Match], float], description: str) -> MetricRecipe:
    def build(resources: Resources) -> Metric:
        encoder = None if resources.encoder is None else open_encoder(resources.encoder, resources.layer)

        def score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
            if encoder is None:
                return [missing(resources.absent) for _ in samples]
            return [
                missing("no reference")
                if best is None
                else ItemScore(part(best), None if sample.prediction.strip() else EMPTY)
                for sample, best in zip(samples, best_match(encoder, samples), strict=True)
            ]

        return Metric(
            name=name,
            family="embedding",
            range=(low, 1),
            higher_is_better=True,
            needs=NEEDS,
            level="item",
            description=description,
            score_batch=score_batch,
            options={
                "encoder": encoder.sha256[:12] if encoder else "none",
                "layer": str(encoder.layer) if encoder else "none",
                "idf": "no",
            },
        )

    return MetricRecipe(name, "embedding", (low, 1), NEEDS, build)


bertscore = _recipe(
    "bertscore",
    0,
    lambda best: best.f1,
    "F1 of greedy matching of the prediction's and the reference's tokens by the cosine of an encoder's embeddings.",
)
bertscore_precision = _recipe(
    "bertscore_precision",
    -1,
    lambda best: best.precision,
    "Mean over the prediction's tokens of the highest cosine to a token of the reference.",
)
bertscore_recall = _recipe(
    "bertscore_recall",
    -1,
    lambda best: best.recall,
    "Mean over the reference's tokens of the highest cosine to a token of the prediction.",
)
