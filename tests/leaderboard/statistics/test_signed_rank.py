"""Wilcoxon's test against published answers and full enumeration, and where scipy is right or wrong."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from telbench.leaderboard.statistics.signed_rank import hodges_lehmann, signed_rank

# Demsar 2006, Table 2: AUC of C4.5 and C4.5+m on 14 data sets.
C45 = np.array(
    [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1, 0.940, 0.619, 0.972, 0.957], np.float64
)
C45M = np.array(
    [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1, 0.962, 0.666, 0.981, 0.978], np.float64
)
# The example of scipy's documentation: heights of cross- and self-fertilised plants (Darwin 1876).
DARWIN = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75], float)
TIED = st.lists(st.integers(-3, 3), min_size=1, max_size=10)


def enumerated(values: np.ndarray) -> float:
    """Two-sided p over all signs of the mid-ranks of the values other than 0."""
    used = values[values != 0]
    if not len(used):
        return 1.0
    ranks = stats.rankdata(np.abs(used))
    observed = ranks[used > 0].sum()
    totals = np.array([np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=len(used))])
    tails = (totals >= observed - 1e-9).mean(), (totals <= observed + 1e-9).mean()
    return min(1.0, 2 * min(tails))


def test_darwins_plants():
    found = signed_rank(DARWIN)
    assert (found.negative, found.p) == (24.0, 0.041259765625)


def test_demsars_table_2():
    found = signed_rank(np.round(C45M - C45, 6))
    assert (found.positive, found.negative, found.p) == (71.5, 6.5, 0.00732421875)


def test_ties_do_not_break_symmetry_between_the_runs():
    # scipy issue 19872.
    one = np.array([62, 66, 61, 68, 74, 62, 68, 62, 55, 59], float)
    other = np.array([71, 71, 69, 61, 75, 71, 77, 72, 62, 65], float)
    assert signed_rank(one - other).p == 0.015625
    assert signed_rank(other - one).p == 0.015625


@given(TIED)
@settings(max_examples=150, deadline=None)
def test_p_is_that_of_all_sign_patterns_ties_and_zeros_included(values):
    differences = np.asarray(values, float)
    assert signed_rank(differences).p == pytest.approx(enumerated(differences), abs=1e-12)


def test_balanced_and_absent_differences_have_p_one():
    # scipy issue 10223: version 1.2.1 gave 0.0154 for the first.
    assert signed_rank(np.array([1.0] * 15 + [0.0] * 40 + [-1.0] * 15)).p == 1.0
    assert signed_rank(np.zeros(20)).p == 1.0


@pytest.mark.parametrize("decimals", [1, 2, 12])
def test_large_samples_agree_with_scipy(decimals):
    values = np.round(np.random.default_rng(decimals).normal(0.05, 1, 900), decimals)
    expected: Any = stats.wilcoxon(values, method="asymptotic")
    found = signed_rank(values)
    assert min(found.positive, found.negative) == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2, 3, -100, -101], -0.2), ([-1, -2, -3, -4], -1.0), ([0, 0, 5], 1.0)],
)
def test_the_rank_biserial_correlation_keeps_its_sign(values, expected):
    assert signed_rank(np.asarray(values, float)).rank_biserial == pytest.approx(expected)


def test_no_difference_has_no_rank_biserial_correlation():
    assert signed_rank(np.zeros(3)).rank_biserial is None


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_hodges_lehmann_is_the_median_of_all_averages(values):
    averages = [(one + other) / 2 for i, one in enumerate(values) for other in values[i:]]
    assert hodges_lehmann(np.asarray(values, float)) == pytest.approx(float(np.median(averages)))


def test_hodges_lehmann_of_many_values_is_exact():
    values = np.random.default_rng(0).normal(size=1501)
    averages = ((values[:, None] + values[None, :]) / 2)[np.triu_indices(1501)]
    assert hodges_lehmann(values) == pytest.approx(float(np.median(averages)), abs=1e-12)


@pytest.mark.parametrize(("n", "method"), [(150, "exact"), (200, "exact"), (201, "normal")])
def test_up_to_two_hundred_differences_are_counted_out(n, method):
    values = np.random.default_rng(n).normal(0.12, 1, n)
    expected: Any = stats.wilcoxon(values, method="exact" if method == "exact" else "asymptotic")
    found = signed_rank(np.concatenate([values, np.zeros(50)]))
    assert (found.method, found.n_nonzero) == (method, n)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize("count", [199, 200, 201, 202, 203, 1504])
def test_hodges_lehmann_is_exact_around_the_count_where_averages_are_no_longer_made(count):
    values = np.random.default_rng(count).normal(size=count)
    averages = ((values[:, None] + values[None, :]) / 2)[np.triu_indices(count)]
    assert hodges_lehmann(values) == pytest.approx(float(np.median(averages)), abs=1e-12)


def test_a_median_that_is_the_smallest_value_is_that_value():
    # Of 2,089 values 1,477 are the smallest: just the lower half of all averages, the middle one included.
    assert 2 * (1477 * 1478 // 2) == 2089 * 2090 // 2 + 1
    values = np.array([1.0] * (2089 - 1477) + [0.1] * 1477)
    assert hodges_lehmann(values) == 0.1
    assert hodges_lehmann(-values) == -0.1


@pytest.mark.parametrize("zeros", [0, 900, 3000])
def test_hodges_lehmann_of_many_ties_is_exact_and_takes_few_counts(zeros, monkeypatch):
    draw = np.random.default_rng(6)
    values = np.append(np.round(draw.normal(0, 0.2, 1700), 9), np.zeros(zeros))
    averages = ((values[:, None] + values[None, :]) / 2)[np.triu_indices(len(values))]
    counts = []
    searchsorted = np.searchsorted
    monkeypatch.setattr(np, "searchsorted", lambda *given, **more: counts.append(1) or searchsorted(*given, **more))
    found = hodges_lehmann(values)
    assert found == pytest.approx(float(np.median(averages)), abs=1e-12)
    # Towards 0 a search that halves distances takes a thousand.
    assert len(counts) <= 2 * 66


def test_hodges_lehmann_of_right_or_wrong_counts_pairs_of_three_values():
    draw = np.random.default_rng(7)
    for chances in ((0.1, 0.8, 0.1), (0.05, 0.2, 0.75), (0.6, 0.39, 0.01), (0.3, 0.0, 0.7)):
        values = draw.choice([-1.0, 0.0, 1.0], 2500, p=chances)
        averages = ((values[:, None] + values[None, :]) / 2)[np.triu_indices(2500)]
        assert hodges_lehmann(values) == float(np.median(averages))


@pytest.mark.parametrize(
    ("kind", "count"),
    [("normal", 2000), ("cauchy", 1999), ("tiny", 1200), ("far apart", 1100), ("half zero", 1500), ("above 0", 900)],
)
def test_the_median_of_all_averages_is_found_to_the_last_bits_whatever_the_scale(kind: str, count: int) -> None:
    draw = np.random.default_rng(count)
    values = {
        "normal": lambda: draw.normal(0.05, 0.3, count),
        "cauchy": lambda: draw.standard_cauchy(count),
        "tiny": lambda: 1e-9 * draw.normal(size=count),
        "far apart": lambda: np.concatenate([draw.normal(-100, 1, count // 2), draw.normal(100, 1, count // 2)]),
        "half zero": lambda: np.where(draw.random(count) < 0.5, 0.0, draw.normal(0.1, 1, count)),
        "above 0": lambda: 5 + 1e-3 * draw.random(count),
    }[kind]()
    averages = np.sort(((values[:, None] + values[None, :]) / 2)[np.triu_indices(len(values))])
    middle = (averages[(len(averages) - 1) // 2] + averages[len(averages) // 2]) / 2
    # An average of large values is known to their last bit, not to its own.
    assert abs(hodges_lehmann(values) - middle) <= 2 * np.spacing(np.abs(values).max())
