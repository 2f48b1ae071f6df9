"""Losses that few documents carry: against exact chances, enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from telbench.leaderboard.statistics import sign_flip
from telbench.leaderboard.statistics.clusters import summed_up
from telbench.leaderboard.statistics.skew import (
    documents_for,
    failing_loss,
    named_carriers,
    unseen,
    with_one_lost,
)


def documents(values, sizes=None):
    """Documents with these mean differences."""
    weights = np.ones(len(values)) if sizes is None else np.asarray(sizes, float)
    return summed_up(np.asarray(values, float) * weights, weights)


@pytest.mark.parametrize(("margin", "loss", "groups"), [(0.02, 1.0, 98), (0.05, 0.4, 30), (0.01, 0.5, 300)])
def test_of_documents_without_a_failure_the_rule_of_three_is_left(margin, loss, groups):
    data = documents(np.zeros(groups))
    assert unseen(data, margin, loss) == pytest.approx((1 - margin / loss) ** groups, rel=1e-6)
    # The same chance from the other test, whose added document is then the only loss: a beta distribution's tail.
    assert with_one_lost(data, margin, loss) == pytest.approx((1 - margin / loss) ** groups, rel=0.03)


def test_the_rule_of_three_tells_how_many_documents_it_takes():
    needed = documents_for(0.02, 1.0, 0.05)
    assert needed == 149
    assert unseen(documents(np.zeros(needed)), 0.02, 1.0) <= 0.05 < unseen(documents(np.zeros(needed - 1)), 0.02, 1.0)
    assert documents_for(0.02, 1.0, 0.05, -0.01) == 299
    assert documents_for(0.02, 1.0, 0.05, -0.02) is None
    assert documents_for(0.02, 0.01, 0.05) == 1


def test_where_failures_cost_next_to_nothing_the_sign_flip_test_is_left():
    data = documents(np.random.default_rng(1).normal(0.0, 0.1, 60))
    plain = float(sign_flip.greater(data.sums + 0.02 * data.sizes))
    assert unseen(data, 0.02, 1e-9) == pytest.approx(plain, rel=1e-6)
    assert unseen(data, 0.02, 0.5) >= plain


def test_the_product_is_the_largest_over_all_rates_of_failing_documents():
    data = documents(np.random.default_rng(2).normal(0.005, 0.06, 40))
    expected = 0.0
    for rate in np.linspace(0, 0.3, 3001):
        drop = (0.02 - rate * 0.6) / (1 - rate)
        chance = float(sign_flip.greater(data.sums + drop * data.sizes))
        expected = max(expected, (1 - rate) ** 40 * chance)
    assert unseen(data, 0.02, 0.6) == pytest.approx(expected, rel=0.05)
    assert unseen(data, 0.02, 0.6) <= expected * (1 + 1e-6)


@pytest.mark.parametrize("kind", ["even", "few lose", "one loses", "sizes differ"])
def test_the_test_with_one_more_lost_document_is_that_of_exponential_weights(kind):
    draw = np.random.default_rng(3)
    values, sizes = draw.normal(0.02, 0.1, 30), np.ones(30)
    if kind == "few lose":
        values = np.where(np.arange(30) < 3, -0.3, 0.01)
    if kind == "one loses":
        values = np.where(np.arange(30) < 1, -0.5, 0.01)
    if kind == "sizes differ":
        sizes = draw.integers(1, 20, 30).astype(float)
    data = documents(values, sizes)
    added = (sizes**2).sum() / sizes.sum() * (0.05 - 0.6)
    weights = draw.exponential(size=(400_000, 31))
    exact = float((weights @ np.append(data.sums + 0.05 * sizes, added) <= 0).mean())
    assert with_one_lost(data, 0.05, 0.6) == pytest.approx(exact, rel=0.03, abs=3e-4)


def test_without_a_loss_nothing_speaks_for_the_drop_and_without_a_gain_everything():
    data = documents(np.linspace(0, 0.1, 20))
    assert with_one_lost(data, 0.05, 0.04) == 0.0
    assert with_one_lost(documents(np.linspace(-0.3, -0.1, 20)), 0.05, 0.4) == 1.0


def test_a_document_that_loses_just_the_margin_is_no_loss():
    data = documents([-0.05, 0.1, 0.1])
    assert with_one_lost(data, 0.05, 0.04) == 0.0


@pytest.mark.parametrize("heavy", [1.0, 2.0, 5.0])
def test_at_the_mean_the_skewness_decides(heavy):
    # G documents of value 1 and one that loses as much as they win. P(G * E <= a sum of G exponentials) by hand:
    # the chance that E > s / G is e^(-s/G), so it is 1 - (1 + 1/G)^-G.
    count = int(heavy) + 4
    margin, loss = 0.5, 0.5 + count * 1.0
    data = documents(np.full(count, 1.0 - margin))
    exact = float((1 + 1 / count) ** -count)
    assert with_one_lost(data, margin, loss) == pytest.approx(exact, abs=0.002)


def test_carriers_count_the_documents_that_differ():
    for count in (1, 3, 8):
        values = np.where(np.arange(2000) < count, -1.0, 0.0)
        assert documents(values).carriers == pytest.approx(count, rel=0.02)
        assert documents(values).dominated == (count < 6)
    assert documents([1.0, -1.0] * 10).carriers == 20
    assert documents(np.random.default_rng(4).normal(size=30_000)).carriers == pytest.approx(10_000, rel=0.05)


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3])
def test_equal_documents_are_not_dominated(value):
    data = documents([value] * 50, range(1, 51))
    assert data.carriers == math.inf
    assert not data.dominated
    assert named_carriers(documents([0.0] * 50), [str(place) for place in range(50)]) == []


def test_the_documents_that_carry_half_of_the_spread_are_named_largest_first():
    values = np.zeros(100)
    values[[7, 40]] = -0.6, -0.5
    found = named_carriers(documents(values), [f"d{place}" for place in range(100)])
    assert [each.cluster for each in found] == ["d7"]
    assert found[0].difference == -0.6
    spread = (values - values.mean()) ** 2
    assert found[0].share == pytest.approx(spread[7] / spread.sum())
    assert len(named_carriers(documents(np.linspace(-1, 1, 100)), [str(place) for place in range(100)])) == 5


def test_what_a_failing_document_loses_counts_those_that_have_something_to_lose():
    # Right or wrong, a document each: only the right ones can lose, and they lose 1.
    assert failing_loss(documents([1, 0, 1, 0, 0])) == 1.0
    assert failing_loss(documents([0.5, 0.5])) == 0.5
    assert failing_loss(documents([0.2, 0.8], [3, 1])) == pytest.approx((3 * 0.04 + 0.64) / (0.6 + 0.8))
    assert failing_loss(documents([0.0, 0.0])) == 0.0


def test_both_tests_hold_their_level_where_the_sign_flip_test_does_not():
    # Of 40 documents each loses 1 with a chance of 0.05, a true drop of the margin: all samples, weighted by chance.
    groups, rate = 40, 0.05
    wrong = {"sign-flip": 0.0, "unseen": 0.0, "one lost": 0.0}
    for lost in range(12):
        chance = math.comb(groups, lost) * rate**lost * (1 - rate) ** (groups - lost)
        data = documents(-1.0 * (np.arange(groups) < lost))
        wrong["sign-flip"] += chance * (float(sign_flip.greater(data.sums + rate)) <= 0.05)
        wrong["unseen"] += chance * (lost == 0 and unseen(data, rate, 1.0) <= 0.05)
        wrong["one lost"] += chance * (with_one_lost(data, rate, 1.0) <= 0.05)
    assert wrong["sign-flip"] > 0.12
    assert wrong["unseen"] <= 0.05
    assert wrong["one lost"] <= 0.05


def test_enumerated_samples_of_three_values_keep_the_level_of_the_added_document():
    # Every sample of seven documents with values -1, 0 or 0.5 and a true mean of just -margin.
    chances = {-1.0: 0.2, 0.0: 0.6, 0.5: 0.2}
    margin = -sum(value * chance for value, chance in chances.items())
    wrong = 0.0
    for counts in itertools.product(range(8), repeat=3):
        if sum(counts) == 7:
            values = np.repeat(list(chances), counts)
            ways = math.factorial(7) / math.prod(map(math.factorial, counts))
            chance = ways * math.prod(p**n for p, n in zip(chances.values(), counts, strict=True))
            wrong += chance * (with_one_lost(documents(values), margin, 1.0) <= 0.05)
    assert wrong <= 0.05
