"""TER: edits with shifts, corner cases, and the limits of the search."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sacrebleu.metrics.lib_ter import translation_edit_rate

from telbench.metrics.contract import Sample
from telbench.metrics.ngram.edits.many import edits as edits_of
from telbench.metrics.ngram.ter import ter, ter_scores


def edits(hypothesis: list[str], reference: list[str]) -> int:
    return edits_of([(hypothesis, reference)])[0]


def score(prediction: str, *references: str):
    return ter.score([Sample("x", prediction, references)])[0]


def test_the_example_of_the_ter_paper() -> None:
    # Snover et al. (2006), section 2: a shift, two substitutions and an insertion for 13 words.
    reference = "SAUDI ARABIA denied THIS WEEK information published in the AMERICAN new york times"
    hypothesis = "THIS WEEK THE SAUDIS denied information published in the new york times"
    found = score(hypothesis, reference)
    assert found.stats == (4, 13)
    assert found.value == pytest.approx(100 * 4 / 13)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        ("a b c", "a b c", 0),
        ("c d a b", "a b c d", 1),
        ("", "a b", 2),
        ("a b", "", 2),
        ("", "", 0),
        ("x y z", "a b c d", 4),
        ("b a", "a b", 1),
    ],
)
def test_small_numbers_of_edits(hypothesis: str, reference: str, expected: int) -> None:
    assert edits(hypothesis.split(), reference.split()) == expected


@pytest.mark.parametrize(("prediction", "value"), [("", 0.0), ("   ", 0.0), ("some words", 100.0)])
def test_an_empty_reference(prediction: str, value: float) -> None:
    assert score(prediction, "").value == value


def test_the_nearest_reference_counts_and_the_mean_length_divides() -> None:
    found = score("A b", "a b", "a b c d")
    assert found.stats == (0, 3)
    assert score("a x", "a b", "a b c d").value == pytest.approx(100 / 3)


def test_a_text_with_more_shifts_than_may_be_tried_agrees() -> None:
    rng = random.Random(4)
    for size in (20, 40):
        reference = [rng.choice("ab") for _ in range(size)]
        hypothesis = reference[size // 2 :] + reference[: size // 2]
        assert edits(hypothesis, reference) == translation_edit_rate(hypothesis, reference)[0]


def test_long_texts_moved_farther_than_the_beam_agree() -> None:
    rng = random.Random(5)
    for words in (60, 400):
        reference = [str(rng.randrange(words)) for _ in range(70)]
        hypothesis = reference[32:] + reference[:30]
        assert edits(hypothesis, reference) == translation_edit_rate(hypothesis, reference)[0]


def test_thousands_of_words_take_less_than_seconds() -> None:
    rng = random.Random(6)
    reference = [str(rng.randrange(3000)) for _ in range(3000)]
    hypothesis = reference[:1000] + reference[1010:]
    assert edits(hypothesis, reference) == 10


def test_rows_of_statistics_are_scored_independently() -> None:
    rows = np.array([[3.0, 12.0], [0.0, 5.0], [2.0, 0.0], [0.0, 0.0], [9.0, 4.5]])
    assert ter_scores(rows).tolist() == [25.0, 0.0, 100.0, 0.0, 200.0]
