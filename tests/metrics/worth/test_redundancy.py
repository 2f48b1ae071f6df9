"""Rank correlations equal scipy's, and a voice holds only metrics that all rank alike."""

from __future__ import annotations

import random
from typing import Any

import pytest
from scipy.stats import spearmanr

from telbench.metrics.worth.redundancy import rank_correlations, voices


def test_correlations_are_spearmans_over_the_answers_that_both_have() -> None:
    draw = random.Random(0)
    one = [draw.random() for _ in range(60)]
    other = [round(value + draw.gauss(0, 0.3), 1) for value in one]
    holes = [None if place % 7 == 0 else value for place, value in enumerate(other)]
    found = rank_correlations({"one": one, "other": holes})
    kept = [place for place in range(60) if holes[place] is not None]
    result: Any = spearmanr([one[place] for place in kept], [other[place] for place in kept])
    assert found == {("one", "other"): pytest.approx(float(result.statistic))}


def test_a_constant_or_few_common_answers_have_no_correlation() -> None:
    many = [float(value) for value in range(30)]
    assert rank_correlations({"one": many, "constant": [1.0] * 30}) == {}
    assert rank_correlations({"one": many, "few": [None] * 21 + many[:9]}) == {}


def test_a_chain_of_metrics_is_not_one_voice() -> None:
    near = {("a", "b"): 0.95, ("b", "c"): 0.95, ("a", "c"): 0.5, ("a", "d"): -1.0}
    assert sorted(map(sorted, voices(["a", "b", "c", "d"], near))) in (
        [["a", "b"], ["c"], ["d"]],
        [["a"], ["b", "c"], ["d"]],
    )
    assert voices(["a", "b"], {("a", "b"): 0.9}) == [["a", "b"]]
    assert voices(["a"], {}) == [["a"]]
    assert voices(["a", "b"], {}) == [["a"], ["b"]]
