"""Weighted means over data sets: against scipy's tests, and how often their intervals hold the truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from telbench.errors import InputError
from telbench.leaderboard.compare.overall import Part, overall, part_of, weights_of


def items(count: int) -> list[str]:
    return [f"i{place}" for place in range(count)]


def test_one_data_set_is_a_t_test() -> None:
    values = np.random.default_rng(1).normal(0.1, 0.5, 40)
    found = overall([part_of(values, items(40), 1.0)])
    expected: Any = stats.ttest_1samp(values, 0.0)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_two_data_sets_are_welchs_test() -> None:
    # The mean of m1 and -m2 is half the difference of both: the same test.
    generator = np.random.default_rng(2)
    one, other = generator.normal(0.3, 1.0, 25), generator.normal(0.1, 0.3, 60)
    found = overall([part_of(one, items(25), 0.5), part_of(-other, items(60), 0.5)])
    expected: Any = stats.ttest_ind(one, other, equal_var=False)
    assert (found.p, found.degrees) == pytest.approx((expected.pvalue, expected.df))
    assert 2 * found.mean == pytest.approx(one.mean() - other.mean())


def test_a_part_is_cluster_robust() -> None:
    # Each value ten times in one document says no more than once.
    values = np.random.default_rng(3).normal(0, 1, 30)
    documents = [f"d{place}" for place in range(30) for _ in range(10)]
    part, once = part_of(np.repeat(values, 10), documents, 1.0), part_of(values, items(30), 1.0)
    assert (part.error, part.degrees) == pytest.approx((once.error, once.degrees))


def test_a_few_items_that_agree_do_not_have_an_error_of_zero() -> None:
    assert part_of(np.ones(5), items(5), 1.0).error > 0.15
    assert part_of(np.zeros(1000), items(1000), 1.0).error == pytest.approx(math.sqrt(2) / 1002)
    # Of ten items five are gained and one is lost: p = 6/12, q = 2/12.
    some = part_of(np.array([1.0] * 5 + [-1.0] + [0.0] * 4), items(10), 1.0)
    assert (some.mean, some.error) == pytest.approx((0.4, math.sqrt((6 / 12 + 2 / 12 - (4 / 12) ** 2) / 12)))
    # One document has no spread between documents.
    assert part_of(np.array([0.5, 0.5, -0.25]), ["d", "d", "d"], 1.0).error == 0.5


def test_few_scores_have_the_interval_of_agresti_and_coull_and_never_leave_their_scale() -> None:
    from statsmodels.stats.proportion import proportion_confint

    values = np.array([1.0] * 7 + [0.0] * 13)
    part = part_of(values, items(20), 1.0, differences=False)
    low, high = proportion_confint(7, 20, method="agresti_coull")
    # Theirs adds z^2 / 2 = 1.92 on either side, not 2.
    assert part.error == pytest.approx((high - low) / 2 / 1.96, rel=0.01)
    none = overall([part_of(np.zeros(6), items(6), 1.0, differences=False)], within=(0.0, 1.0))
    assert (none.mean, none.ci_low) == (0.0, 0.0)
    assert 0.2 < none.ci_high < 0.5
    # One document in which all is wrong tells next to nothing.
    assert part_of(np.zeros(4), ["d"] * 4, 1.0, differences=False).error == 1.0
    every = overall([Part(1.0, -0.9, 0.3, 20)], within=(-1.0, 1.0))
    assert every.ci_low == -1.0


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator, sizes, held = np.random.default_rng(4), (12, 40, 150), 0
    weights = weights_of("equal", {str(size): size for size in sizes})
    for _ in range(1500):
        parts = [
            part_of(generator.normal(0.1 * place, 0.2 + place, size), items(size), weights[str(size)])
            for place, size in enumerate(sizes)
        ]
        found = overall(parts)
        held += found.ci_low <= 0.1 <= found.ci_high
    # Three standard errors of a share of 0.95 are 0.017.
    assert abs(held / 1500 - 0.95) < 0.017


def test_nothing_differs_anywhere() -> None:
    found = overall([Part(0.5, 0.0, 0.0, 9), Part(0.5, 0.0, 0.0, 9)])
    assert (found.mean, found.p, found.to_dict()["degrees"]) == (0.0, 1.0, None)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("a=1", "no weight for 'b'"), ("a=1,b=1,c=1", "no data set 'c'"), ("a=0,b=0", "sum to 0"),
        ("a=1,b=-1", "from 0"),
        ("large", "write equal, items or"), ("a=1,b=nan", "from 0"), ("=1,b=2", "write equal"),
    ],
)  # fmt: skip
def test_weights_that_are_none_are_refused(asked: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        weights_of(asked, {"a": 10, "b": 30})


def test_weights_sum_to_one() -> None:
    assert weights_of("equal", {"a": 10, "b": 30}) == {"a": 0.5, "b": 0.5}
    assert weights_of("b=1, a=0", {"a": 10, "b": 30}) == {"a": 0.0, "b": 1.0}
