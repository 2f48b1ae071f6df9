"""The error of a part: verdicts against statsmodels and scipy, and shares against all pairs one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from telbench.harness.subset.error import compared_with_chance, left_out, verdict_of

from .test_choose import past


def test_with_documents_of_one_size_a_verdict_is_that_of_statsmodels() -> None:
    import statsmodels.api as sm

    draw, documents, found = np.random.default_rng(0), np.repeat(np.arange(12), 4), []
    for _ in range(300):
        own = draw.normal(draw.choice([-0.8, 0.0, 0.8]), 1, 12)[documents]
        differences = np.round(own + draw.normal(0, 0.5, 48), 1)
        fit: Any = sm.OLS(differences, np.ones(48)).fit(
            cov_type="cluster", cov_kwds={"groups": documents, "use_correction": True}, use_t=True
        )
        expected = int(np.sign(differences.mean())) if fit.pvalues[0] < 0.05 else 0
        found.append(verdict_of(differences, documents))
        assert found[-1] == expected
    assert min(found.count(each) for each in (-1, 0, 1)) > 30


def test_with_documents_of_other_sizes_it_has_fewer_degrees_of_freedom() -> None:
    draw, sizes = np.random.default_rng(1), np.array([20, 9, 6, 5, 3, 3, 2, 1, 1])
    documents, found = np.repeat(np.arange(9), sizes), []
    for _ in range(400):
        differences = np.round(draw.normal(0, 1, 9)[documents] + draw.normal(0.8, 1, 50), 1)
        rest = differences - differences.mean()
        variance = 9 / 8 * sum(rest[documents == each].sum() ** 2 for each in range(9)) / 50**2
        tail = stats.t.sf(abs(differences.mean()) / variance**0.5, 50**2 / (sizes**2).sum() - 1)
        found.append(verdict_of(differences, documents))
        assert found[-1] == (int(np.sign(differences.mean())) if 2 * tail < 0.05 else 0)
    assert min(found.count(0), found.count(1)) > 50


def test_one_document_or_five_items_show_nothing() -> None:
    assert verdict_of(np.ones(50) + np.arange(50) / 50, np.zeros(50, int)) == 0
    few = np.r_[np.full(5, 0.9), np.zeros(5)]
    assert verdict_of(few, np.arange(10)) == 0
    assert verdict_of(np.r_[0.9, few], np.arange(11)) == 1
    assert verdict_of(-np.r_[0.9, few], np.arange(11)) == -1


def test_agreement_is_a_share_of_all_pairs_with_the_run_that_was_left_out() -> None:
    scores, documents = past(6, 120, seed=7), np.arange(120) // 2

    def choose(given: np.ndarray) -> np.ndarray:
        # Another part for each run that is left out.
        return np.flatnonzero(np.random.default_rng(int(given.sum())).random(120) < 0.4)

    same = opposite = 0
    for run in range(6):
        places = choose(np.delete(scores, run, axis=0))
        for other in set(range(6)) - {run}:
            rest = scores[run] - scores[other]
            whole, part = verdict_of(rest, documents), verdict_of(rest[places], documents[places])
            same, opposite = same + (whole == part), opposite + (whole * part < 0)
    found = left_out(scores, documents, choose)
    assert 0 < same < 30
    assert (found.agreement, found.opposite) == pytest.approx((same / 30, opposite / 30))


def test_verdicts_that_turn_round_are_counted() -> None:
    # The first half of the items says the contrary of the whole.
    high = np.r_[np.zeros(40), np.ones(80)]
    scores = np.stack([high, 1 - high])
    found = left_out(scores, np.arange(120), lambda given: np.arange(60))
    assert (found.agreement, found.opposite, found.rank_correlation) == (0, 1, pytest.approx(-1))


def test_ranks_of_runs_that_do_not_differ_are_undefined() -> None:
    scores = np.tile(np.r_[np.ones(10), np.zeros(10)], (3, 1))
    assert left_out(scores, np.arange(20), lambda given: np.arange(8)).rank_correlation is None
    # All alike on the part, not on the whole.
    scores[0, -1] = 1
    assert left_out(scores, np.arange(20), lambda given: np.arange(8)).rank_correlation is None


def test_random_parts_are_told_by_their_means() -> None:
    scores, documents = past(5, 80, seed=9), np.arange(80)
    both = [
        compared_with_chance(scores, documents, [None] * 80, 20, np.random.default_rng(seed), repeats=6)
        for seed in (1, 2)
    ]
    for chosen, random in both:
        assert random.mean < random.largest < 0.5
        assert chosen.mean < random.largest
        assert random.rank_correlation is not None
        assert 0 < random.rank_correlation < 1
        assert 0 <= random.opposite <= random.agreement <= 1
