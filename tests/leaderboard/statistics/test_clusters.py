"""Cluster-robust errors and correlations within clusters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from telbench.leaderboard.statistics.clusters import clustered, level_at_zero


def test_without_clusters_the_error_is_that_of_a_mean():
    values = np.random.default_rng(0).normal(size=50)
    data = clustered(values, None)
    assert data.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(50))
    assert data.design_effect == pytest.approx(1.0)
    assert data.effective_groups == 50


def test_the_error_agrees_with_cluster_robust_regression():
    formula = pytest.importorskip("statsmodels.api")
    draw = np.random.default_rng(1)
    groups = draw.integers(0, 12, 90)
    values = draw.normal(size=90) + draw.normal(size=12)[groups]
    fit = formula.OLS(values, np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})
    expected = float(fit.bse[0]) * np.sqrt(12 / 11)
    assert clustered(values, groups).standard_error == pytest.approx(expected, rel=1e-9)


def test_copies_within_a_cluster_are_worth_one_item():
    values = np.random.default_rng(2).normal(size=10)
    copies = clustered(np.repeat(values, 4), np.repeat(np.arange(10), 4))
    assert copies.standard_error == pytest.approx(clustered(values, None).standard_error)
    assert copies.intracluster_correlation == pytest.approx(1.0)
    # Four copies of each: the variance as if independent is four times too small, give or take n - 1.
    assert copies.design_effect == pytest.approx(4.0, rel=0.1)


def test_the_correlation_is_that_of_a_worked_example():
    # Three groups of two: MSB = 8, MSW = 0.5, n0 = 2: (8 - 0.5) / (8 + 0.5).
    data = clustered(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), np.array([0, 0, 1, 1, 2, 2]))
    assert data.intracluster_correlation == pytest.approx(7.5 / 8.5)


def test_unequal_clusters_count_for_fewer():
    data = clustered(np.zeros(10), np.array([0] * 8 + [1, 2]))
    assert data.effective_groups == pytest.approx(100 / (64 + 1 + 1))


def test_one_cluster_has_no_error():
    data = clustered(np.array([0.0, 1.0, 2.0]), np.zeros(3, int))
    assert (data.standard_error, data.design_effect, data.intracluster_correlation) == (None, None, None)


def test_one_item_has_no_spread():
    data = clustered(np.array([0.3]), None)
    assert (data.mean, data.deviation, data.standard_error, data.design_effect) == (0.3, None, None, None)


def test_the_correlation_of_unequal_clusters_follows_from_the_f_of_an_analysis_of_variance():
    groups = [[0.1, 0.4, 0.2, 0.5], [0.9, 0.7], [0.3, 0.2, 0.6]]
    data = clustered(np.concatenate(groups), np.repeat([0, 1, 2], [4, 2, 3]))
    f = float(stats.f_oneway(*groups).statistic)
    typical = (9 - (16 + 4 + 9) / 9) / 2
    assert data.intracluster_correlation == pytest.approx((f - 1) / (f + typical - 1))


def test_equal_differences_have_no_correlation_and_no_design_effect():
    data = clustered(np.full(6, 0.5), np.array([0, 0, 1, 1, 2, 2]))
    assert (data.intracluster_correlation, data.design_effect, data.standard_error) == (None, None, 0.0)


def test_two_clusters_and_two_items_are_enough_for_a_spread():
    data = clustered(np.array([0.0, 1.0]), None)
    assert (data.deviation, data.standard_error) == (pytest.approx(0.5**0.5), pytest.approx(0.5))
    assert clustered(np.array([0.0, 1.0, 4.0]), np.array([0, 0, 1])).intracluster_correlation is not None


def test_the_interval_covers_the_truth_at_its_level_with_documents_as_the_unit() -> None:
    """200 draws in which the items of a document share their error: 95 % of the intervals hold the true level."""
    draw, held = np.random.default_rng(1), 0
    for _ in range(200):
        documents = np.repeat(np.arange(40), 5)
        ratio = draw.normal(0.5, 1, 200) + draw.normal(0, 0.5, 40)[documents]
        values = 0.1 + 0.2 * ratio + draw.normal(0, 0.3, 40)[documents] + draw.normal(0, 0.3, 200)
        found = level_at_zero(values, ratio, [str(each) for each in documents])
        assert found is not None
        held += found.interval[0] <= 0.1 <= found.interval[1]
    assert 178 <= held <= 198


def test_errors_agree_with_cluster_robust_regression() -> None:
    formula = pytest.importorskip("statsmodels.api")
    draw = np.random.default_rng(2)
    groups = draw.integers(0, 15, 90)
    ratio = draw.normal(size=90)
    values = 0.3 * ratio + draw.normal(size=90) + draw.normal(size=15)[groups]
    fit = formula.OLS(values, formula.add_constant(ratio)).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    found = level_at_zero(values, ratio, [str(each) for each in groups])
    assert found is not None
    assert (found.at_zero, found.slope) == pytest.approx(tuple(fit.params))
    assert (found.p, found.p_slope) == pytest.approx(tuple(fit.pvalues))
    assert found.interval == pytest.approx(tuple(fit.conf_int()[0]))


def test_errors_are_those_of_the_formula_by_hand() -> None:
    """Five clusters of two, summed in plain loops."""
    draw = np.random.default_rng(3)
    ratio, values = draw.normal(size=10), draw.normal(size=10)
    found = level_at_zero(values, ratio, [str(place // 2) for place in range(10)])
    assert found is not None
    slope, level = np.polyfit(ratio, values, 1)
    assert (found.at_zero, found.slope) == pytest.approx((level, slope))
    rest = values - level - slope * ratio
    meat = np.zeros((2, 2))
    for group in range(5):
        row = sum(np.array([1.0, ratio[place]]) * rest[place] for place in (2 * group, 2 * group + 1))
        meat += np.outer(row, row)
    bread = np.linalg.inv(np.array([[10, ratio.sum()], [ratio.sum(), (ratio**2).sum()]]))
    variance = 5 / 4 * 9 / 8 * (bread @ meat @ bread)[0, 0]
    assert found.interval[1] - found.at_zero == pytest.approx(2.7764451 * np.sqrt(variance))


def test_a_covariate_that_hardly_varies_has_no_level() -> None:
    assert level_at_zero(np.arange(9, dtype=np.float64), np.ones(9), list("abcabcabc")) is None


def test_two_differences_have_no_level_since_every_line_fits_them() -> None:
    values = np.array([0.1, 0.4, 0.2])
    assert level_at_zero(values[:2], np.array([0.0, 1.0]), ["a", "b"]) is None
    assert level_at_zero(values, np.array([0.0, 1.0, 2.0]), ["a", "b", "c"]) is not None
