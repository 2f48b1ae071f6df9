"""A judged mean corrected by labels: against PPI++ by hand, and in simulations of judges with known errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from telbench.errors import InputError
from telbench.metrics.judged.prediction_powered import FEWEST, corrected_mean, corrected_values

Numbers = NDArray[np.float64]


def each_its_own(count: int) -> list[str]:
    return [str(place) for place in range(count)]


def hidden(truth: Numbers, labels: int) -> Numbers:
    """The truth of the first so many items."""
    return np.where(np.arange(len(truth)) < labels, truth, math.nan)


def judged(truth: Numbers, sensitivity: float, specificity: float, draw: np.random.Generator) -> Numbers:
    """What a judge says of answers that are right or wrong."""
    return (draw.random(len(truth)) < np.where(truth == 1, sensitivity, 1 - specificity)).astype(np.float64)


def test_it_is_ppi_by_its_own_formula() -> None:
    """PPI++ (algorithm 1 for means): unlabelled items apart from the labelled ones, lambda by their covariance."""
    draw = np.random.default_rng(0)
    truth = draw.normal(size=900)
    scores = 0.6 * truth + draw.normal(size=900) + 0.3
    found = corrected_mean(scores, hidden(truth, 300), each_its_own(900))
    y, f, other = truth[:300], scores[:300], scores[300:]
    covariance, variance = float(np.cov(y, f)[0, 1]), float(scores.var(ddof=1))
    power = covariance / (variance * (1 + 300 / 600))
    value = power * other.mean() + (y - power * f).mean()
    error = math.sqrt(power**2 * other.var(ddof=1) / 600 + (y - power * f).var(ddof=1) / 300)
    # lambda of all items against lambda of the unlabelled ones: their share apart.
    assert found.power * 600 / 900 == pytest.approx(power, rel=0.02)
    assert found.value == pytest.approx(value, abs=2e-3)
    assert found.error == pytest.approx(error, rel=0.02)
    assert found.judged == pytest.approx(scores.mean())
    assert found.labelled == pytest.approx(y.mean())


@pytest.mark.parametrize("labels", [100])
def test_a_judge_of_known_errors_misses_the_truth_where_the_corrected_interval_covers_it(labels: int) -> None:
    """500 items, sensitivity .9, specificity .7: the judge's interval covers the truth in about a fifth of the runs."""
    draw, runs = np.random.default_rng(1), 2000
    alone = covered = by_labels = narrower = 0
    for _ in range(runs):
        truth = (draw.random(500) < 0.6).astype(np.float64)
        scores = judged(truth, 0.9, 0.7, draw)
        found = corrected_mean(scores, hidden(truth, labels), each_its_own(500))
        half = 1.96 * scores.std(ddof=1) / math.sqrt(500)
        alone += abs(scores.mean() - 0.6) <= half
        covered += found.ci_low <= 0.6 <= found.ci_high
        own = 1.96 * truth[:labels].std(ddof=1) / math.sqrt(labels)
        by_labels += abs(truth[:labels].mean() - 0.6) <= own
        narrower += (found.ci_high - found.ci_low) / 2 < own
    assert 0.15 < alone / runs < 0.27
    assert 0.935 <= covered / runs <= 0.965
    assert by_labels / runs > 0.92
    assert narrower / runs > 0.95


def test_two_equal_candidates_are_not_told_apart_though_the_judge_is_lenient_to_words() -> None:
    draw, runs = np.random.default_rng(2), 1000
    different = {"judge": 0, "corrected": 0}
    for _ in range(runs):
        short, long = ((draw.random(500) < 0.6).astype(np.float64) for _ in range(2))
        # Of the wordier one's wrong answers it takes half for right, of the other's a quarter.
        said = judged(long, 0.92, 0.5, draw) - judged(short, 0.88, 0.75, draw)
        half = 1.96 * said.std(ddof=1) / math.sqrt(500)
        different["judge"] += abs(said.mean()) > half
        found = corrected_mean(said, hidden(long - short, 150), each_its_own(500))
        different["corrected"] += not found.ci_low <= 0 <= found.ci_high
    assert different["judge"] / runs > 0.9
    assert 0.03 <= different["corrected"] / runs <= 0.07


