"""Answers that others have published, each with its source; docs/statistics.md lists them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from telbench.leaderboard.statistics import sign_flip, signed_rank
from telbench.leaderboard.statistics.clusters import clustered
from telbench.leaderboard.statistics.multiplicity import holm
from telbench.leaderboard.statistics.paired import differences_of, mcnemar, paired_difference
from telbench.leaderboard.statistics.ranks import conover, critical_difference, friedman
from telbench.leaderboard.statistics.recipes import matched_seeds
from telbench.leaderboard.statistics.signed_rank import hodges_lehmann

from .test_ranks import TABLE_6
from .test_signed_rank import C45, C45M, DARWIN

# Student 1908, hours of sleep gained with two drugs by ten patients.
SLEEP = np.array(
    [[0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0], [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]]
)


def test_fishers_randomisation_of_darwins_plants():
    """Fisher 1935, The Design of Experiments, section 21: 863 of 32,768 sign patterns reach the total of 314."""
    assert DARWIN.sum() == 314
    assert sign_flip.greater(DARWIN) == 863 / 32_768
    assert sign_flip.two_sided(DARWIN) == 1726 / 32_768


def test_fishers_t_of_darwins_plants():
    """Fisher 1935, section 17: t = 2.148 on the fifteen differences."""
    data = clustered(DARWIN, None)
    assert data.standard_error is not None
    assert data.mean / data.standard_error == pytest.approx(2.148, abs=5e-4)


def test_depression_scores_before_and_after_therapy():
    """Hollander and Wolfe 1973, section 3.1 (R's wilcox.test, first example): V = 40, one-sided p = 0.01953."""
    first = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    second = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    differences = differences_of(first, second)
    found = signed_rank.signed_rank(differences)
    assert found.positive == 40
    assert found.p / 2 == pytest.approx(0.01953, abs=5e-6)
    # Their section 3.2: the estimate of the shift.
    assert hodges_lehmann(differences) == pytest.approx(0.46, abs=5e-3)


def test_rounding_first_base():
    """Hollander and Wolfe 1973, table 7.1 (R's friedman.test): chi-squared = 11.143 on 2 degrees, p = 0.003805."""
    times = [
        *(5.40, 5.50, 5.55, 5.85, 5.70, 5.75, 5.20, 5.60, 5.50, 5.55, 5.50, 5.40, 5.90, 5.85, 5.70, 5.45, 5.55, 5.60),
        *(5.40, 5.40, 5.35, 5.45, 5.50, 5.35, 5.25, 5.15, 5.00, 5.85, 5.80, 5.70, 5.25, 5.20, 5.10, 5.65, 5.55, 5.45),
        *(5.60, 5.35, 5.45, 5.05, 5.00, 4.95, 5.50, 5.50, 5.40, 5.45, 5.55, 5.50, 5.55, 5.55, 5.35, 5.45, 5.50, 5.55),
        *(5.50, 5.45, 5.25, 5.65, 5.60, 5.40, 5.70, 5.65, 5.55, 6.30, 6.30, 6.25),
    ]
    found = friedman(-np.array(times).reshape(22, 3))
    assert found.chi_square == pytest.approx(11.143, abs=5e-4)
    assert found.p == pytest.approx(0.003805, abs=5e-7)


def test_four_grasses_and_twelve_gardeners():
    """Conover 1999, section 5.8, example 1: T1 = 8.097, T2 = 3.19; grass 1 differs from grasses 2 and 3."""
    rows = [
        *((4, 3, 2, 1), (4, 2, 3, 1), (3, 1.5, 1.5, 4), (3, 1, 2, 4), (4, 2, 1, 3), (2, 2, 2, 4)),
        *((1, 3, 2, 4), (2, 4, 1, 3), (3.5, 1, 2, 3.5), (4, 1, 3, 2), (4, 2, 3, 1), (3.5, 1, 2, 3.5)),
    ]
    ranks = np.array(rows, float)
    found = friedman(-ranks)
    assert (np.array(found.mean_ranks) * 12).tolist() == pytest.approx([38, 23.5, 24.5, 34])
    assert found.chi_square == pytest.approx(8.0973, abs=5e-4)
    assert found.f == pytest.approx(3.1922, abs=5e-4)
    assert conover(-ranks)[0][1] < conover(-ranks)[0][2] < conover(-ranks)[0][3]


def test_the_third_friedman_example_of_scipys_tests():
    """scipy's own test of friedmanchisquare, third example: 10.68, p = 0.0135882729582176."""
    columns = [
        *([7.0, 9.9, 8.5, 5.1, 10.3], [5.3, 5.7, 4.7, 3.5, 7.7]),
        *([4.9, 7.6, 5.5, 2.8, 8.4], [8.8, 8.9, 8.1, 3.3, 9.1]),
    ]
    found = friedman(np.array(columns).T)
    assert (found.chi_square, found.p) == pytest.approx((10.68, 0.0135882729582176))


def test_agreement_of_four_judges():
    """Shrout and Fleiss 1979, table 2 and 4: six targets, four judges, ICC(1,1) = 0.17."""
    ratings = np.array([9, 2, 5, 8, 6, 1, 3, 2, 8, 4, 6, 8, 7, 1, 2, 6, 10, 5, 6, 9, 6, 2, 4, 7], float)
    data = clustered(ratings, np.repeat(np.arange(6), 4))
    assert data.intracluster_correlation == pytest.approx(0.17, abs=5e-3)


def test_students_sleep_paired():
    """Student 1908 (R's t.test of `sleep`): paired p = 0.002833, interval 0.7001142 to 2.4598858."""
    found = matched_seeds((SLEEP[1] - SLEEP[0]).tolist())
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.7001142, 2.4598858), abs=5e-8)


