"""Cosines of sentence embeddings: prediction and reference, question and prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..contract import ItemScore, Metric, MetricRecipe, Resources, Sample, missing
from .bertscore import EMPTY
from .calibration import Kind, Pair, calibrated_by
from .encoder import TextEncoder, open_encoder


def best_cosines(
    encoder: TextEncoder, samples: Sequence[Sample], others: Callable[[Sample], Sequence[str]], absent: str
) -> list[ItemScore]:
    """The highest cosine of each prediction to its other texts; 0 for an empty prediction, which says nothing.

    ``absent`` is the reason of a sample that has no other text.
    """
    texts = [[text for text in others(sample) if text.strip()] for sample in samples]
    known = encoder.embed([text for some in texts for text in some], keep=True, sentences=True)
    predicted = [sample.prediction for sample in samples if sample.prediction.strip()]
    predictions = encoder.embed(predicted, keep=False, sentences=True)
    scores = []
    for sample, some in zip(samples, texts, strict=True):
        if not some:
            scores.append(missing(absent))
        elif (prediction := predictions.get(sample.prediction)) is None:
            scores.append(ItemScore(0.0, EMPTY))
        else:
            cosine = max(float(prediction.sentence @ known[text].sentence) for text in some)
            scores.append(ItemScore(max(-1.0, min(1.0, cosine))))
    return scores


def _pair_cosines(encoder: TextEncoder, pairs: Sequence[Pair]) -> list[float]:
    known = encoder.embed([text for pair in pairs for text in pair], keep=True, sentences=True)
    return [max(-1.0, min(1.0, float(known[left].sentence @ known[right].sentence))) for left, right in pairs]


def _cosine_recipe(
    name: str,
    needs: frozenset[str],
    others: Callable[[Sample], Sequence[str]],
    absent: str,
    kind: Kind,
    description: str,
) -> MetricRecipe:
    def build(resources: Resources) -> Metric:
        encoder = None if resources.encoder is None else open_encoder(resources.encoder, resources.layer)

        def score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
            if encoder is None:
                return [missing(resources.absent) for _ in samples]
            return best_cosines(encoder, samples, others, absent)

        options = {
            "encoder": encoder.sha256[:12] if encoder else "none",
            "pooling": encoder.pooling if encoder else "none",
        }
        return Metric(
            name=name,
            family="embedding",
            range=(-1, 1),
            higher_is_better=True,
            needs=needs,
            level="item",
            description=description,
            score_batch=score_batch,
            options=options,
            calibrate=encoder and calibrated_by(partial(_pair_cosines, encoder), kind, [name, encoder.sha256, options]),
        )

    return MetricRecipe(name, "embedding", (-1, 1), needs, build)


answer_similarity = _cosine_recipe(
    "answer_similarity",
    frozenset({"encoder", "references"}),
    lambda sample: sample.references,
    "no reference",
    Kind.REFERENCES,
    "Cosine of the sentence embeddings of prediction and reference; the best reference.",
)
answer_relevance = _cosine_recipe(
    "answer_relevance",
    frozenset({"encoder"}),
    lambda sample: (sample.question,),
    "no question",
    Kind.QUESTION,
    "Cosine of the sentence embeddings of question and prediction.",
)
