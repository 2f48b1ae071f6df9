"""What a judge varies by is in the interval: passes that are lenient as a whole, and only what they add."""

from __future__ import annotations

import numpy as np
import pytest

from telbench.metrics.contract import ItemScore, Metric
from telbench.metrics.intervals import ClusterSums, Estimate, bootstrap_sums, cluster_numbers, statistics_matrix
from telbench.metrics.judged.passes import PassSpread, PassSums

TRUTH = 3.0
JUDGED = Metric("judged", "judged", (1, 5), True, frozenset(), "item", "", lambda samples: [])


def scored(values: np.ndarray) -> list[ItemScore]:
    return [ItemScore(float(row.mean()), repeats=tuple(map(float, row))) for row in values]


def estimates(values: np.ndarray, documents: np.ndarray, seed: int) -> tuple[Estimate, Estimate, PassSpread]:
    """The interval of the bootstrap over documents alone, and that with the passes."""
    numbers = cluster_numbers([f"{document:04d}" for document in documents])
    sums, passes, scores = ClusterSums(*numbers), PassSums(values.shape[1], *numbers), scored(values)
    sums.add(statistics_matrix(JUDGED, scores))
    passes.add(scores)
    spread = passes.spread()
    assert spread.error is not None
    (alone,) = bootstrap_sums([JUDGED], [sums], resamples=400, seed=seed)
    (whole,) = bootstrap_sums([JUDGED], [sums], shifts=[(spread.error, spread.freedom)], resamples=400, seed=seed)
    return alone, whole, spread


@pytest.mark.parametrize(
    ("repeats", "pass_sd", "documents", "most_alone"),
    [(4, 0.15, 200, 0.85), (8, 0.15, 200, 0.92), (4, 0.15, 50, 0.9), (4, 0.0, 200, 0.99)],
    ids=["four passes", "eight passes", "documents of four items", "no pass differs"],
)
def test_the_interval_covers_what_the_judge_would_say_on_average(repeats, pass_sd, documents, most_alone):
    """Truth: the mean over items of the judge's expected score over all passes that it might make."""
    rng, covered, widths, runs = np.random.default_rng(1), np.zeros(2), np.zeros(2), 200
    document = np.arange(200) % documents
    for run in range(runs):
        items = TRUTH + rng.normal(0, 0.5, documents)[document] + rng.normal(0, 0.5, 200)
        moved = items[:, None] + rng.normal(0, pass_sd, repeats) + rng.normal(0, 0.5, (200, repeats))
        for place, each in enumerate(estimates(moved, document, run)[:2]):
            assert each.ci_low is not None
            assert each.ci_high is not None
            covered[place] += each.ci_low <= TRUTH <= each.ci_high
            widths[place] += each.ci_high - each.ci_low
    alone, whole = covered / runs
    assert alone <= most_alone
    assert whole >= 0.91
    # Where no pass differs, next to nothing is added.
    assert widths[1] <= (1.1 if pass_sd == 0 else 4) * widths[0]


def test_the_spread_of_passes_is_that_of_a_two_way_model():
    """By hand: every pass moves all items alike, so nothing is left to chance."""
    values = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [3.0, 4.0, 5.0]])
    _, _, spread = estimates(values, np.arange(3), 0)
    # Pass means 2, 3, 4: variance 1, over 3 passes.
    assert spread.error == pytest.approx(np.sqrt(1 / 3))
    assert spread.within == pytest.approx(1.0)
    assert (spread.freedom, spread.items) == (2, 3)


def test_what_moves_single_items_adds_nothing():
    values = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 4.0], [4.0, 3.0]])
    alone, whole, spread = estimates(values, np.arange(4), 0)
    assert spread.error == 0
    assert (alone.ci_low, alone.ci_high) == (whole.ci_low, whole.ci_high)
    assert whole.ci_method == f"{alone.ci_method}|passes:2"


def test_the_sums_match_a_model_fitted_at_once():
    """Against an independent computation of the same variance from the whole matrix, unequal documents."""
    rng = np.random.default_rng(3)
    document = np.array([0, 0, 0, 1, 1, 2, 3, 3, 4, 5])
    values = np.clip(3 + rng.normal(0, 0.5, (10, 1)) + rng.normal(0, 0.4, (1, 4)) + rng.normal(0, 0.2, (10, 4)), 1, 5)
    _, _, spread = estimates(values, document, 0)
    apart = values - values.mean(axis=1, keepdims=True)
    means = apart.mean(axis=0)
    groups = [apart[document == each] - means for each in np.unique(document)]
    chance = len(groups) / (len(groups) - 1) * sum((each.sum(axis=0) ** 2).sum() for each in groups) / 10**2
    assert spread.error == pytest.approx(np.sqrt(((means**2).sum() - chance) / 3 / 4))


def test_items_without_all_passes_tell_nothing_of_them_and_unasked_ones_do_not_move():
    numbers = cluster_numbers(["a", "b", "c", "d", "e"])
    passes = PassSums(2, *numbers)
    passes.add(
        [ItemScore(2.5, repeats=(2.0, 3.0)), ItemScore(3.5, repeats=(3.0, 4.0)), ItemScore(5.0, repeats=(None, 5.0))]
    )
    passes.add([ItemScore(None, "judge: schema"), ItemScore(1.0, "empty answer")])
    spread = passes.spread()
    assert spread.items == 2
    # Two of three counted items move by half a point to either side.
    numbers = cluster_numbers(["a", "b", "c"])
    same = PassSums(2, *numbers)
    same.add([ItemScore(2.5, repeats=(2.0, 3.0)), ItemScore(3.5, repeats=(3.0, 4.0)), ItemScore(1.0)])
    assert spread.error == pytest.approx(same.spread().error)
    alone = PassSums(2, *cluster_numbers(["a"]))
    alone.add([ItemScore(2.5, repeats=(2.0, 3.0))])
    assert alone.spread() == PassSpread(2, None, None, 1)
