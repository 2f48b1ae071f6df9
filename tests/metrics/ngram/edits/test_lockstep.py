"""Alignments of many pairs in lockstep: each as `align_in_band` has it alone."""

from __future__ import annotations

import random

import numpy as np

from telbench.metrics.ngram.edits.alignment import align_in_band, band, match_bits
from telbench.metrics.ngram.edits.lockstep import Bands, References, align, code_points, within_a_word
from telbench.metrics.ngram.edits.shifts import as_symbols

LENGTHS = [1, 2, 3, 10, 24, 25, 26, 49, 50, 51, 63, 64, 65, 100, 128, 150, 300]


def some_pair(rng: random.Random) -> tuple[str, str]:
    alphabet, size = rng.choice([1, 2, 4, 30, 200]), rng.choice(LENGTHS)
    reference = [str(rng.randrange(alphabet)) for _ in range(size)]
    if rng.random() < 0.5:
        return as_symbols([str(rng.randrange(alphabet + 2)) for _ in range(rng.choice(LENGTHS))], reference)
    cut = rng.randrange(size)
    moved = [*reference[cut:], *reference[:cut], *(str(rng.randrange(alphabet)) for _ in range(rng.randrange(30)))]
    return as_symbols([word if rng.random() < 0.9 else "x" for word in moved], reference)


def test_alignments_are_those_of_each_pair_alone() -> None:
    rng = random.Random(1)
    for count in (1, 2, 40, 300):
        pairs = [pair for pair in (some_pair(rng) for _ in range(2 * count)) if within_a_word(*map(len, pair))][:count]
        references = References([reference for _, reference in pairs])
        bands = Bands(np.array([len(hypothesis) for hypothesis, _ in pairs]), references.lengths)
        which = np.arange(len(pairs))
        rng.shuffle(order := which.tolist())
        found = align(references, bands, np.array(order), [pairs[k][0] for k in order])
        row = column = 0
        for place, (hypothesis, reference) in enumerate(pairs[k] for k in order):
            alone = align_in_band(
                hypothesis, len(reference), match_bits(reference), band(len(hypothesis), len(reference))
            )
            rows, columns = slice(row, row + len(hypothesis)), slice(column, column + len(reference))
            assert found.distance[place] == alone.distance
            assert found.target[columns].tolist() == alone.target
            assert found.hypothesis_error[rows].tolist() == alone.hypothesis_error
            assert found.reference_error[columns].tolist() == alone.reference_error
            row, column = rows.stop, columns.stop


def test_what_fits_into_a_word() -> None:
    assert within_a_word(3, 150)
    assert not within_a_word(3, 151)
    assert not within_a_word(0, 5)
    assert not within_a_word(5, 0)


def test_codes_of_very_many_words_run_through_the_surrogates() -> None:
    assert code_points(["\x01\ud800", "\U00010000"]).tolist() == [1, 0xD800, 0x10000]
