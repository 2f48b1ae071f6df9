"""Cosines of sentence embeddings: prediction and reference, question and prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..contract import ItemScore, Metric, MetricRecipe, Resources, Sample, missing
from .bertscore import EMPTY, cut_note
from .calibration import Kind, Pair, calibrated_by
from .encoder import Role, TextEncoder, open_encoder


def best_cosines(
    encoder: TextEncoder,
    samples: Sequence[Sample],
    others: Callable[[Sample], Sequence[str]],
    absent: str,
    kind: Kind = Kind.REFERENCES,
) -> list[ItemScore]:
    """The highest cosine of each prediction to its other texts; 0 for an empty prediction, which says nothing.

    ``absent`` is the reason of a sample that has no other text. A question is put to the encoder as a query and its
    answer as a document, where it knows these roles.
    """
    asked, told = _roles(kind)
    texts = [[text for text in others(sample) if text.strip()] for sample in samples]
    known = encoder.embed([text for some in texts for text in some], keep=True, sentences=True, role=asked)
    predicted = [sample.prediction for sample in samples if sample.prediction.strip()]
    predictions = encoder.embed(predicted, keep=False, sentences=True, role=told)
    cut = encoder.cut([*predicted, *(text for some in texts for text in some)], sentences=True)
    scores = []
    for sample, some in zip(samples, texts, strict=True):
        if not some:
            scores.append(missing(absent))
        elif (prediction := predictions.get(sample.prediction)) is None:
            scores.append(ItemScore(0.0, EMPTY))
        else:
            cosine = max(float(prediction.sentence @ known[text].sentence) for text in some)
            scores.append(ItemScore(max(-1.0, min(1.0, cosine)), cut_note(sample.prediction, some, cut)))
    return scores


def _roles(kind: Kind) -> tuple[Role, Role]:
    """What the two texts of a pair are to an encoder that tells queries from documents."""
    return ("query", "document") if kind is Kind.QUESTION else ("text", "text")


def _pair_cosines(encoder: TextEncoder, kind: Kind, pairs: Sequence[Pair]) -> list[float]:
    lefts, rights = (
        encoder.embed([pair[side] for pair in pairs], keep=True, sentences=True, role=role)
        for side, role in enumerate(_roles(kind))
    )
    return [max(-1.0, min(1.0, float(lefts[left].sentence @ rights[right].sentence))) for left, right in pairs]


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
            return best_cosines(encoder, samples, others, absent, kind)

        options = {
            "encoder": encoder.sha256[:12] if encoder else "none",
            "pooling": encoder.pooling if encoder else "none",
        }
        if encoder and encoder.prompts and kind is Kind.QUESTION:
            options["prompts"] = "query-document"
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
            calibrate=encoder
            and calibrated_by(partial(_pair_cosines, encoder, kind), kind, [name, encoder.sha256, options]),
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
