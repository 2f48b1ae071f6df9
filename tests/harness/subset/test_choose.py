"""Items that stand for all: drawn without bias, nearer to all than chance is, and their error honestly told."""

from __future__ import annotations

import numpy as np
import pytest

from telbench.harness.subset.choose import _spread_over, chosen_items
from telbench.harness.subset.error import compared_with_chance, left_out


def past(runs: int, items: int, seed: int = 0, spread: float = 1.5) -> np.ndarray:
    """Right-or-wrong scores of models of several abilities on items of several difficulties."""
    draw = np.random.default_rng(seed)
    ability, hardness = draw.normal(0, 1, runs), draw.normal(0, spread, items)
    return (draw.random((runs, items)) < 1 / (1 + np.exp(hardness - ability[:, None]))).astype(float)


@pytest.mark.parametrize(("total", "n"), [(10, 3), (10, 9), (7, 2), (50, 20)])
def test_every_item_has_the_same_chance(total: int, n: int) -> None:
    draw = np.random.default_rng(1)
    hardness = draw.random(total)
    counts = np.zeros(total)
    for _ in range(4000):
        places = _spread_over(hardness, n, draw)
        assert len(set(places.tolist())) == n
        assert list(places) == sorted(places)
        counts[places] += 1
    assert counts / 4000 == pytest.approx(np.full(total, n / total), abs=0.03)


def test_a_part_is_spread_over_difficulty() -> None:
    hardness = np.random.default_rng(2).permutation(np.arange(100.0))
    for seed in range(20):
        places = _spread_over(hardness, 10, np.random.default_rng(seed))
        found = np.sort(hardness[places])
        assert abs(found - np.arange(5, 100, 10)).max() <= 15


def test_a_chosen_part_is_nearer_to_a_run_that_was_left_out_than_a_random_one() -> None:
    scores, n = past(8, 600, spread=3.0), 60
    draw, documents = np.random.default_rng(3), np.arange(600) // 4
    chosen = [
        left_out(scores, documents, lambda past: chosen_items(past, ["core", "radio"] * 300, n, draw)) for _ in range(4)
    ]
    means = scores.mean(axis=1)
    # The mean absolute error of a random part: that of a normal with the variance of draws without replacement.
    chance = np.sqrt(2 / np.pi) * np.sqrt(means * (1 - means) / n * (1 - n / 600)).mean()
    assert np.mean([each.mean for each in chosen]) < 0.8 * chance
    random = compared_with_chance(scores, documents, [None] * 600, n, draw, repeats=10)[1]
    assert random.mean == pytest.approx(chance, rel=0.25)


def test_of_many_draws_the_nearest_to_all_is_kept() -> None:
    scores = past(1, 500, seed=6)
    off = [
        scores[0, chosen_items(scores, [None] * 500, 40, np.random.default_rng(seed))].mean() - scores.mean()
        for seed in range(20)
    ]
    # Parts of 40 go in steps of 0.025: none is further off than half of one.
    assert np.abs(off).max() <= 0.0125


def test_categories_keep_their_shares() -> None:
    scores = past(6, 400)
    categories = ["rare"] * 40 + ["usual"] * 360
    places = chosen_items(scores, categories, 50, np.random.default_rng(4))
    assert abs(sum(categories[place] == "rare" for place in places) - 5) <= 1


def test_the_left_out_run_is_never_looked_at() -> None:
    scores = past(5, 100)
    seen: list[np.ndarray] = []

    def choose(given: np.ndarray) -> np.ndarray:
        seen.append(given)
        return np.arange(20)

    found = left_out(scores, np.arange(100), choose)
    for run, given in enumerate(seen):
        assert given.shape == (4, 100)
        assert (given == np.delete(scores, run, axis=0)).all()
    off = abs(scores[:, :20].mean(axis=1) - scores.mean(axis=1))
    assert found.mean == pytest.approx(off.mean())
    assert found.largest == pytest.approx(off.max())


def test_a_part_of_all_items_is_off_by_nothing() -> None:
    scores = past(5, 60)
    found = left_out(scores, np.arange(60) // 2, lambda given: np.arange(60))
    assert (found.mean, found.largest, found.agreement, found.opposite) == (0, 0, 1, 0)
    assert found.rank_correlation == pytest.approx(1)


def test_missing_scores_are_no_zeros() -> None:
    scores = past(6, 300)
    holes = scores.copy()
    holes[:, ::7] = np.nan
    places = chosen_items(holes, [None] * 300, 40, np.random.default_rng(5))
    assert len(places) == 40
    found = left_out(holes, np.arange(300), lambda given: places)
    assert found.mean < 0.15
