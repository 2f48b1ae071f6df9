"""Translation edit rate (Snover et al., 2006), equal to sacrebleu's TER with its defaults: shifts, then edits.

Edits are counted by `edits`, for all samples of a batch at once. The form for scripts without spaces has the
words of sacrebleu's TER with ``normalized`` and ``asian_support``, and single characters where that one splits none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING

from ..contract import ItemScore, Metric, Sample
from .segmentation import apart
from .text_cache import remembered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _ter_words(text: str) -> tuple[str, ...]:
    return tuple(text.rstrip().lower().split())


@cache
def _tercom() -> Callable[[str], str]:
    from sacrebleu.tokenizers.tokenizer_ter import TercomTokenizer

    # Below the tokeniser's own cache, which would keep 65,536 answers of any length.
    return partial(TercomTokenizer.__call__.__wrapped__, TercomTokenizer(normalized=True, asian_support=True))


def ter_characters(text: str) -> tuple[str, ...]:
    """Words and punctuation as TERCOM normalises them, and single characters of scripts without spaces.

    >>> ter_characters("UE向gNB发送请求。")
    ('ue', '向', 'gnb', '发', '送', '请', '求', '。')
    """
    return tuple(apart(_tercom()(text.rstrip())).split())


Words = Callable[[str], tuple[str, ...]]


def ter_scores(stats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (B,) from statistics (B, 2): edits and reference words. Edits without any reference word make 100."""
    import numpy as np

    made, words = stats[:, 0], stats[:, 1]
    return 100 * np.where(words > 0, made / np.where(words > 0, words, 1.0), made > 0)


def _score_batch(words: Words, samples: Sequence[Sample]) -> list[ItemScore]:
    """Edits to the nearest reference of each sample, over the mean length of its references."""
    import numpy as np

    from .edits.many import edits

    if not samples:
        return []
    reference_words = remembered(words)
    predictions = [words(sample.prediction) for sample in samples]
    references = [[reference_words(text) for text in sample.references] for sample in samples]
    pairs = ((own, other) for own, others in zip(predictions, references, strict=True) for other in others)
    made = iter(edits(pairs))
    stats = [(float(min(islice(made, len(others)))), sum(map(len, others)) / len(others)) for others in references]
    values = ter_scores(np.array(stats)).tolist()
    return [ItemScore(value, None, row) for value, row in zip(values, stats, strict=True)]


_by_words = Metric(
    name="ter",
    family="ngram",
    range=(0, None),
    higher_is_better=False,
    needs=frozenset({"references"}),
    level="corpus",
    description="Word edits and shifts of word sequences to the nearest reference, per 100 reference words.",
    score_batch=partial(_score_batch, _ter_words),
    aggregate=ter_scores,
    statistics=2,
    options={"asian": "no", "case": "lc", "norm": "no", "punct": "yes", "tok": "tercom"},
)
_by_characters = replace(
    _by_words,
    description="Edits and shifts of words and, where a script has no spaces, characters, per 100 of the reference.",
    score_batch=partial(_score_batch, ter_characters),
    options={**_by_words.options, "asian": "yes", "norm": "yes", "tok": "tercom-characters"},
)
ter = replace(_by_words, variants={"characters": _by_characters})
