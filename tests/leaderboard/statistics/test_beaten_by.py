"""Who is beaten at no higher cost: pair by pair the same as the cluster-robust t interval of the paired difference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from telbench.leaderboard.statistics.all_pairs import beaten_by
from telbench.leaderboard.statistics.clusters import clustered


@pytest.mark.parametrize("seed", range(6))
def test_beaten_where_the_interval_of_the_paired_difference_excludes_0(seed: int) -> None:
    draw = np.random.default_rng(seed)
    items, runs = 240, 6
    clusters = [f"d{number}" for number in draw.integers(0, 30, items)]
    shared = draw.normal(0, 1, items)
    scores = np.array([shared + draw.normal(0.06 * run, 0.5, items) for run in range(runs)])
    costs = draw.integers(1, 4, runs).astype(float).tolist()
    found = beaten_by(scores, clusters, costs)
    for run in range(runs):
        ahead = []
        for other in range(runs):
            data = clustered(scores[other] - scores[run], clusters)
            assert data.standard_error is not None or other == run
            low = data.mean - stats.t.ppf(0.975, data.effective_groups - 1) * (data.standard_error or 0.0)
            if other != run and costs[other] <= costs[run] and low > 0:
                ahead.append(other)
        assert found[run] == (max(ahead, key=lambda other: scores[other].mean()) if ahead else None)


def test_a_run_is_not_beaten_by_a_dearer_one() -> None:
    scores = np.array([np.zeros(40), np.ones(40) + np.arange(40) / 100])
    clusters = [str(i) for i in range(40)]
    assert beaten_by(scores, clusters, [1.0, 2.0]) == [None, None]
    assert beaten_by(scores, clusters, [2.0, 1.0]) == [1, None]
    # Measured to 5 %: 1.00 and 1.02 ms are not told apart, and neither are they when the better run is the faster.
    assert beaten_by(scores, clusters, [1.02, 1.0], noise=0.05) == [None, None]
    assert beaten_by(scores, clusters, [1.11, 1.0], noise=0.05) == [1, None]


def test_overlapping_intervals_may_beat_and_items_without_a_score_are_left_out() -> None:
    draw = np.random.default_rng(0)
    hard = draw.normal(0, 5, 60)
    scores = np.array([hard, hard + 0.2 + draw.normal(0, 0.1, 60), hard])
    scores[2, :10] = np.nan
    assert beaten_by(scores, [str(i) for i in range(60)], [1.0, 1.0, 1.0]) == [1, None, 1]


def test_few_documents_beat_nobody() -> None:
    scores = np.array([np.zeros(50), np.ones(50)])
    assert beaten_by(scores, [str(i % 5) for i in range(50)], [1.0, 1.0]) == [None, None]
    assert beaten_by(np.full((2, 50), np.nan), [str(i) for i in range(50)], [1.0, 1.0]) == [None, None]


def test_the_reach_is_that_of_t_with_one_degree_less_than_there_are_documents() -> None:
    # Eight documents with differences that a t of 7 degrees (2.365) just finds, or a t of 8 (2.306) alone.
    shape = np.array([1, -1, 1, -1, 1, -1, 1, -1], float)
    error = np.std(shape, ddof=1) / np.sqrt(8)
    for factor, expected in ((2.37, 1), (2.34, None)):
        scores = np.array([np.zeros(8), shape + factor * error])
        assert beaten_by(scores, [str(i) for i in range(8)], [1.0, 1.0])[0] == expected


def test_six_documents_are_enough_and_of_equal_runs_the_first_named_is_told() -> None:
    scores = np.array([np.zeros(6), np.ones(6), np.ones(6)])
    assert beaten_by(scores, [str(i) for i in range(6)], [1.0, 1.0, 1.0]) == [1, None, None]
