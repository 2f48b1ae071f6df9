"""Corrections for many tests."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.leaderboard.statistics.multiplicity import family, holm, holm_levels

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
NAMES = {"holm": "holm", "bh": "fdr_bh"}


@given(P_VALUES, st.sampled_from(sorted(NAMES)))
@settings(max_examples=100, deadline=None)
def test_adjusted_values_agree_with_statsmodels(values, method):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    expected = multitest.multipletests(values, method=NAMES[method])[1]
    assert family("f", values, method).adjusted == pytest.approx(tuple(np.minimum(expected, 1)), abs=1e-12)


@given(P_VALUES, st.sampled_from(sorted(NAMES)))
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


def test_an_interval_at_holms_level_leaves_0_out_exactly_where_holm_rejects():
    draw = np.random.default_rng(3)
    for _ in range(200):
        values = (draw.random(6) ** 3).tolist()
        for p, adjusted, level in zip(values, holm(values), holm_levels(values), strict=True):
            assert (p <= level) == (adjusted <= 0.05)
    assert holm_levels([0.01], 0.1) == [0.1]
    assert holm_levels([0.5, 0.001, 0.5]) == pytest.approx([0.025, 0.05 / 3, 0.025])