def test_documents_are_the_unit() -> None:
    """Ten items of a document share their truth and the judge's error: intervals hold, and are those of documents."""
    draw, runs = np.random.default_rng(3), 1000
    names = [str(place) for place in np.repeat(np.arange(80), 10)]
    covered = wrong = 0
    for _ in range(runs):
        shared = np.repeat(draw.normal(size=80), 10)
        truth = shared + 0.5 * draw.normal(size=800)
        scores = truth + 0.4 + np.repeat(0.7 * draw.normal(size=80), 10)
        labels = np.where(np.repeat(draw.permutation(80) < 40, 10), truth, math.nan)
        found = corrected_mean(scores, labels, names)
        covered += found.ci_low <= 0 <= found.ci_high
        items = corrected_mean(scores, labels, each_its_own(800))
        wrong += items.ci_low <= 0 <= items.ci_high
    assert 0.925 <= covered / runs <= 0.97
    assert wrong / runs < 0.7


def test_items_that_were_chosen_more_often_count_for_less() -> None:
    draw, runs = np.random.default_rng(4), 1000
    covered = plain = 0
    for _ in range(runs):
        truth = (draw.random(600) < 0.5).astype(np.float64)
        scores = judged(truth, 0.9, 0.7, draw)
        # Low scores are labelled four times as often.
        chance = np.where(scores == 0, 0.4, 0.1)
        labels = np.where(draw.random(600) < chance, truth, math.nan)
        found = corrected_mean(scores, labels, each_its_own(600), 1 / chance)
        covered += found.ci_low <= 0.5 <= found.ci_high
        alike = corrected_mean(scores, labels, each_its_own(600))
        plain += alike.ci_low <= 0.5 <= alike.ci_high
    assert 0.93 <= covered / runs <= 0.97
    assert plain / runs < 0.9


def test_a_judge_that_tells_nothing_leaves_the_labels_and_a_perfect_one_all_items() -> None:
    draw = np.random.default_rng(5)
    truth = draw.normal(size=400)
    labels = hidden(truth, 100)
    idle = corrected_mean(np.full(400, 0.3), labels, each_its_own(400))
    assert (idle.power, idle.value) == (0.0, pytest.approx(truth[:100].mean()))
    perfect = corrected_mean(truth, labels, each_its_own(400))
    # lambda is estimated, from sums that do not vanish by chance.
    assert perfect.power == pytest.approx(1.0, abs=0.1)
    assert perfect.value == pytest.approx(truth.mean(), abs=0.02)
    assert perfect.error == pytest.approx(truth.std(ddof=1) / 20, rel=0.02)
    opposed = corrected_mean(-truth, labels, each_its_own(400))
    assert opposed.power == 0.0
    every = corrected_mean(-truth, truth, each_its_own(400))
    assert every.value == pytest.approx(truth.mean())


def test_too_few_labels_or_documents_are_refused() -> None:
    truth = np.linspace(0, 1, 40)
    with pytest.raises(InputError, match=f"^{FEWEST - 1} labels are too few"):
        corrected_mean(truth, hidden(truth, FEWEST - 1), each_its_own(40))
    with pytest.raises(InputError, match=r"^labels of 4 documents are too few"):
        corrected_mean(truth, hidden(truth, 20), [str(place // 5) for place in range(40)])


def test_values_of_items_have_the_corrected_mean_and_its_error() -> None:
    draw = np.random.default_rng(6)
    names = [str(place) for place in np.repeat(np.arange(100), 5)]
    truth = draw.normal(size=500) + np.repeat(draw.normal(size=100), 5)
    scores = 0.7 * truth + 0.5 * draw.normal(size=500) + 0.8
    labels = np.where(draw.random(500) < 0.4, truth, math.nan)
    weights = draw.uniform(1, 4, 500)
    for given in (None, weights):
        found, values = corrected_mean(scores, labels, names, given), corrected_values(scores, labels, names, given)
        assert values.mean() == pytest.approx(found.value)
        sums = values.reshape(100, 5).sum(axis=1)
        error = math.sqrt(100 / 99 * float(((sums - sums.mean()) ** 2).sum())) / 500
        assert error == pytest.approx(found.error, rel=0.02)
