"""The interval for the mean of all items: it holds at every look, whatever the scores and their clusters."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.harness.adaptive.sequence import OneSided, WholeMean

Array = np.ndarray


def capital(scores: Array, known: Array, mean: float, alpha: float) -> float:
    """log of what the bets come to, step by step as the docstring says it, for one order of asking."""
    total, n = len(known), len(scores)
    logs = np.zeros(4)
    best = -math.inf
    centre, told, before = known.mean(), known, scores
    weight = 8.0 * ((known - centre) ** 2).mean() + 1e-9
    top, bottom, spread = weight * 0.5, weight, 0.25
    for t in range(n):
        left = total - t
        expected = (total * mean - before[:t].sum()) / left
        if expected < -1e-9:
            return math.inf
        side = (known.sum() - told[:t].sum()) / left
        slope = min(1.0, max(0.0, top / bottom))
        variance = spread / (t + 1)
        for place, odds in enumerate((1 / 32, 1 / 7, 1 / 2, 2.0)):
            stake = math.sqrt(2 * math.log(1 / alpha) / (odds * total * variance))
            stake = min(stake, 0.95 / (max(expected, 0) + slope * (known.max() - side) + 1e-9))
            logs[place] += math.log1p(stake * (scores[t] - max(expected, 0) - slope * (told[t] - side)))
        best = max(best, float(np.logaddexp.reduce(logs) - math.log(4)))
        far = told[t] - centre
        running = (1 + scores[: t + 1].sum()) / (t + 2)
        rest = scores[t] - slope * far
        rests = (
            [scores[s] - min(1.0, max(0.0, slopes[s])) * (told[s] - centre) for s in range(t)]
            if (slopes := _slopes(scores, known)) is not None
            else []
        )
        middle = (1 + sum(rests) + rest) / (t + 2)
        spread += (rest - middle) ** 2
        top += far * (scores[t] - running)
        bottom += far * far
    return best


def _slopes(scores: Array, known: Array) -> list[float]:
    centre = known.mean()
    weight = 8.0 * ((known - centre) ** 2).mean() + 1e-9
    top, bottom, found = weight * 0.5, weight, []
    for t in range(len(scores)):
        found.append(top / bottom)
        far = known[t] - centre
        top += far * (scores[t] - (1 + scores[: t + 1].sum()) / (t + 2))
        bottom += far * far
    return found


def test_the_capital_is_that_of_bets_made_one_by_one() -> None:
    draw = np.random.default_rng(0)
    known = draw.random(40)
    scores = np.clip(known[:25] + draw.normal(0, 0.3, 25), 0, 1)
    one = OneSided(scores, known, 0.2)
    for mean in (0.05, 0.2, 0.35, 0.5, 0.8):
        assert one.above(mean) == (capital(scores, known, mean, 0.2) >= math.log(5))
    # The bound is where the two change places.
    bound = one.bound()
    assert capital(scores, known, bound - 1e-6, 0.2) >= math.log(5) > capital(scores, known, bound + 1e-6, 0.2)


def test_in_every_order_of_all_items_the_bound_is_wrong_in_no_more_than_it_promises() -> None:
    # All 5,040 orders of seven items: the share in which the mean is ever said to be higher than it is.
    scores = np.array([0.0, 0.1, 0.2, 0.2, 0.9, 1.0, 1.0])
    known = np.array([0.1, 0.0, 0.9, 0.3, 0.8, 1.0, 0.2])
    alpha, wrong, orders = 0.4, 0, list(itertools.permutations(range(7)))
    for order in orders:
        places = list(order)
        wrong += any(
            OneSided(scores[places[:n]], known[places], alpha).above(scores.mean() + 1e-9) for n in range(1, 7)
        )
    assert 0 < wrong / len(orders) <= alpha


@pytest.mark.parametrize("kind", ["right or wrong", "rare failures", "documents alike", "known beforehand"])
def test_the_interval_misses_the_mean_at_any_look_in_no_more_than_it_promises(kind: str) -> None:
    draw = np.random.default_rng(len(kind))
    total, alpha, misses, repeats = 150, 0.2, 0, 300
    for _ in range(repeats):
        known = draw.random(total)
        scores = (draw.random(total) < 0.4).astype(float)
        if kind == "rare failures":
            scores = 1.0 - (draw.random(total) < 0.03)
        elif kind == "documents alike":
            scores = np.repeat(draw.random(10), np.r_[60, 30, 20, 10, 10, 5, 5, 4, 3, 3])
        elif kind == "known beforehand":
            scores = np.clip(known + draw.normal(0, 0.05, total), 0, 1)
        order = draw.permutation(total)
        asked = np.asarray(scores, np.float64)[order[:-1]]
        whole = WholeMean(asked, asked, known[order], alpha)
        # Bets are looked at after every item, so one look at the end sees all looks.
        misses += whole.above(scores.mean() + 1e-9) or whole.below(scores.mean() - 1e-9)
    assert misses / repeats <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / repeats)


def test_what_is_known_beforehand_makes_it_shorter() -> None:
    draw = np.random.default_rng(3)
    known = draw.random(1000)
    scores = np.clip(known + draw.normal(0, 0.1, 1000), 0, 1)[:200]
    low, high = WholeMean(scores, scores, known, 0.05).interval()
    wide_low, wide_high = WholeMean(scores, scores, np.full(1000, 0.5), 0.05).interval()
    assert high - low < 0.6 * (wide_high - wide_low)


def test_what_is_left_cannot_take_the_mean_beyond_what_was_seen() -> None:
    scores = np.ones(90)
    low, high = WholeMean(scores, scores, np.full(100, 0.5), 0.05).interval()
    assert 0.9 - 1e-6 <= low <= 1
    assert high == pytest.approx(1)


def test_an_unknown_score_is_held_at_both_ends() -> None:
    draw = np.random.default_rng(4)
    scores, known = draw.random(60), draw.random(100)
    lows, highs = scores.copy(), scores.copy()
    lows[:10], highs[:10] = 0, 1
    low, high = WholeMean(scores, scores, known, 0.05).interval()
    wide_low, wide_high = WholeMean(lows, highs, known, 0.05).interval()
    assert wide_low < low < high < wide_high


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=30),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_a_higher_mean_is_never_shown_before_a_lower_one(
    scores: list[float], seed: int, one: float, other: float
) -> None:
    known = np.random.default_rng(seed).random(len(scores) + 5)
    bets = OneSided(np.array(scores), known, 0.3)
    low, high = sorted((one, other))
    assert bets.above(low) or not bets.above(high)
