"""Translation edit rate (Snover et al., 2006), equal to sacrebleu's TER with its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..base import ItemScore, Metric, Sample
from .edit_rate import edits
from .text_cache import TextCache

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.rstrip().lower().split())


_reference = TextCache(_words)


def ter_scores(stats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (B,) from statistics (B, 2): edits and reference words. Edits without any reference word make 100."""
    import numpy as np

    made, words = stats[:, 0], stats[:, 1]
    return 100 * np.where(words > 0, made / np.where(words > 0, words, 1.0), made > 0)


def _statistics(sample: Sample) -> tuple[float, float]:
    """Edits to the nearest reference, and the mean length of the references."""
    prediction = _words(sample.prediction)
    references = [_reference(text) for text in sample.references]
    mean_length = sum(map(len, references)) / len(references)
    return float(min(edits(prediction, reference) for reference in references)), mean_length


def _score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
    import numpy as np

    if not samples:
        return []
    stats = [_statistics(sample) for sample in samples]
    values = ter_scores(np.array(stats)).tolist()
    return [ItemScore(value, None, row) for value, row in zip(values, stats, strict=True)]


ter = Metric(
    name="ter",
    family="ngram",
    range=(0, None),
    higher_is_better=False,
    needs=frozenset({"references"}),
    level="corpus",
    description="Word edits and shifts of word sequences to the nearest reference, per 100 reference words.",
    score_batch=_score_batch,
    aggregate=ter_scores,
    options={"asian": "no", "case": "lc", "norm": "no", "punct": "yes", "tok": "tercom"},
)