def test_demsars_statistics_of_table_6():
    """Demsar 2006, section 3.2: F_F = 3.69 of chi-squared 9.28; with the literal tie 3.986667 and W = 0.260771."""
    tied = TABLE_6.copy()
    tied[12, 2] = 0.975
    for table, f in ((TABLE_6, 3.686313), (tied, 3.986667)):
        plain = friedman(table).chi_square_uncorrected
        assert 13 * plain / (14 * 3 - plain) == pytest.approx(f, abs=1e-6)
    found = friedman(tied)
    assert (found.p, found.f, found.kendall_w) == pytest.approx((0.011986, 4.585890, 0.260771), abs=1e-6)


def test_demsars_comparison_with_a_control():
    """Demsar 2006, section 3.2.2: z of C4.5 against the others, Holm's p, Bonferroni-Dunn's critical differences."""
    control, *others = friedman(TABLE_6).mean_ranks
    error = math.sqrt(4 * 5 / (6 * 14))
    z = [(control - rank) / error for rank in others]
    assert z == pytest.approx([2.342160, 0.512348, 2.415353], abs=1e-5)
    raw = [math.erfc(abs(each) / math.sqrt(2)) for each in z]
    assert raw == pytest.approx([0.019172, 0.608408, 0.015720], abs=1e-6)
    assert holm(raw) == pytest.approx([0.047160, 0.608408, 0.047160], abs=1e-6)
    for alpha, distance in ((0.05, 1.168143), (0.10, 1.038380)):
        assert sign_flip.normal_quantile(1 - alpha / 6) * error == pytest.approx(distance, abs=1e-5)


@pytest.mark.parametrize(
    ("k", "q"),
    list(zip(range(2, 11), (1.6449, 2.0523, 2.2913, 2.4595, 2.5885, 2.6927, 2.7799, 2.8546, 2.9199), strict=True)),
)
def test_nemenyis_quantiles_at_ten_percent(k, q):
    """Demsar 2006, table 5(a), lower row (there with three decimals)."""
    assert critical_difference(k, 20, 0.10) / math.sqrt(k * (k + 1) / 120) == pytest.approx(q, abs=1e-4)


def test_demsars_table_2_by_the_normal_approximation(monkeypatch):
    """scipy 1.17 (method "asymptotic") on table 2 of Demsar 2006."""
    monkeypatch.setattr(signed_rank, "EXACT", 0)
    assert signed_rank.signed_rank(np.round(C45M - C45, 6)).p == pytest.approx(0.01075713, abs=5e-9)


def test_darwins_plants_by_the_normal_approximation(monkeypatch):
    """scipy's documentation of wilcoxon: p = 0.04088813291185591 by the normal approximation."""
    monkeypatch.setattr(signed_rank, "EXACT", 0)
    assert signed_rank.signed_rank(DARWIN).p == pytest.approx(0.04088813291185591, rel=1e-9)


def test_demsars_sign_test():
    """Demsar 2006, tables 2 and 3: 10 wins, 2 losses and 2 ties on 14 data sets."""
    found = paired_difference(differences_of(C45M, C45))
    assert (found.wins, found.losses, found.ties) == (10, 2, 2)
    assert mcnemar(10, 2).p_exact == pytest.approx(stats.binomtest(10, 12).pvalue)


def test_rounding_before_ranking():
    """scipy's documentation of wilcoxon: W = 5.0 by round-off, 6.0 with differences rounded."""
    run, other = np.array([0.5, 0.825, 0.375, 0.5]), np.array([0.525, 0.775, 0.325, 0.55])
    assert signed_rank.signed_rank(run - other).positive == 5.0
    assert signed_rank.signed_rank(differences_of(run, other)).positive == 6.0


def test_twenty_wins_of_thirty():
    """The pair that Nemenyi's test calls anything (test_ranks.py): exact sign test, 0.098737 whoever is there."""
    assert mcnemar(20, 10).p_exact == pytest.approx(0.098737, abs=1e-6)
