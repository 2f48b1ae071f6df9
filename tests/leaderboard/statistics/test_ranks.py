"""Friedman and what follows it, against published answers and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from telbench.errors import InputError
from telbench.leaderboard.statistics.ranks import (
    Friedman,
    block_ranks,
    cliques,
    conover,
    critical_difference,
    friedman,
    letter_groups,
    nemenyi,
    rank_ranges,
)

# Demsar 2006, Table 6: AUC of C4.5, +m, +cf, +m+cf on 14 data sets; .9751 breaks a tie as the paper's ranks do.
TABLE_6 = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.0, 1.0, 1.0, 1.0],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
PAIRS = st.sets(st.sampled_from([(i, j) for i in range(6) for j in range(i + 1, 6)]))


def differing(pairs: set[tuple[int, int]], k: int = 6) -> list[list[bool]]:
    return [[(min(i, j), max(i, j)) in pairs for j in range(k)] for i in range(k)]


def test_demsars_table_6():
    found = friedman(TABLE_6)
    assert found.mean_ranks == pytest.approx((3.142857, 2.0, 2.892857, 1.964286), abs=1e-6)
    assert found.chi_square_uncorrected == pytest.approx(9.278571, abs=1e-6)
    assert found.chi_square == pytest.approx(10.2283464566929)
    assert found.p == pytest.approx(0.0167215803284414)
    assert found.f == pytest.approx(4.185130, abs=1e-6)
    assert found.p_f == pytest.approx(0.011621, abs=1e-6)
    assert found.kendall_w == pytest.approx(0.243532, abs=1e-6)


def test_the_literal_tie_of_table_6():
    tied = TABLE_6.copy()
    tied[12, 2] = 0.975
    found = friedman(tied)
    assert found.mean_ranks == pytest.approx((3.142857, 2.0, 2.928571, 1.928571), abs=1e-6)
    assert (found.chi_square_uncorrected, found.chi_square) == pytest.approx((9.857143, 10.952381), abs=1e-6)


def test_critical_differences_of_the_paper():
    assert critical_difference(4, 14) == pytest.approx(1.253559, abs=1e-6)
    assert critical_difference(4, 14, 0.10) == pytest.approx(1.118060, abs=1e-6)


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (8, 3.031), (10, 3.164)])
def test_nemenyis_quantiles_of_demsars_table_5(k, q):
    n = 20
    assert critical_difference(k, n) / np.sqrt(k * (k + 1) / (6 * n)) == pytest.approx(q, abs=1e-3)


@pytest.mark.parametrize("k", [2, 3, 12, 60, 200])
@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.2])
def test_the_critical_difference_has_the_quantile_of_scipys_studentised_range(k, alpha):
    wanted = stats.studentized_range.ppf(1 - alpha, k, np.inf)
    assert critical_difference(k, 20, alpha) / np.sqrt(k * (k + 1) / (6 * 20)) * np.sqrt(2) == pytest.approx(
        wanted, rel=1e-9
    )


def test_nemenyi_on_table_6_finds_two_pairs_at_ten_percent_and_none_at_five():
    p = np.array(nemenyi(friedman(TABLE_6)))
    assert not (p <= 0.05).any()
    assert {(i, j) for i, j in zip(*np.nonzero(p <= 0.10), strict=True) if i < j} == {(0, 1), (0, 3)}


@pytest.mark.parametrize("seed", range(5))
def test_ranks_and_statistic_agree_with_scipy_ties_included(seed):
    scores = np.random.default_rng(seed).integers(0, 4, (25, 5)).astype(float)
    assert block_ranks(scores) == pytest.approx(stats.rankdata(-scores, axis=1))
    expected = stats.friedmanchisquare(*scores.T)
    assert (friedman(scores).chi_square, friedman(scores).p) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize(
    ("columns", "statistic", "p"),
    [
        (([4, 3, 5, 3, 5, 3, 2, 5, 4, 4, 4, 3], [2, 2, 1, 2, 3, 1, 2, 3, 2, 1, 1, 3],
          [2, 4, 3, 3, 4, 3, 3, 4, 4, 1, 2, 1], [3, 5, 4, 3, 4, 4, 3, 3, 3, 4, 4, 4]), 18.9428571428571, 0.000280938),
    ],
)  # fmt: skip
def test_an_example_with_many_ties(columns, statistic, p):
    found = friedman(np.array(columns, float).T)
    assert found.chi_square == pytest.approx(statistic, abs=1e-6)
    assert found.p == pytest.approx(p, abs=1e-8)


def test_all_tied_runs_are_no_evidence_and_perfect_order_is_complete():
    tied = friedman(np.ones((10, 4)))
    assert tied == Friedman(10, (2.5,) * 4, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0)
    ordered = friedman(np.tile([3.0, 2.0, 1.0], (12, 1)))
    # All twelve blocks have the order of the first, one of six.
    assert (ordered.f, ordered.p_f, ordered.kendall_w) == (None, pytest.approx(6.0**-11), 1.0)
    # chi-square is n (k - 1), on two degrees of freedom.
    assert (ordered.chi_square, ordered.chi_square_uncorrected) == pytest.approx((24.0, 24.0))
    assert ordered.p == pytest.approx(np.exp(-12))


def test_two_runs_are_refused():
    with pytest.raises(InputError, match="three or more runs"):
        friedman(np.ones((10, 2)))


@pytest.mark.parametrize("seed", range(3))
def test_conover_agrees_with_scikit_posthocs_formula(seed):
    scores = np.random.default_rng(seed).normal(size=(12, 4))
    ranks = stats.rankdata(-scores, axis=1)
    n, k = ranks.shape
    sums, squares = ranks.sum(axis=0), (ranks**2).sum()
    # Conover 1999, equation 5.8.5, from the Friedman statistic.
    c1 = n * k * (k + 1) ** 2 / 4
    t1 = (k - 1) * ((sums**2).sum() - n * c1) / (squares - c1)
    error = np.sqrt(2 * n * (squares - c1) / ((n - 1) * (k - 1)) * (1 - t1 / (n * (k - 1))))
    raw = [
        2 * stats.t.sf(abs(sums[i] - sums[j]) / error, (n - 1) * (k - 1))
        for i, j in itertools.combinations(range(k), 2)
    ]
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    expected = multitest.multipletests(raw, method="holm")[1]
    found = conover(scores)
    assert [found[i][j] for i, j in itertools.combinations(range(k), 2)] == pytest.approx(list(expected))


def test_nemenyi_depends_on_who_else_is_there():
    # Run A beats run B on 20 of 30 items; three more runs are always below both, or always between them.
    wins = np.array([1.0] * 20 + [-1.0] * 10)
    below = np.column_stack([wins, -wins, np.full(30, -5.0), np.full(30, -6.0), np.full(30, -7.0)])
    between = np.column_stack([wins * 9, -wins * 9, np.full(30, 0.1), np.full(30, 0.0), np.full(30, -0.1)])
    assert nemenyi(friedman(below))[0][1] == pytest.approx(0.925665, abs=1e-6)
    assert nemenyi(friedman(between))[0][1] == pytest.approx(0.009627, abs=1e-6)


def test_rank_ranges_count_those_who_are_significantly_better_and_worse():
    better = [[False, True, True], [False, False, False], [False, False, False]]
    assert rank_ranges(better) == [(1, 1), (2, 3), (2, 3)]
    assert rank_ranges([[False] * 4] * 4) == [(1, 4)] * 4


@given(PAIRS)
@settings(max_examples=200, deadline=None)
def test_runs_share_a_letter_exactly_where_they_do_not_differ(pairs):
    letters = letter_groups(range(6), differing(pairs))
    for i, j in itertools.combinations(range(6), 2):
        assert bool(set(letters[i]) & set(letters[j])) == ((i, j) not in pairs)
    assert letters[0].startswith("a")


@given(PAIRS)
@settings(max_examples=200, deadline=None)
def test_bars_join_neighbours_without_a_difference_and_the_rest_is_listed(pairs):
    differs = differing(pairs)
    bars, hidden = cliques(range(6), differs)
    shown = {pair for bar in bars for pair in itertools.combinations(bar, 2)}
    assert not any(differs[i][j] for i, j in shown)
    assert shown | set(hidden) == {pair for pair in itertools.combinations(range(6), 2) if pair not in pairs}
    assert not shown & set(hidden)


def test_the_bars_of_table_6():
    differs = (np.array(nemenyi(friedman(TABLE_6))) <= 0.10).tolist()
    # Best to worst: +m+cf, +m, +cf, C4.5.
    assert cliques([3, 1, 2, 0], differs) == ([(3, 1, 2), (2, 0)], [])


def test_runs_that_stand_alike_in_every_block_are_surely_apart():
    found = conover(np.tile([0.3, 0.2, 0.1], (5, 1)))
    assert found == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert conover(np.ones((5, 3))) == [[1.0] * 3] * 3


def test_letters_go_on_after_z():
    found = letter_groups(range(53), [[one != other for other in range(53)] for one in range(53)])
    assert [found[place] for place in (0, 25, 26, 51, 52)] == ["a", "z", "a1", "z1", "a2"]


def test_one_block_is_no_evidence_whatever_its_ranks():
    # With k = 3 and one block: chi-square 2 on 2 degrees of freedom, p = 1/e.
    found = friedman(np.array([[0.3, 0.2, 0.1]]))
    assert (found.p, found.f, found.p_f) == (pytest.approx(np.exp(-1)), None, 1.0)
    assert conover(np.array([[0.3, 0.2, 0.1]])) == [[1.0] * 3] * 3


def test_two_blocks_that_agree_but_for_two_runs_have_the_p_values_of_the_formulas():
    # Ranks 1 2 3 and 1 3 2: means 1, 2.5, 2.5. By hand: chi-square 12 2 / 12 (13.5 - 12) = 3, F = 3 / (4 - 3) = 3.
    found = friedman(np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]]))
    assert (found.chi_square, found.f, found.kendall_w) == pytest.approx((3.0, 3.0, 0.75))
    # F of 2 and 2 degrees of freedom: 1 / (1 + F).
    assert found.p_f == pytest.approx(0.25)


def test_runs_that_all_differ_have_no_bars_and_those_that_never_do_have_one():
    assert cliques([2, 0, 1], [[i != j for j in range(3)] for i in range(3)]) == ([], [])
    assert cliques([2, 0, 1], [[False] * 3] * 3) == ([(2, 0, 1)], [])


def test_a_pair_without_a_difference_around_one_with_a_difference_is_listed_and_not_drawn():
    # From best to worst 3, 0, 1, 2; only 3 and 1 differ: 3 and 2 are alike, with that pair between them.
    assert cliques([3, 0, 1, 2], differing({(1, 3)}, 4)) == ([(3, 0), (0, 1, 2)], [(3, 2)])


def test_a_p_value_too_small_for_a_number_is_a_bound_and_never_0():
    draw = np.random.default_rng(0)
    found = friedman(np.tile([3.0, 2.0, 1.0], (3000, 1)) + draw.normal(0, 0.3, (3000, 3)))
    assert found.f is not None
    assert (found.p, found.p_f) == (1e-300, 1e-300)
    assert friedman(np.tile([3.0, 2.0, 1.0], (3000, 1))).p_f == 1e-300


def test_blocks_that_agree_with_ties_have_fewer_orders_to_agree_on():
    # Three orders of one best run and two that tie: the second block has the first one's by chance in a third.
    assert friedman(np.tile([2.0, 1.0, 1.0], (2, 1))).p_f == pytest.approx(1 / 3)
