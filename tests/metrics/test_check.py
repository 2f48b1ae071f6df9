"""The checks behind ``telbench metrics check``: built-ins keep the contract, faulty metrics are caught."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from telbench.metrics.check import check_metric
from telbench.metrics.contract import GROUP, ItemScore, Metric, Sample, metric, metrics_named
from telbench.registry import listed


@pytest.mark.parametrize("name", sorted(listed(GROUP)))
def test_every_built_in_metric_keeps_the_contract(name: str) -> None:
    assert check_metric(metrics_named([name])[0]) == []


@pytest.mark.parametrize("name", sorted(listed(GROUP)))
def test_every_built_in_corpus_metric_tells_how_many_statistics_it_makes(name: str) -> None:
    (record,) = metrics_named([name])
    assert (record.statistics is None) == (record.level == "item")
    # A number that is not the true one is caught.
    wrong = replace(record, statistics=7)
    expected = "which only corpus metrics have" if record.level == "item" else "declares 7 statistics an item and gives"
    assert any(expected in problem for problem in check_metric(wrong))


def faulty(function, **changes) -> Metric:
    """A metric around a function, declared as the changes say."""
    return metric(**{"name": "faulty", "family": "ngram", "range": (0, 1), **changes})(function)


def test_a_value_outside_the_declared_range_is_caught() -> None:
    def words(sample: Sample) -> float:
        """Count words."""
        return float(len(sample.prediction.split()))

    assert any("outside the range" in problem for problem in check_metric(faulty(words)))


def test_a_metric_that_raises_on_empty_answers_is_caught() -> None:
    def first(sample: Sample) -> float:
        """Is the first word capitalised."""
        return float(sample.prediction.split()[0].istitle())

    assert any("IndexError" in problem for problem in check_metric(faulty(first)))


def test_a_metric_that_depends_on_what_came_before_is_caught() -> None:
    counter = itertools.count()

    def drift(sample: Sample) -> float:
        """Drift."""
        return (next(counter) % 7) / 7

    assert any("order" in problem for problem in check_metric(faulty(drift)))


def test_a_missing_description_and_unknown_needs_are_caught() -> None:
    problems = check_metric(faulty(lambda sample: 0.5, needs={"referances"}))
    assert any("description" in problem for problem in problems)
    assert any("referances" in problem for problem in problems)


def test_corpus_statistics_of_changing_length_are_caught() -> None:
    def score_batch(samples):
        return [ItemScore(0.0, None, (1.0,) * (1 + len(sample.prediction) % 2)) for sample in samples]

    record = Metric(
        name="ragged",
        family="ngram",
        range=(0, 1),
        higher_is_better=True,
        needs=frozenset(),
        level="corpus",
        description="Ragged.",
        score_batch=score_batch,
        aggregate=lambda sums: sums[:, 0] * 0,
    )
    assert any("one fixed length" in problem for problem in check_metric(record))
