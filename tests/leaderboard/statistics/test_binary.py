"""Exact tests of right and wrong."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from scipy import stats

from telbench.leaderboard.statistics.paired import mcnemar, paired_difference_interval
from telbench.leaderboard.statistics.signed_rank import signed_rank


@pytest.mark.parametrize(("gained", "lost"), [(20, 8), (0, 5), (7, 7), (1, 0), (300, 260)])
def test_the_exact_test_is_the_binomial_test(gained, lost):
    assert mcnemar(gained, lost).p_exact == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)


@pytest.mark.parametrize(("gained", "lost"), [(20, 8), (0, 5), (1, 0), (300, 260), (6200, 5800)])
def test_mid_p_takes_half_of_the_observed_count_off(gained, lost):
    fewer, total = min(gained, lost), gained + lost
    wanted = 2 * stats.binom.cdf(fewer, total, 0.5) - stats.binom.pmf(fewer, total, 0.5)
    assert mcnemar(gained, lost).p_mid == pytest.approx(wanted, rel=1e-10)


def test_the_exact_test_agrees_with_statsmodels():
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    expected: Any = tables.mcnemar([[50, 20], [8, 22]], exact=True)
    assert mcnemar(20, 8).p_exact == pytest.approx(expected.pvalue)


def test_the_mid_p_value_of_a_published_example():
    # Fagerland, Lydersen and Laake 2013, airway hyper-responsiveness: 1 and 7 discordant pairs.
    found = mcnemar(7, 1)
    assert found.p_exact == pytest.approx(0.070, abs=5e-4)
    assert found.p_mid == pytest.approx(0.039, abs=5e-4)


def test_wilcoxon_on_binary_data_is_the_sign_test_without_correction():
    differences = np.concatenate([np.ones(20), -np.ones(8), np.zeros(72)])
    found: Any = stats.wilcoxon(differences, method="asymptotic")
    assert found.pvalue == pytest.approx(0.0233, abs=5e-5)
    assert mcnemar(20, 8).p_exact == pytest.approx(0.0357, abs=5e-5)
    assert signed_rank(differences).p == pytest.approx(mcnemar(20, 8).p_exact)


def test_many_pairs_cost_no_more_than_few():
    begun = time.process_time()
    assert mcnemar(6200, 5800).p_exact == pytest.approx(stats.binomtest(6200, 12_000).pvalue, rel=1e-9)
    # It took 11 s; a cold import of scipy takes less than one.
    assert time.process_time() - begun < 2


def test_a_p_value_too_small_for_a_number_is_a_bound_and_never_0():
    assert (mcnemar(12_000, 0).p_exact, mcnemar(12_000, 0).p_mid) == (1e-300, 1e-300)


def test_no_discordant_pair_is_no_evidence():
    assert (mcnemar(0, 0).p_exact, mcnemar(0, 0).p_mid) == (1.0, 1.0)


def test_the_interval_covers_the_true_difference():
    draw = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        outcomes = draw.choice([1, 0, -1], 60, p=[0.2, 0.7, 0.1])
        low, high = paired_difference_interval(int((outcomes > 0).sum()), int((outcomes < 0).sum()), 60)
        covered += low <= 0.1 <= high
    # 95 % of 1,000, give or take four standard errors.
    assert abs(covered - 950) < 4 * math.sqrt(1000 * 0.95 * 0.05)
