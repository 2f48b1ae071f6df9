"""chrF (Popović, 2015), equal to sacrebleu's CHRF with its defaults: chrF2, six orders, no words, no spaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..contract import ItemScore, Metric, Sample
from .overlap import shared_ngrams
from .text_cache import remembered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ORDER = 6
BETA = 2


def _without_spaces(text: str) -> str:
    return "".join(text.split())


def chrf_scores(stats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (B,) in 0..100 from statistics (B, 18): for n = 1..6 the n-grams of prediction, of reference, and shared.

    Precision and recall are averaged over the orders that both texts reach, then combined with recall weighted BETA
    times.
    """
    import numpy as np

    predicted, wanted, shared = (stats[:, column::3] for column in range(3))
    reached = (predicted > 0) & (wanted > 0)
    orders = np.maximum(reached.sum(axis=1), 1)
    precision, recall = np.zeros(len(stats)), np.zeros(len(stats))
    # Order by order, as sacrebleu adds, so that the choice among references falls alike to the last bit.
    for n in range(ORDER):
        precision += np.where(reached[:, n], shared[:, n] / np.maximum(predicted[:, n], 1), 0.0)
        recall += np.where(reached[:, n], shared[:, n] / np.maximum(wanted[:, n], 1), 0.0)
    precision, recall = precision / orders, recall / orders
    weight = BETA**2
    below = weight * precision + recall
    return 100 * (1 + weight) * precision * recall / np.where(below > 0, below, 1.0)


def _chrf_statistics(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """Statistics (P, 18) of pairs of prediction and reference, both without spaces."""
    import numpy as np

    lengths = np.array([[len(prediction), len(reference)] for prediction, reference in pairs], dtype=np.int64)
    grams = np.maximum(lengths[:, :, None] - np.arange(ORDER), 0)
    stats = np.empty((len(pairs), ORDER, 3))
    stats[:, :, 0] = np.where(grams[:, 1] > 0, grams[:, 0], 0)  # an order that the reference lacks counts no misses
    stats[:, :, 1] = grams[:, 1]
    stats[:, :, 2] = shared_ngrams(pairs, ORDER)
    return stats.reshape(len(pairs), 3 * ORDER)


def _score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
    """Each sample against each of its references; the first with the highest score gives value and statistics."""
    if not samples:
        return []
    pairs, without_spaces = [], remembered(_without_spaces)
    for sample in samples:
        prediction = without_spaces(sample.prediction)
        pairs.extend((prediction, without_spaces(reference)) for reference in sample.references)
    stats = _chrf_statistics(pairs)
    values, rows = chrf_scores(stats).tolist(), stats.tolist()
    scores, start = [], 0
    for sample in samples:
        end = start + len(sample.references)
        best = max(range(start, end), key=values.__getitem__)
        scores.append(ItemScore(values[best], None, tuple(rows[best])))
        start = end
    return scores


chrf = Metric(
    name="chrf",
    family="ngram",
    range=(0, 100),
    higher_is_better=True,
    needs=frozenset({"references"}),
    level="corpus",
    description="F-score of shared character n-grams (1 to 6), recall counting twice; corpus score from summed counts.",
    score_batch=_score_batch,
    aggregate=chrf_scores,
    statistics=3 * ORDER,
    options={"case": "mixed", "eff": "yes", "nc": str(ORDER), "nw": "0", "beta": str(BETA), "space": "no"},
)
