"""Sums on a lattice, or near one, have totals that no continuous formula follows: held to counted patterns."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.leaderboard.statistics import sign_flip
from telbench.leaderboard.statistics.saddlepoint import coarse, grid_tail, units_of
from telbench.leaderboard.statistics.sign_flip import sign_tails


def counted(numbers: list[int], threshold: int) -> float:
    """P(sum of these with random signs >= threshold), from all totals as whole numbers."""
    ways = {0: 1}
    for number in numbers:
        moved: dict[int, int] = {}
        for total, count in ways.items():
            for reached in (total - number, total + number):
                moved[reached] = moved.get(reached, 0) + count
        ways = moved
    return float(Fraction(sum(count for total, count in ways.items() if total >= threshold), 2 ** len(numbers)))


@given(
    st.lists(st.integers(-6, 6), min_size=25, max_size=60),
    st.sampled_from([0.25, 1 / 3, 0.01, 0.1, 100 / 731, 2.0, 1e-3 * np.pi]),
)
@settings(max_examples=100, deadline=None)
def test_multiples_of_any_unit_are_counted_exactly(numbers, unit):
    # Rounded as differences of scores are.
    sums = np.round(np.array(numbers) * unit, 9)
    total = abs(sum(numbers))
    expected = min(1.0, 2 * counted([abs(number) for number in numbers], total))
    assert sign_flip.two_sided(sums) == pytest.approx(expected, rel=1e-9)


def test_units_are_found_row_by_row_and_none_where_there_is_none():
    draw = np.random.default_rng(1)
    whole = draw.integers(1, 9, 40).astype(float)
    rows = np.array([whole, 0.75 * whole, np.round(whole / 7, 9), np.zeros(40), draw.normal(size=40) ** 2])
    assert units_of(rows, 200_000) == pytest.approx([1.0, 0.75, 1 / 7, 1.0, 0.0])
    # No more than are asked for, and none so small that it does not count.
    assert units_of(rows[:2], 10).tolist() == [0.0, 0.0]
    assert units_of(np.append(np.ones(40), 0.01)[None], 200_000).tolist() == [0.0]


@pytest.mark.parametrize("unit", [0.1, 0.05, 0.01, 0.001])
def test_a_decimal_unit_is_found_where_it_is_no_small_part_of_the_smallest_sum(unit):
    # The smallest is a prime number of units: no part of it up to a twelfth divides the others.
    sizes = np.round(np.array([17, 19, 23, 20, 18, 21, 25, 22]) * unit, 9)
    assert units_of(sizes[None], 200_000) == pytest.approx([unit])


def test_parts_of_the_smallest_sum_are_looked_at_down_to_a_twelfth():
    whole = np.array([[12, 13, 17, 19], [13, 14, 17, 19]])
    assert units_of(whole * 0.0771, 200_000) == pytest.approx([0.0771, 0.0])


@pytest.mark.parametrize("jitter", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("seed", range(6))
def test_sums_near_a_lattice_have_the_counted_tail(jitter, seed):
    draw = np.random.default_rng(seed)
    values = np.where(draw.random(28) < 0.5, 0, draw.choice([-1, 1, 2], 28)) + jitter * draw.normal(size=28)
    total = abs(float(values.sum()))
    exact = sign_flip.counted_tail(np.abs(values), total)
    assert coarse(np.abs(values)[None]).all()
    assert sign_flip.tail(values, total) == pytest.approx(exact, rel=0.04, abs=1e-4)


def test_the_continuous_formula_alone_is_off_by_a_quarter_there():
    draw = np.random.default_rng(0)
    worst = 0.0
    for _ in range(20):
        values = np.where(draw.random(28) < 0.5, 0, draw.choice([-1, 1], 28)) + 0.02 * draw.normal(size=28)
        total = abs(float(values.sum()))
        exact = sign_flip.counted_tail(np.abs(values), total)
        plain = float(sign_tails(np.abs(values)[None], np.array([total]))[0])
        worst = max(worst, abs(plain / exact - 1))
        assert sign_flip.tail(values, total) == pytest.approx(exact, rel=0.04, abs=1e-4)
    assert worst > 0.25


def test_many_sums_near_a_lattice_have_the_tail_of_random_flips():
    draw = np.random.default_rng(4)
    values = np.where(draw.random(98) < 0.6, 0, draw.choice([-1, 1], 98)) + 0.01 * draw.normal(size=98)
    for total in (3.0, 7.0, 12.0):
        # Just below a point of the lattice lies what is spread around it.
        place = total + 0.02
        flips = draw.choice(np.array([-1.0, 1.0]), (200_000, 98)) @ values
        share = float((flips >= place).mean())
        assert sign_flip.tail(values, place) == pytest.approx(share, abs=4 * np.sqrt(share / 200_000) + 1e-3)


def test_the_grid_is_the_formula_where_sums_are_smooth():
    draw = np.random.default_rng(5)
    values = np.abs(draw.normal(size=80))
    assert not coarse(values[None]).any()
    for place in (2.0, 10.0, 20.0, 30.0):
        smooth = float(sign_tails(values[None], np.array([place]))[0])
        assert grid_tail(values, place) == pytest.approx(smooth, rel=0.02)
    # Too many clusters for a step to count.
    assert not coarse(np.ones((2, 151))).any()


def test_the_grid_leans_to_the_safe_side_by_half_a_step():
    values = np.random.default_rng(7).uniform(0.5, 1.5, 18)
    sums = np.array(list(itertools.product((-1.0, 1.0), repeat=18))) @ values
    places = np.linspace(-4, 4, 81)
    off = [grid_tail(values, place) - float((sums >= place).mean()) for place in places]
    # A step is worth 1.2e-4 on average here. A sum that equals the threshold must be counted, however it was rounded.
    assert 0 < float(np.mean(off)) < 1.2e-4


def test_far_out_where_the_grid_ends_the_formula_is_kept():
    draw = np.random.default_rng(6)
    values = 1 + 0.01 * draw.normal(size=120)
    assert coarse(values[None]).all()
    found = float(sign_flip.tail(values, float(values.sum()) * 0.9))
    assert 0 < found < 1e-20
