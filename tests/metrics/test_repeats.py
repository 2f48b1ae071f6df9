"""Several answers to one question: against every draw and every pair, counted one by one."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest

from telbench.metrics.repeats import agreement, majority, pass_at_k, powers


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_all_draws_with_a_right_answer(n: int) -> None:
    for right in range(n + 1):
        answers = [True] * right + [False] * (n - right)
        for k in range(1, n + 1):
            draws = [any(answers[place] for place in draw) for draw in combinations(range(n), k)]
            assert pass_at_k(n, right, k) == pytest.approx(sum(draws) / len(draws), abs=1e-12)


def test_pass_at_1_is_the_mean_and_pass_at_n_whether_any_is_right() -> None:
    assert [pass_at_k(10, right, 1) for right in (0, 3, 10)] == pytest.approx([0, 0.3, 1])
    assert [pass_at_k(10, right, 10) for right in (0, 1)] == [0, 1]


def test_the_most_frequent_answer_wins_in_whatever_order() -> None:
    votes = [("a", 1.0), ("b", 0.0), ("a", 1.0), (None, 0.0), (None, 0.0), (None, 0.0)]
    assert {majority(*zip(*order, strict=True)) for order in permutations(votes)} == {1.0}
    tied = [("a", 1.0), ("b", 0.0), ("c", 0.0)]
    assert [majority(*zip(*order, strict=True)) for order in permutations(tied)] == pytest.approx([1 / 3] * 6)
    assert majority([None], [0.0]) == 0.0


def test_agreement_counts_pairs() -> None:
    assert agreement(["a"] * 4) == 1
    assert agreement(["a", "a", "b", "b"]) == pytest.approx(2 / 6)
    assert agreement([None, None, "a"]) == 0
    assert agreement([frozenset({1}), frozenset({1})]) == 1


def test_powers_of_two_and_the_number_itself() -> None:
    assert [powers(n) for n in (1, 2, 3, 16)] == [(1,), (1, 2), (1, 2, 3), (1, 2, 4, 8, 16)]
