"""What must not matter: the order of items and of runs, which of two is the first, a constant, a document twice.

Where rounding moves a sum, about one p-value in a hundred moves by some 1e-5 of itself: they are held to four digits.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from telbench.leaderboard.compare.ranking import rank_runs
from telbench.leaderboard.statistics.all_pairs import all_pairs
from telbench.leaderboard.statistics.corpus import corpus_difference
from telbench.leaderboard.statistics.paired import differences_of, paired_difference
from telbench.leaderboard.statistics.ranks import conover, friedman, nemenyi

from ...made_runs import made_run, metric

SEEDS = st.integers(0, 10_000)


def scores(seed: int, runs: int = 2, items: int = 120, documents: int = 30):
    """Scores of some runs of two decimals (so that there are ties), and the document of each item."""
    draw = np.random.default_rng(seed)
    clusters = draw.integers(0, documents, items)
    values = 0.5 + 0.2 * draw.normal(size=items) + 0.1 * draw.normal(size=(runs, documents))[:, clusters]
    return np.round(values + 0.1 * draw.normal(size=(runs, items)), 2), clusters


def facts(found) -> list[float]:
    """All numbers of a paired difference, but for its counts."""
    numbers = (found.delta, found.standard_error, found.ci_low, found.ci_high, found.p_mean, found.p_wilcoxon)
    effects = (found.hodges_lehmann, found.rank_biserial, found.superiority, found.intracluster_correlation)
    return [float(number) for number in (*numbers, *effects)]


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_the_order_of_items_and_the_names_of_documents_do_not_matter(seed):
    (run, other), clusters = scores(seed)
    order = np.random.default_rng(seed).permutation(len(run))
    found = paired_difference(differences_of(run, other), [f"d{each}" for each in clusters])
    again = paired_difference(differences_of(run, other)[order], [f"x{each * 7 % 31}" for each in clusters[order]])
    assert facts(again) == pytest.approx(facts(found), rel=1e-4, abs=1e-7)
    assert (again.wins, again.ties, again.losses, again.flags) == (found.wins, found.ties, found.losses, found.flags)


@given(SEEDS, st.sampled_from([-3.0, 0.25, 100.0]))
@settings(max_examples=25, deadline=None)
def test_a_constant_added_to_both_runs_does_not_matter(seed, constant):
    (run, other), clusters = scores(seed)
    names = [f"d{each}" for each in clusters]
    found = paired_difference(differences_of(run, other), names)
    assert paired_difference(differences_of(run + constant, other + constant), names) == found


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_swapping_the_runs_turns_the_interval(seed):
    (run, other), clusters = scores(seed)
    names = [f"d{each}" for each in clusters]
    here = paired_difference(differences_of(run, other), names)
    there = paired_difference(differences_of(other, run), names)
    assert (here.ci_low, here.ci_high) == pytest.approx((-(there.ci_high or 0), -(there.ci_low or 0)), abs=1e-6)
    assert (here.p_mean, here.p_wilcoxon) == pytest.approx((there.p_mean, there.p_wilcoxon), rel=1e-4)


def test_swapping_the_runs_turns_a_corpus_difference():
    draw = np.random.default_rng(3)
    one, other = (np.column_stack([draw.normal(size=40) + shift, np.ones(40)]) for shift in (0.3, 0.0))
    here, there = (
        corpus_difference(*pair, lambda rows: rows[:, 0] / rows[:, 1], resamples=2000)[0]
        for pair in ((one, other), (other, one))
    )
    assert there.delta == pytest.approx(-here.delta)
    turned = -(here.bootstrap_high or 0), -(here.bootstrap_low or 0)
    assert (there.bootstrap_low, there.bootstrap_high) == pytest.approx(turned)
    assert (there.ci_low, there.ci_high) == pytest.approx((-(here.ci_high or 0), -(here.ci_low or 0)), rel=1e-4)
    assert (there.p, there.p_swaps) == pytest.approx((here.p, here.p_swaps))
    assert (there.p_below, there.p_above) == pytest.approx((here.p_above, here.p_below))


@given(SEEDS, st.permutations(range(4)))
@settings(max_examples=25, deadline=None)
def test_the_order_of_runs_does_not_matter_to_any_pair(seed, order):
    values, clusters = scores(seed, runs=4)
    sizes = np.bincount(clusters, minlength=30).astype(float)
    used = sizes > 0
    sums = np.array([np.bincount(clusters, weights=row, minlength=30)[used] for row in values], np.float64)
    found = {(pair.first, pair.second): pair for pair in all_pairs(sums, sizes[used])}
    for pair in all_pairs(sums[list(order)], sizes[used]):
        first, second = order[pair.first], order[pair.second]
        same = found[min(first, second), max(first, second)]
        sign = 1 if first < second else -1
        assert pair.delta == pytest.approx(sign * same.delta, abs=1e-12)
        assert pair.p_mean_adjusted == pytest.approx(same.p_mean_adjusted, rel=1e-4)
        assert pair.p_wilcoxon_adjusted == pytest.approx(same.p_wilcoxon_adjusted, rel=1e-4)
        assert pair.p_mean_adjusted >= pair.p_mean
        assert pair.p_wilcoxon_adjusted >= pair.p_wilcoxon


@given(SEEDS, st.permutations(range(5)))
@settings(max_examples=25, deadline=None)
def test_the_order_of_blocks_and_of_runs_does_not_matter_to_ranks(seed, order):
    values, _ = scores(seed, runs=5, items=40)
    rows = np.random.default_rng(seed).permutation(40)
    found, again = friedman(values.T), friedman(values.T[rows][:, list(order)])
    assert (again.chi_square, again.p, again.kendall_w) == pytest.approx((found.chi_square, found.p, found.kendall_w))
    assert again.mean_ranks == pytest.approx([found.mean_ranks[run] for run in order])
    for test in (lambda table: nemenyi(friedman(table)), conover):
        p, q = test(values.T), test(values.T[rows][:, list(order)])
        for i, j in itertools.product(range(5), repeat=2):
            assert q[i][j] == pytest.approx(p[order[i]][order[j]], rel=1e-4)


def test_the_order_of_runs_does_not_matter_to_their_ranges():
    values, _ = scores(1, runs=4, items=200)
    values += np.array([0.0, 0.03, 0.0, 0.06])[:, None]
    runs = [made_run(f"run {index}", {"token_f1": row.tolist()}) for index, row in enumerate(values)]
    found = rank_runs(runs, metric("token_f1"))
    order = [2, 0, 3, 1]
    again = rank_runs([runs[index] for index in order], metric("token_f1"))
    assert again.ranges == tuple(found.ranges[index] for index in order)
    assert [again.names[index] for index in again.order] == [found.names[index] for index in found.order]


@given(SEEDS)
@example(6611)
@settings(max_examples=25, deadline=None)
def test_every_document_twice_under_its_name_leaves_its_p_values_and_shrinks_those_of_items(seed):
    (run, other), clusters = scores(seed)
    differences, names = differences_of(run, other), [f"d{each}" for each in clusters]
    once, twice = paired_difference(differences, names), paired_difference(np.tile(differences, 2), names * 2)
    assert twice.p_mean == pytest.approx(once.p_mean, rel=1e-4)
    assert twice.p_wilcoxon == pytest.approx(once.p_wilcoxon, rel=1e-4)
    assert (twice.ci_low, twice.ci_high) == pytest.approx((once.ci_low, once.ci_high), abs=1e-6)
    alone = paired_difference(differences).p_mean, paired_difference(np.tile(differences, 2)).p_mean
    # A mean of 0 has p = 1 but for rounding, in both.
    assert alone[1] < alone[0] or alone == pytest.approx((1.0, 1.0))
