"""Where scipy and statsmodels are not right, and what is: why telbench counts for itself.

A test that fails here may be good news: then the other package has been mended, and the test and docs/statistics.md go.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

from telbench.leaderboard.statistics import signed_rank
from telbench.leaderboard.statistics.paired import differences_of, mcnemar, paired_difference

from .test_signed_rank import C45, C45M

TABLE_2 = np.round(C45M - C45, 6)


def by_all_signs(values: np.ndarray) -> float:
    """Two-sided p over all signs of differences none of which is 0, by their mid-ranks."""
    ranks = stats.rankdata(np.abs(values))
    observed = ranks[values > 0].sum()
    totals = np.array([np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=len(ranks))])
    return float(min(1.0, 2 * min((totals >= observed - 1e-9).mean(), (totals <= observed + 1e-9).mean())))


def test_scipys_exact_pratt_test_calls_a_run_different_from_itself():
    found: Any = stats.wilcoxon(np.zeros(20), zero_method="pratt", method="exact")
    assert found.pvalue < 1e-5
    assert signed_rank.signed_rank(np.zeros(20)).p == 1.0


def test_statsmodels_corrected_mcnemar_test_calls_a_run_different_from_itself():
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    with np.errstate(divide="ignore"):
        found = tables.mcnemar([[50, 0], [0, 22]], exact=False, correction=True)
    assert found.pvalue == 0.0
    assert mcnemar(0, 0).p_exact == 1.0


def test_scipys_exact_method_knows_neither_ties_nor_zeros():
    right = by_all_signs(TABLE_2[TABLE_2 != 0])
    found: Any = stats.wilcoxon(TABLE_2, zero_method="wilcox", method="exact")
    assert found.pvalue > 1.2 * right
    assert signed_rank.signed_rank(TABLE_2).p == pytest.approx(right, rel=1e-12)


def test_scipys_form_of_two_samples_breaks_ties_by_round_off():
    run, other = np.array([0.5, 0.825, 0.375, 0.5]), np.array([0.525, 0.775, 0.325, 0.55])
    found: Any = stats.wilcoxon(run, other, alternative="greater")
    assert (found.statistic, found.pvalue) == (5.0, 0.5625)
    assert signed_rank.signed_rank(differences_of(run, other)).positive == 6.0


def test_neither_knows_clusters():
    # Forty documents whose five items agree: worth forty items, not two hundred.
    values = np.repeat(0.28 + stats.norm.ppf((np.arange(40) + 0.5) / 40), 5)
    naive: Any = stats.wilcoxon(values)
    found = paired_difference(values, [f"d{index // 5}" for index in range(200)])
    assert naive.pvalue < 0.01
    assert found.p_wilcoxon > 0.05
