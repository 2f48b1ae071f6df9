"""chrF: hand-worked values, the choice among references, and rows of statistics."""

from __future__ import annotations

import numpy as np
import pytest
from sacrebleu.metrics.chrf import CHRF

from telbench.metrics.contract import Sample
from telbench.metrics.ngram.chrf import chrf, chrf_scores


def score(prediction: str, *references: str):
    return chrf.score([Sample("x", prediction, references)])[0]


def test_a_hand_worked_value() -> None:
    # Order 1: 2 of 3 and 2 of 2; order 2: 1 of 2 and 1 of 1; the reference has no longer n-grams.
    found = score("abc", "ab")
    assert found.stats == (3, 2, 2, 2, 1, 1, *(0,) * 12)
    precision, recall = (2 / 3 + 1 / 2) / 2, 1.0
    assert found.value == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


def test_white_space_does_not_count() -> None:
    assert score("hand over", "handover").value == score("a\u00a0b\n", " a b").value == 100.0


def test_the_best_reference_gives_the_statistics_and_of_equals_the_first() -> None:
    assert score("abcd", "xyz", "abce", "abcd").value == 100.0
    assert score("ab", "ax", "bx").stats == score("ab", "ax").stats
    assert score("", "first", "longer second").stats == score("", "first").stats


@pytest.mark.parametrize(("prediction", "reference"), [("", "a"), ("a", ""), ("", ""), (" \n", "\t"), ("a", "b")])
def test_nothing_shared_scores_zero(prediction: str, reference: str) -> None:
    assert score(prediction, reference).value == 0.0


def test_rows_of_statistics_are_scored_independently() -> None:
    rng = np.random.default_rng(0)
    samples = [Sample(str(i), "".join(rng.choice(list("abc "), 12)), ("abcab", "cab")) for i in range(20)]
    rows = np.array([found.stats for found in chrf.score(samples)])
    resamples = np.stack([rows[rng.integers(0, 20, 20)].sum(axis=0) for _ in range(50)] + [np.zeros(18)])
    together = chrf_scores(resamples)
    assert together.shape == (51,)
    assert together.tolist() == [chrf_scores(row[None])[0] for row in resamples]
    peer = CHRF()
    for row, found in zip(resamples.astype(int).tolist(), together, strict=True):
        assert peer._compute_f_score(row) == pytest.approx(found, abs=1e-9)
