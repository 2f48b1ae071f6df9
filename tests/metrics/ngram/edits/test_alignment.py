"""The beam-limited alignment against sacrebleu's, cell for cell, with and without a binding beam."""

from __future__ import annotations

import random

import pytest
from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics.lib_ter import BeamEditDistance, trace_to_alignment

from telbench.metrics.ngram.edits.alignment import align_in_band, band, match_bits

FLIPPED = str.maketrans("id", "di")


def both(hypothesis: str, reference: str) -> tuple[int, int]:
    """Assert that distance, targets and errors agree; give the distance and the Levenshtein distance."""
    distance, trace = BeamEditDistance(list(reference))(list(hypothesis))
    target, reference_error, hypothesis_error = trace_to_alignment(trace.translate(FLIPPED))
    found = align_in_band(hypothesis, len(reference), match_bits(reference), band(len(hypothesis), len(reference)))
    assert found.distance == distance
    assert found.target == [target[index] for index in range(len(reference))]
    assert [int(flag) for flag in found.reference_error] == reference_error
    assert [int(flag) for flag in found.hypothesis_error] == hypothesis_error
    return distance, Levenshtein.distance(hypothesis, reference)


def letters(rng: random.Random, size: int, alphabet: int) -> str:
    return "".join(chr(97 + rng.randrange(alphabet)) for _ in range(size))


def test_short_texts_of_all_lengths() -> None:
    rng = random.Random(1)
    for hypothesis_length in range(9):
        for reference_length in range(1, 9):
            for alphabet in (1, 2, 4):
                both(letters(rng, hypothesis_length, alphabet), letters(rng, reference_length, alphabet))


@pytest.mark.parametrize("reference_length", [24, 25, 26, 49, 50, 51, 99, 100, 150])
def test_lengths_around_the_beam_width(reference_length: int) -> None:
    rng = random.Random(reference_length)
    for hypothesis_length in (1, 2, 3, 10, 25, 49, 50, 98, 101, 140):
        for alphabet in (2, 8, 40):
            both(letters(rng, hypothesis_length, alphabet), letters(rng, reference_length, alphabet))


def test_the_beam_binds_and_the_distance_is_still_the_peers() -> None:
    rng = random.Random(2)
    bound = 0
    for _ in range(60):
        reference = letters(rng, rng.randrange(60, 160), rng.choice([3, 10, 26]))
        cut = rng.randrange(len(reference))
        hypothesis = reference[cut:] + reference[:cut] + "Z" * rng.randrange(30)
        distance, unlimited = both(hypothesis, reference)
        bound += distance > unlimited
    assert bound > 10  # otherwise this would test nothing


def test_a_reference_hundreds_of_times_longer() -> None:
    rng = random.Random(3)
    for hypothesis_length, reference_length in ((1, 300), (2, 240), (3, 151), (3, 400), (240, 2), (300, 1)):
        both(letters(rng, hypothesis_length, 3), letters(rng, reference_length, 3))
