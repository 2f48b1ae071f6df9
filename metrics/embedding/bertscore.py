"""BERTScore: each token's best match in the other text, by the cosine of contextual embeddings (Zhang et al. 2020)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from ..anchors import Anchors
from ..contract import ItemScore, Metric, MetricRecipe, Resources, Sample, missing
from ..fingerprints import fingerprint
from ..threads import one_thread
from .calibration import Kind, Pair, calibrated_by
from .encoder import TextEncoder, open_encoder
from .store import Embedded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEEDS = frozenset({"encoder", "references"})
EMPTY = "empty answer"
CUT = "longer than the encoder reads"
UNWEIGHTED = "no token of the reference counts"
# The weight of a token that no reference has.
UNSEEN = -1


class Match(NamedTuple):
    """How well a prediction matches a reference."""

    precision: float
    recall: float
    f1: float


def match(prediction: Embedded, reference: Embedded, idf: Mapping[int, float] | None = None) -> Match | None:
    """Greedy matching of two texts; all 0 where the prediction has no token that counts, None where the reference has.

    Precision is the mean over the prediction's tokens of the highest cosine to a token of the reference, recall the
    same from the reference; class and separator tokens may be matched but are not averaged. With ``idf`` (see
    `idf_weights`) the means are weighted by it. F1 is 0 where precision or recall is not positive.
    """
    weights = [_token_weights(text, idf) for text in (prediction, reference)]
    totals = [float(weight.sum()) for weight in weights]
    if not totals[1] > 0:
        return None
    if not totals[0] > 0:
        return Match(0.0, 0.0, 0.0)
    cosines = prediction.tokens @ reference.tokens.T
    precision = min(1.0, float(cosines.max(axis=1) @ weights[0]) / totals[0])
    recall = min(1.0, float(cosines.max(axis=0) @ weights[1]) / totals[1])
    positive = precision > 0 and recall > 0
    return Match(precision, recall, 2 * precision * recall / (precision + recall) if positive else 0.0)


def idf_weights(references: Sequence[Sequence[int]]) -> dict[int, float]:
    """Inverse document frequency ln((N + 1) / (n + 1)) of each token in n of N references; `UNSEEN` keys any other."""
    counts = Counter(token for reference in references for token in set(reference))
    total = len(references) + 1
    return {token: math.log(total / (count + 1)) for token, count in counts.items()} | {UNSEEN: math.log(total)}


def best_match(
    encoder: TextEncoder, samples: Sequence[Sample], idf: Mapping[int, float] | None = None
) -> list[Match | None]:
    """Each sample's best precision, recall and F1 over its references; None where no token of these counts."""
    references = encoder.embed([text for sample in samples for text in sample.references if text.strip()], keep=True)
    predictions = encoder.embed([sample.prediction for sample in samples if sample.prediction.strip()], keep=False)
    best: list[Match | None] = []
    with one_thread():
        for sample in samples:
            usable = [references[text] for text in sample.references if text.strip()]
            if (prediction := predictions.get(sample.prediction)) is None:
                found = [Match(0.0, 0.0, 0.0) for other in usable if _token_weights(other, idf).sum() > 0]
            else:
                found = [one for other in usable if (one := match(prediction, other, idf)) is not None]
            best.append(Match(*map(max, zip(*found, strict=True))) if found else None)
    return best


def cut_note(prediction: str, others: Sequence[str], cut: Collection[str]) -> str | None:
    """What is told of a value: that the answer is empty, or that not all of the texts was read."""
    if not prediction.strip():
        return EMPTY
    return CUT if prediction in cut or any(text in cut for text in others) else None


@lru_cache(maxsize=2)
def _idf_of(encoder: TextEncoder, corpus: tuple[str, ...] | None) -> dict[int, float] | None:
    """Weights of a corpus; only its tokenizer reads it. Empty texts, which no loader keeps, are no documents."""
    return None if corpus is None else idf_weights(encoder.token_ids([text for text in corpus if text.strip()]))


def _token_weights(text: Embedded, idf: Mapping[int, float] | None) -> NDArray[np.float32]:
    import numpy as np

    if idf is None:
        return text.counted
    return np.asarray([idf.get(token, idf[UNSEEN]) for token in text.ids.tolist()], np.float32)


def _pair_values(
    encoder: TextEncoder, corpus: tuple[str, ...] | None, part: Callable[[Match], float], pairs: Sequence[Pair]
) -> list[float]:
    idf = _idf_of(encoder, corpus)
    known = encoder.embed([text for pair in pairs for text in pair], keep=True)
    with one_thread():
        matches = [match(known[left], known[right], idf) for left, right in pairs]
    return [part(one) for one in matches if one is not None]


def _calibrator(
    name: str,
    encoder: TextEncoder,
    corpus: tuple[str, ...] | None,
    part: Callable[[Match], float],
    options: Mapping[str, str],
) -> Callable[[Sequence[Sample]], Anchors]:
    values = partial(_pair_values, encoder, corpus, part)
    return calibrated_by(values, Kind.REFERENCES, [name, encoder.sha256, dict(options)])


def _bertscore_recipe(name: str, low: float, part: Callable[[Match], float], description: str) -> MetricRecipe:
    def build(resources: Resources) -> Metric:
        encoder = None if resources.encoder is None else open_encoder(resources.encoder, resources.layer)
        corpus = resources.idf_corpus

        def score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
            if encoder is None:
                return [missing(resources.absent) for _ in samples]
            cut = encoder.cut([text for sample in samples for text in (sample.prediction, *sample.references)])
            return [
                missing(UNWEIGHTED if any(map(str.strip, sample.references)) else "no reference")
                if best is None
                else ItemScore(part(best), cut_note(sample.prediction, sample.references, cut))
                for sample, best in zip(samples, best_match(encoder, samples, _idf_of(encoder, corpus)), strict=True)
            ]

        options = {
            "encoder": encoder.sha256[:12] if encoder else "none",
            "layer": str(encoder.layer) if encoder else "none",
            "idf": "no" if corpus is None else f"references-{fingerprint(sorted(corpus))[:12]}",
        }
        return Metric(
            name=name,
            family="embedding",
            range=(low, 1),
            higher_is_better=True,
            needs=NEEDS,
            level="item",
            description=description,
            score_batch=score_batch,
            options=options,
            calibrate=None if encoder is None else _calibrator(name, encoder, corpus, part, options),
        )

    return MetricRecipe(name, "embedding", (low, 1), NEEDS, build)


bertscore = _bertscore_recipe(
    "bertscore",
    0,
    lambda best: best.f1,
    "F1 of greedy matching of the prediction's and the reference's tokens by the cosine of an encoder's embeddings.",
)
bertscore_precision = _bertscore_recipe(
    "bertscore_precision",
    -1,
    lambda best: best.precision,
    "Mean over the prediction's tokens of the highest cosine to a token of the reference.",
)
bertscore_recall = _bertscore_recipe(
    "bertscore_recall",
    -1,
    lambda best: best.recall,
    "Mean over the reference's tokens of the highest cosine to a token of the prediction.",
)
