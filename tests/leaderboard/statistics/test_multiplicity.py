"""Corrections for many tests."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.errors import InputError
from telbench.leaderboard.statistics import sign_flip
from telbench.leaderboard.statistics.multiplicity import family, max_t, require_resolution

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
NAMES = {"holm": "holm", "bh": "fdr_bh", "by": "fdr_by"}


@given(P_VALUES, st.sampled_from(sorted(NAMES)))
@settings(max_examples=100, deadline=None)
def test_adjusted_values_agree_with_statsmodels(values, method):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    expected = multitest.multipletests(values, method=NAMES[method])[1]
    assert family("f", values, method).adjusted == pytest.approx(tuple(np.minimum(expected, 1)), abs=1e-12)


@given(P_VALUES, st.sampled_from(["holm", "bh", "by", "none"]))
@settings(max_examples=60, deadline=None)
def test_adjusting_never_lowers_a_value_and_keeps_their_order(values, method):
    adjusted = family("f", values, method).adjusted
    assert all(new is not None and new >= old - 1e-15 for old, new in zip(values, adjusted, strict=True))
    for (p, p_new), (q, q_new) in itertools.combinations(zip(values, adjusted, strict=True), 2):
        assert p_new is not None
        assert q_new is not None
        assert p_new <= q_new or p > q or p == q


def test_benjamini_and_hochbergs_own_example():
    # Table of section 3.2 of the paper of 1995: four of fifteen hypotheses are rejected at 0.05.
    values = [
        *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
        *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
    ]
    assert sum(p is not None and p <= 0.05 for p in family("f", values, "bh").adjusted) == 4
    assert sum(p is not None and p <= 0.05 for p in family("f", values, "holm").adjusted) == 3


def test_what_was_not_tested_does_not_count():
    found = family("f", [0.01, None, 0.04])
    assert (found.size, found.adjusted) == (2, (0.02, None, 0.04))


def test_too_few_resamples_for_a_family_are_refused_with_the_number_it_takes():
    # Fifty systems are 1,225 pairs.
    with pytest.raises(InputError, match="at least 24500"):
        require_resolution(10_000, 1225, 0.05)
    require_resolution(24_501, 1225, 0.05)


def test_max_t_is_less_strict_than_holm_where_tests_are_alike_and_exact_for_one():
    draw = np.random.default_rng(0)
    common = draw.normal(size=(40, 1)) + 0.35
    sums = common + 0.1 * draw.normal(size=(40, 8))
    raw = [sign_flip.two_sided(column) for column in sums.T]
    adjusted = max_t(sums, resamples=20_000)
    holm = family("f", raw).adjusted
    assert all(p + 0.003 >= q for p, q in zip(adjusted, raw, strict=True))
    assert sum(p < (q or 0) for p, q in zip(adjusted, holm, strict=True)) >= 6
    assert max_t(sums[:, :1], resamples=20_000)[0] == pytest.approx(raw[0], abs=0.005)


def test_max_t_is_the_maximum_over_all_sign_patterns():
    sums = np.array([[1.0, 2.0], [2.0, -1.0], [3.0, 0.5], [0.5, 1.5], [1.5, 1.0], [2.5, -0.5]])
    scaled = sums / np.sqrt((sums**2).sum(axis=0))
    highest = np.array(
        [np.abs(np.array(signs) @ scaled).max() for signs in itertools.product((-1, 1), repeat=len(sums))]
    )
    expected = [(highest >= observed - 1e-12).mean() for observed in np.abs(scaled.sum(axis=0))]
    assert max_t(sums, resamples=50_000) == pytest.approx(expected, abs=0.01)


def test_max_t_counts_each_resample_once_however_many_are_drawn_at_a_time():
    # So many clusters that the 50,000 patterns are drawn in two parts.
    sums = np.random.default_rng(3).normal(0.05, 1, (100, 1))
    assert max_t(sums, resamples=50_000) == pytest.approx([sign_flip.two_sided(sums[:, 0])], abs=0.01)
