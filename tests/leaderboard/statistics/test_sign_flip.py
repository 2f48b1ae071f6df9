"""The sign-flip test: exact where it counts, close where it approximates, and its intervals invert it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.leaderboard.statistics import sign_flip
from telbench.leaderboard.statistics.clusters import Summed, clustered
from telbench.leaderboard.statistics.sign_flip import sign_tails

NUMBERS = st.lists(st.floats(-3, 3).map(lambda value: round(value, 3)), min_size=1, max_size=9)
DISTRIBUTIONS = {
    "normal": lambda draw, n: draw.normal(size=n),
    "laplace": lambda draw, n: draw.laplace(size=n),
    "heavy": lambda draw, n: draw.standard_t(2, size=n),
    "one dominates": lambda draw, n: np.append(draw.normal(size=n - 1), 9.0),
    "two dominate": lambda draw, n: np.append(draw.normal(size=n - 2), [7.0, 5.0]),
}


def brute_force(sums: np.ndarray, threshold: float) -> float:
    """The share of all sign patterns whose total reaches the threshold."""
    patterns = itertools.product((-1, 1), repeat=len(sums))
    totals = [math.fsum(sign * value for sign, value in zip(signs, sums, strict=True)) for signs in patterns]
    return sum(total >= threshold - 1e-9 for total in totals) / len(totals)


def bound(data: Summed, alpha: float, *, lower: bool) -> float | None:
    """One end by itself; None where there is none."""
    (end,) = sign_flip.bounds(data.sums[None], data.sizes, alpha, lower=lower).tolist()
    return None if math.isnan(end) else end


@given(NUMBERS)
@settings(max_examples=150, deadline=None)
def test_few_clusters_are_counted_exactly(values):
    sums = np.asarray(values)
    assert sign_flip.greater(sums) == pytest.approx(brute_force(sums, math.fsum(sums)), abs=1e-12)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=10), st.integers(-30, 30))
@settings(max_examples=150, deadline=None)
def test_whole_number_sums_are_counted_exactly(values, threshold):
    sums = np.asarray(values, float)
    assert sign_flip.tail(sums, threshold) == pytest.approx(brute_force(sums, threshold), abs=1e-12)


def test_many_whole_numbers_agree_with_the_binomial_distribution():
    # 60 gains and 40 losses of 1: P(heads >= 60 of 100).
    expected = sum(math.comb(100, heads) for heads in range(60, 101)) / 2**100
    sums = np.concatenate([np.ones(60), -np.ones(40), np.zeros(500)])
    assert sign_flip.greater(sums) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("shift", [0.05, 0.3, 0.7])
def test_the_approximation_is_within_two_percent_of_the_exact_tail(name, shift):
    draw = np.random.default_rng(7)
    for _ in range(5):
        values = np.abs(DISTRIBUTIONS[name](draw, 28))
        threshold = shift * float(values.sum())
        exact = sign_flip.counted_tail(values, threshold)
        # In 2^28 patterns the last few cannot be met by a smooth formula.
        if exact > 1e-5:
            found = sign_tails(values[None], np.array([threshold]))[0]
            assert found == pytest.approx(exact, rel=0.02)


def test_the_approximation_agrees_with_many_random_flips():
    draw = np.random.default_rng(3)
    sums = draw.exponential(size=90) * draw.choice([-1, 1], 90) + 0.12
    flips = np.concatenate([draw.choice([-1.0, 1.0], (20_000, 90)) @ sums for _ in range(10)])
    share = float((np.abs(flips) >= abs(sums.sum())).mean())
    spread = math.sqrt(share * (1 - share) / len(flips))
    assert abs(sign_flip.two_sided(sums) - share) < 4 * spread


def test_a_p_value_is_not_bounded_by_resamples_and_never_zero():
    p = sign_flip.two_sided(np.full(3000, 0.3) + np.random.default_rng(0).normal(size=3000) * 0.1)
    assert 0 < p < 1e-200


def test_identical_runs_have_p_one():
    assert sign_flip.two_sided(np.zeros(20)) == 1.0
    assert sign_flip.two_sided(np.array([1.0, -1.0])) == 1.0


@given(NUMBERS)
@settings(max_examples=60, deadline=None)
def test_swapping_the_runs_or_reordering_items_changes_no_p_value(values):
    sums = np.asarray(values)
    assert sign_flip.two_sided(-sums) == pytest.approx(sign_flip.two_sided(sums), abs=1e-12)
    assert sign_flip.two_sided(sums[::-1]) == pytest.approx(sign_flip.two_sided(sums), abs=1e-12)


@pytest.mark.parametrize(("items", "groups"), [(40, 20), (300, 300), (400, 37)])
def test_the_interval_holds_just_the_shifts_that_the_test_does_not_reject(items, groups):
    draw = np.random.default_rng(items)
    data = clustered(draw.normal(size=items) + 0.2, draw.integers(0, groups, items))
    interval = sign_flip.interval(data, 0.9)
    assert interval is not None
    width = interval[1] - interval[0]
    for end, outward in zip(interval, (-1, 1), strict=True):
        inside, outside = end - outward * 0.01 * width, end + outward * 0.01 * width
        assert sign_flip.two_sided(data.sums - data.sizes * inside) > 0.1
        assert sign_flip.two_sided(data.sums - data.sizes * outside) < 0.1


def test_the_interval_moves_with_the_data_and_turns_with_their_sign():
    draw = np.random.default_rng(5)
    values, groups = draw.normal(size=120), draw.integers(0, 30, 120)
    low, high = sign_flip.interval(clustered(values, groups)) or (math.nan, math.nan)
    moved = sign_flip.interval(clustered(values + 3, groups))
    turned = sign_flip.interval(clustered(-values, groups))
    assert moved == pytest.approx((low + 3, high + 3), abs=1e-3)
    assert turned == pytest.approx((-high, -low), abs=1e-3)


def test_too_few_clusters_give_no_interval():
    # Five clusters: the smallest two-sided p-value is 1/16.
    assert sign_flip.interval(clustered(np.linspace(1, 10, 10), np.repeat(np.arange(5), 2))) is None
    assert sign_flip.interval(clustered(np.linspace(1, 12, 12), np.repeat(np.arange(6), 2))) is not None


def test_equal_differences_give_an_interval_of_one_point():
    assert sign_flip.interval(clustered(np.full(50, 0.25), None)) == pytest.approx((0.25, 0.25))


def test_as_many_clusters_as_it_takes_give_a_bound_and_one_fewer_give_none():
    # Of 2^5 patterns the one with all signs alike has p = 1/32: it is rejected until a sign changes.
    data = clustered(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), None)
    assert bound(data, 1 / 31, lower=True) == pytest.approx(1.0, abs=1e-3)
    assert bound(data, 1 / 31, lower=False) == pytest.approx(5.0, abs=1e-3)
    assert bound(data, 1 / 32, lower=True) is not None
    assert bound(data, 1 / 33, lower=True) is None


def test_near_the_centre_the_tail_is_that_of_the_normal_distribution():
    sizes = np.random.default_rng(1).uniform(0.5, 1, (1, 60))
    for share in (8e-4, 1.2e-3, -8e-4):
        threshold = share * math.sqrt(float((sizes**2).sum()))
        assert sign_tails(sizes, np.array([threshold]))[0] == pytest.approx(
            0.5 * math.erfc(share / math.sqrt(2)), abs=2e-5
        )


def test_twenty_four_clusters_are_counted_out_and_one_more_is_approximated():
    draw = np.random.default_rng(2)
    for count, exact in ((24, True), (25, False)):
        # Clusters of nothing are none.
        sums = np.append(draw.uniform(0.5, 4, count), [0.0, 0.0, 0.0])
        threshold = float(sums.sum()) / 4
        # What is a millionth of the largest total below the threshold is taken for equal to it.
        expected = sign_flip.counted_tail(sums[:count], threshold - 1e-6 * float(sums.sum()))
        found = sign_flip.tail(sums, threshold)
        assert found == pytest.approx(sign_flip.counted_tail(sums[:count], threshold), rel=0.02)
        assert (abs(found - expected) < 1e-12) == exact
        assert sign_flip.tail(sums, threshold, smooth=True) == pytest.approx(expected, rel=0.02)


def test_a_total_beyond_all_signs_has_no_chance_and_the_largest_that_of_one_pattern():
    sizes = np.random.default_rng(1).uniform(0.5, 1, (1, 30))
    reach = float(sizes.sum())
    # A rounding error above the largest total is that total.
    places = (1.01 * reach, (1 + 1e-12) * reach, -1.01 * reach)
    found = [float(sign_tails(sizes, np.array([place]))[0]) for place in places]
    assert found == [0.0, pytest.approx(0.5**30), 1.0]


@pytest.mark.parametrize("far", [0.0, 1e3, -1e6])
def test_bounds_of_few_clusters_move_with_the_data_however_far(far):
    # Five patterns' worth of clusters: the test steps, and the bound is the place of a step.
    data = clustered(np.array([1.0, 2.0, 3.0, 4.0, 5.0]) + far, None)
    ends = [bound(data, 1 / 31, lower=lower) for lower in (True, False)]
    assert ends == pytest.approx([1.0 + far, 5.0 + far], abs=1e-3)


@pytest.mark.parametrize("alpha", [1 / 63, 1 / 64])
@pytest.mark.parametrize("lower", [True, False])
def test_a_bound_that_one_pattern_decides_is_the_mean_of_the_outermost_cluster(alpha, lower):
    # The sums of six clusters have one sign only beyond all their means: there p is 1/64, and it is rejected. The small
    # cluster's mean lies many times the spread away from the rest.
    sizes, means = np.array([1.0, *[100.0] * 5]), np.array([-100.0, 1, 2, 3, 4, 5])
    sign = 1 if lower else -1
    found = sign_flip.bounds(sign * (sizes * means)[None], sizes, alpha, lower=lower)[0]
    assert found == pytest.approx(sign * -100, abs=1e-3)


def test_the_most_clusters_that_are_counted_out_have_an_exact_bound_too():
    # Of 2^24 patterns one is all positive, while the shift is below the least cluster's 1.
    data = clustered(np.linspace(1.0, 24.0, 24), None)
    assert bound(data, 0.5**24, lower=True) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("alpha", [1 / 16, 1 / 8, 1 / 4])
def test_a_shift_whose_p_value_is_alpha_is_rejected(alpha):
    values = np.array([1.0, 2.0, 4.0, 8.0])
    kept = [
        shift
        for shift in np.linspace(-3, 6, 9001) + 0.0003
        if brute_force(values - shift, math.fsum(values - shift)) > alpha
    ]
    assert bound(clustered(values, None), alpha, lower=True) == pytest.approx(min(kept), abs=2e-3)


@pytest.mark.parametrize("count", [40, 900])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_order_of_many_clusters_matters_to_no_tail(name, count):
    draw = np.random.default_rng(12)
    values = np.abs(DISTRIBUTIONS[name](draw, count))
    # Of however many: one dominates or two do.
    values[values >= 5] *= np.sqrt(count / 40)
    # Sizes that dominate come first, last, and in between.
    orders = np.array(
        [np.sort(values), np.sort(values)[::-1], *(draw.permutation(values) for _ in range(6))], np.float64
    )
    for share in (0.2, 0.5):
        found = sign_tails(orders, np.full(8, share * float(values.sum())))
        assert found == pytest.approx(np.full(8, found[0]), rel=1e-7)


def test_many_rows_at_once_have_the_tails_of_each_row():
    draw = np.random.default_rng(8)
    # Whole numbers, few clusters, none at all, one that dominates: each kind is worked out in its own way.
    sums = draw.normal(0.2, 1, (7, 30))
    sums[1] = np.rint(sums[1])
    sums[2, 20:] = 0.0
    sums[3] = 0.0
    sums[4, 11] = 30.0
    sums[5, [3, 20]] = 20.0, -14.0
    thresholds = np.abs(sums.sum(axis=1))
    for scale in (0.0, 0.5, 1.0, 5.0, -0.5, -9.0):
        found = sign_flip.tail(sums, scale * thresholds)
        alone = [float(sign_flip.tail(row, scale * place)) for row, place in zip(sums, thresholds, strict=True)]
        assert found == pytest.approx(alone, rel=1e-9)


@pytest.mark.parametrize(
    ("curve", "most"),
    [
        (lambda x: x, 5),
        (lambda x: x + 0.1 * x**3, 10),
        (lambda x: np.expm1(2 * x), 14),
        (lambda x: -np.expm1(-2 * x), 14),
    ],
    ids=["straight", "bent", "convex", "concave"],
)
def test_a_root_near_the_first_guess_is_found_in_few_evaluations(curve, most):
    # Every evaluation is a test of all pairs of a board: bisection alone takes nineteen.
    asked = []

    def function(members, points):
        asked.append(len(members))
        return curve(points - roots[members])

    roots = np.array([-3.0, 0.5, 1000.0, 7.0])
    centres, offsets = roots + np.array([1.0, 1.1, 0.9, 1.3]), np.ones(4)
    found = sign_flip._roots(function, centres, offsets, np.full(4, 1e-5), 1e-6)
    assert found == pytest.approx(roots, rel=0, abs=2e-5)
    assert len(asked) <= most


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["whole", "smooth", "many"])
def test_a_bound_leaves_0_out_exactly_where_the_test_rejects_it(kind, seed):
    draw = np.random.default_rng(seed)
    rows = 40
    if kind == "smooth":
        sums = draw.normal(0.3, 1, (rows, 30))
    else:
        few = kind == "whole"
        sums = draw.choice(
            [-1.0, 0.0, 1.0], (rows, 60 if few else 400), p=[0.06, 0.8, 0.14] if few else [0.09, 0.8, 0.11]
        )
    sizes = np.ones(sums.shape[1])
    chances = sign_flip.tail(sums, sums.sum(axis=1))
    assert ((sign_flip.bounds(sums, sizes, 0.05, lower=True) > 0) == (chances <= 0.05)).all()
    below = sign_flip.tail(-sums, -sums.sum(axis=1))
    assert ((sign_flip.bounds(sums, sizes, 0.05, lower=False) < 0) == (below <= 0.05)).all()
    assert 0 < (chances <= 0.05).sum() < rows


def test_sums_that_are_all_zero_reach_a_threshold_that_rounding_has_left_of_zero():
    assert sign_flip.tail(np.zeros(4), 1e-12) == 1.0
    assert sign_flip.tail(np.zeros(4), 1e-6) == 0.0


def _many(draw: np.random.Generator, groups: int) -> list[Summed]:
    """Differences over the same clusters: of scores, of right and wrong, with many zeros, equal, with one far out."""
    clusters = [f"d{place % groups}" for place in range(4 * groups)]
    rows = [draw.normal(0.05 * number, 0.3, len(clusters)) for number in range(6)]
    rows[1] = np.sign(np.round(rows[1], 0))
    rows[2] = np.where(draw.random(len(clusters)) < 0.8, 0.0, rows[2])
    rows[3][:] = 0.25
    rows[4][0] = 60.0
    return [clustered(np.round(row, 9) + 0.0, clusters) for row in rows]


@pytest.mark.parametrize("groups", [3, 12, 40, 200])
def test_intervals_found_together_are_those_found_alone(groups: int) -> None:
    data = _many(np.random.default_rng(groups), groups)
    levels = [0.95, 0.999, 0.9, 0.95, 0.99, 0.95]
    alone = [sign_flip.interval(each, level) for each, level in zip(data, levels, strict=True)]
    known = [float(sign_flip.two_sided(each.sums)) for each in data]
    assert sign_flip.intervals(data, levels) == sign_flip.intervals(data, levels, known) == alone
    for each, level, ends in zip(data, levels, alone, strict=True):
        sides = [
            float(sign_flip.bounds(each.sums[None], each.sizes, (1 - level) / 2, lower=lower)[0])
            for lower in (True, False)
        ]
        assert ends == (None if np.isnan(sides).any() else tuple(sides))


def test_a_tail_does_not_depend_on_what_is_computed_beside_it() -> None:
    draw = np.random.default_rng(1)
    sizes = np.abs(draw.normal(size=(40, 60))) * draw.exponential(size=(40, 1))
    # Far out it takes more steps than near the middle: rows that have come to rest stay where they are.
    thresholds = np.linspace(0.0, 0.9, 40) * sizes.sum(axis=1)
    together = sign_tails(sizes, thresholds)
    alone = [sign_tails(sizes[[row]], thresholds[[row]])[0] for row in range(40)]
    assert together.tolist() == alone
