"""Translation edit rate (Snover et al., 2006), equal to sacrebleu's TER with its defaults: shifts, then edits.

Edits are counted along the beam-limited alignments of `edit_distance`. The form for scripts without spaces has the
words of sacrebleu's TER with ``normalized`` and ``asian_support``, and single characters where that one splits none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from ..contract import ItemScore, Metric, Sample
from .edit_distance import BandRow, WordAlignment, align_in_band, band, match_bits
from .segmentation import apart
from .text_cache import remembered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_SHIFT_SIZE = 10
MAX_SHIFT_DISTANCE = 50
MAX_SHIFT_CANDIDATES = 1000

_ELSEWHERE = "\0"  # every hypothesis word that the reference lacks


def edits(hypothesis: Sequence[str], reference: Sequence[str]) -> int:
    """Edits that turn the hypothesis into the reference.

    >>> edits("the gNB sets up the bearer".split(), "the bearer the gNB sets up".split())
    1
    """
    if not reference:
        return len(hypothesis)
    symbols: dict[str, str] = {}
    for word in reference:
        symbols.setdefault(word, chr(len(symbols) + 1))
    wanted = "".join([symbols[word] for word in reference])
    current = "".join([symbols.get(word, _ELSEWHERE) for word in hypothesis])
    if current == wanted:
        return 0

    bits = match_bits(wanted)
    places: dict[str, list[int]] = {}
    for column, symbol in enumerate(wanted):
        places.setdefault(symbol, []).append(column)
    rows = band(len(current), len(wanted))
    alignment = align_in_band(current, len(wanted), bits, rows)
    shifts, left = 0, MAX_SHIFT_CANDIDATES
    while True:
        candidates, tried = _candidates(current, wanted, places, alignment, left)
        left -= tried
        # A round that reaches the limit is given up as a whole, even if it had found a good shift.
        if left <= 0 or not candidates:
            break
        best = _best(candidates, wanted, bits, rows, alignment.distance)
        if best is None:
            break
        current, alignment = best
        shifts += 1
    return shifts + alignment.distance


def _candidates(
    current: str, wanted: str, places: Mapping[str, Sequence[int]], alignment: WordAlignment, limit: int
) -> tuple[list[str], int]:
    """Hypotheses after each possible shift, the preferred first, and how many shifts were tried to get them.

    A shift moves a sequence that also stands in the reference, if some of it is wrong where it is and some is missing
    where it would go. Preferred are longer sequences, then those that start earlier, then those moved to an earlier
    place. Several places in the reference can ask for the same shift: it is tried once but counted each time.
    """
    target = alignment.target
    hypothesis_run, reference_run = _correct_run(alignment.hypothesis_error), _correct_run(alignment.reference_error)
    base = len(current) + 1
    found: set[int] = set()
    tried = 0
    for start, symbol in enumerate(current):
        for place in places.get(symbol, ()):
            aligned = target[place]
            if aligned == start or abs(place - start) > MAX_SHIFT_DISTANCE:
                continue
            shortest = 1 + max(hypothesis_run[start], reference_run[place])
            longest = min(MAX_SHIFT_SIZE, len(current) - start, len(wanted) - place)
            if aligned > start:  # never into the moved sequence itself
                longest = min(longest, aligned - start)
            if shortest > longest or current[start : start + shortest] != wanted[place : place + shortest]:
                continue
            goals = {target[place - 1] + 1 if place else 0}
            goals.update([goal + 1 for goal in target[place : place + shortest]])
            length = shortest
            while True:
                tried += len(goals)
                rank = ((MAX_SHIFT_SIZE - length) * base + start) * base
                found.update([rank + goal for goal in goals])
                if length == longest or current[start + length] != wanted[place + length]:
                    break
                goals.add(target[place + length] + 1)
                length += 1
            if tried >= limit:
                return [], tried
    return list(_shifted(current, sorted(found), base)), tried


def _correct_run(errors: Sequence[bool]) -> list[int]:
    """For each position, how many positions from it on are correct before the next error."""
    runs = [0] * len(errors)
    run = MAX_SHIFT_SIZE  # past the end there is no error to wait for
    for index in range(len(errors) - 1, -1, -1):
        run = 0 if errors[index] else run + 1
        runs[index] = run
    return runs


def _shifted(current: str, ranks: Sequence[int], base: int) -> Iterator[str]:
    for rank in ranks:
        rest, goal = divmod(rank, base)
        missing_length, start = divmod(rest, base)
        end = start + MAX_SHIFT_SIZE - missing_length
        block = current[start:end]
        if goal < start:
            yield current[:goal] + block + current[goal:start] + current[end:]
        else:
            # A goal inside the sequence counts from its end: TERCOM's way to move it by less than its own length.
            goal = goal if goal > end else goal + end - start
            yield current[:start] + current[end:goal] + block + current[goal:]


def _best(
    candidates: Sequence[str], wanted: str, bits: Mapping[str, int], rows: tuple[BandRow, ...], distance: int
) -> tuple[str, WordAlignment] | None:
    """The first candidate with the smallest beam-limited distance, if that is under ``distance``."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import extract

    promising = extract(wanted, candidates, scorer=Levenshtein.distance, score_cutoff=distance - 1, limit=None)
    best: tuple[int, int, str, WordAlignment] | None = None
    for bound, index, candidate in sorted((int(bound), index, candidate) for candidate, bound, index in promising):
        if best is not None and (bound, index) > best[:2]:
            break
        alignment = align_in_band(candidate, len(wanted), bits, rows)
        if alignment.distance < distance and (best is None or (alignment.distance, index) < best[:2]):
            best = (alignment.distance, index, candidate, alignment)
    return None if best is None else best[2:]


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


def _ter_statistics(sample: Sample, words: Words, reference_words: Words) -> tuple[float, float]:
    """Edits to the nearest reference, and the mean length of the references."""
    prediction = words(sample.prediction)
    references = [reference_words(text) for text in sample.references]
    mean_length = sum(map(len, references)) / len(references)
    return float(min(edits(prediction, reference) for reference in references)), mean_length


def _score_batch(words: Words, samples: Sequence[Sample]) -> list[ItemScore]:
    import numpy as np

    if not samples:
        return []
    reference_words = remembered(words)
    stats = [_ter_statistics(sample, words, reference_words) for sample in samples]
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
