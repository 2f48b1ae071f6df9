"""All pairs at once say what each pair alone says."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

from telbench.leaderboard.statistics.all_pairs import all_pairs
from telbench.leaderboard.statistics.multiplicity import holm
from telbench.leaderboard.statistics.paired import differences_of, paired_difference
from telbench.leaderboard.statistics.signed_rank import signed_rank, signed_ranks


def board(values: np.ndarray, membership: np.ndarray):
    sums = np.array([np.bincount(membership, weights=row) for row in values], np.float64)
    return all_pairs(sums, np.bincount(membership).astype(float))


@pytest.mark.parametrize("documents", [20, 37, 400])
@pytest.mark.parametrize("decimals", [0, 2, 9])
def test_a_pair_of_the_board_is_the_pair_alone(documents, decimals):
    draw = np.random.default_rng([documents, decimals])
    membership = np.concatenate([np.arange(documents), draw.integers(0, documents, 500)])
    shared = draw.normal(0.5, 0.3, len(membership))
    values = np.round(np.clip(shared + draw.normal(0, 0.2, (4, len(membership))), 0, 1), decimals)
    found = board(values, membership)
    assert [(pair.first, pair.second) for pair in found] == list(itertools.combinations(range(4), 2))
    for pair in found:
        alone = paired_difference(differences_of(values[pair.first], values[pair.second]), membership.tolist())
        assert pair.delta == pytest.approx(alone.delta, abs=1e-12)
        assert pair.p_mean == pytest.approx(alone.p_mean, rel=1e-4)
        assert pair.p_wilcoxon == pytest.approx(alone.p_wilcoxon, rel=1e-9)
        assert alone.standard_error is not None
        slack = 1e-4 * alone.standard_error
        assert (pair.ci_low, pair.ci_high) == pytest.approx((alone.ci_low, alone.ci_high), abs=slack)
    assert [pair.p_mean_adjusted for pair in found] == holm([pair.p_mean for pair in found])
    assert [pair.p_wilcoxon_adjusted for pair in found] == holm([pair.p_wilcoxon for pair in found])


def test_too_few_documents_give_no_interval_and_equal_runs_no_difference():
    values = np.array([[0.1, 0.4, 0.3], [0.2, 0.1, 0.5], [0.2, 0.1, 0.5]])
    found = board(values, np.arange(3))
    assert {(pair.ci_low, pair.ci_high) for pair in found} == {(None, None)}
    assert (found[2].delta, found[2].p_mean, found[2].p_wilcoxon) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("decimals", [0, 1, 3, 9])
@pytest.mark.parametrize("n", [40, 500])
@pytest.mark.parametrize("zeros", [0.2, 0.0])
def test_rows_of_differences_have_the_p_values_of_each_row(scale, decimals, n, zeros):
    # Small numbers are sorted as 32-bit, larger ones as 64-bit; up to 200 differences are counted, more approximated.
    draw = np.random.default_rng([n, decimals])
    rows = np.round(np.clip(draw.normal(0.05, 0.4, (300, n)), -1, 1), decimals) * scale
    rows[draw.random(rows.shape) < zeros] = 0
    rows[0], rows[1] = 0.0, np.abs(rows[1])
    assert signed_ranks(rows) == pytest.approx([signed_rank(np.round(row, 9)).p for row in rows], rel=1e-9)


def test_a_row_may_be_wider_than_a_block():
    row = np.round(np.random.default_rng(0).normal(0.002, 0.2, (1, 150_000)), 3)
    assert signed_ranks(row)[0] == pytest.approx(signed_rank(row[0]).p, rel=1e-9)


def test_rounding_errors_break_no_ties():
    run, other = np.array([[0.5, 0.825, 0.375, 0.5]]), np.array([[0.525, 0.775, 0.325, 0.55]])
    assert signed_ranks(run - other)[0] == signed_rank(np.array([-0.025, 0.05, 0.05, -0.05])).p


@pytest.mark.parametrize("largest", [2**30 - 1, 2**30, 2**31 - 1, 2**31, 2**40])
def test_numbers_that_need_more_bits_are_ranked_as_well(largest):
    draw = np.random.default_rng(3)
    # So many that they are not counted out one row at a time.
    rows = np.rint(draw.uniform(-0.9, 1, (3, 300)) * largest)
    rows[:, 0] = largest
    assert signed_ranks(rows, 0) == pytest.approx([signed_rank(row).p for row in rows], rel=1e-9)


@pytest.mark.parametrize("width", [2**16 - 1, 2**16, 100_000])
def test_rows_whose_rank_sums_need_more_bits_are_ranked_as_well(width):
    # Mid-sized numbers of either sign, few of them tied: rank sums are about a quarter of the width squared.
    rows = np.random.default_rng(width).integers(-499_000, 500_000, (2, width)).astype(float)
    assert signed_ranks(rows, 0) == pytest.approx([signed_rank(row).p for row in rows], rel=1e-9)


def test_a_pair_of_very_many_documents_is_the_pair_alone():
    draw = np.random.default_rng(4)
    values = draw.normal(0.5, 0.2, (3, 17_000)) + np.array([[0.0], [0.003], [0.004]])
    for pair in board(values, np.arange(17_000)):
        difference = differences_of(values[pair.first], values[pair.second])
        # So many differences have a mean that is normal.
        error = float(difference.std(ddof=1)) / np.sqrt(17_000)
        assert pair.delta == pytest.approx(float(difference.mean()), abs=1e-12)
        assert pair.p_mean == pytest.approx(2 * stats.norm.sf(abs(pair.delta) / error), rel=0.01, abs=1e-4)
        assert (pair.ci_low, pair.ci_high) == pytest.approx(
            (pair.delta - 1.96 * error, pair.delta + 1.96 * error), abs=0.01 * error
        )


@pytest.mark.parametrize("width", [2**16 - 1, 2**16])
def test_a_long_row_of_few_differences_has_their_p_value(width):
    # Zeros have the lowest places, and count there with the gains: sums of places come close to 2^31.
    row = np.array([*np.zeros(width - 300), *np.arange(1.0, 201), *-np.arange(201.0, 301)], np.float64)
    expected: Any = stats.wilcoxon(row[-300:], method="asymptotic")
    assert signed_ranks(row[None], 0)[0] == pytest.approx(expected.pvalue, rel=1e-9)
