"""What is found of metrics whose worth is known: one that sees numbers, one that sees words, one that sees nothing."""

from __future__ import annotations

import re

import pytest

from telbench.errors import TelbenchError
from telbench.metrics.contract import Metric, Sample, metric, metrics_named
from telbench.metrics.worth.measure import measure

from .test_answers import items


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+", text)


@metric(name="by_numbers", family="ngram", range=(0, 1), needs={"references"})
def by_numbers(sample: Sample) -> float:
    """Are the numbers those of the reference?"""
    return float(sorted(numbers(sample.prediction)) == sorted(numbers(sample.references[0])))


@metric(name="apart", family="ngram", range=(0, 1), needs={"references"}, higher_is_better=False)
def apart(sample: Sample) -> float:
    """The same, lower is better."""
    return 1 - (by_numbers.score([sample])[0].value or 0)


@metric(name="asleep", family="ngram", range=(0, 1), needs={"references"})
def asleep(sample: Sample) -> float | None:
    """Reads no letter, and has no value on an empty answer."""
    return 0.5 if sample.prediction else None


def found(*metrics: Metric, labelled: list[tuple[Sample, bool]] | None = None):
    return measure(metrics, items(60), labelled or [])


def test_a_metric_that_sees_numbers_is_told_from_one_that_sees_words() -> None:
    worth = found(by_numbers, *metrics_named(["token_f1"]))
    seeing, blind = worth.metrics
    assert seeing.by_kind["number"].auc == 1.0
    assert seeing.by_kind["direction"].auc == 0.5
    assert seeing.unrelated.auc == 1.0
    assert seeing.by_kind["entity"].auc is None
    assert not seeing.blind
    assert blind.wrong.auc == 0.0
    assert blind.blind
    # With the words held equal, what is left is the fact.
    assert (blind.wording.auc or 0) > 0.5
    assert (worth.items, worth.clusters) == (60, 50)


def test_lower_is_better_is_turned_and_values_are_told_as_the_metric_gives_them() -> None:
    high, low = found(by_numbers, apart).metrics
    assert (high.wrong.auc, high.unrelated.auc) == (low.wrong.auc, low.unrelated.auc)
    assert (low.values["itself"], low.values["unrelated"], high.values["itself"]) == (0.0, 1.0, 1.0)
    assert low.reads == high.reads == 1.0


def test_a_metric_that_reads_nothing_is_told_and_absent_values_are_counted() -> None:
    (worth,) = found(asleep).metrics
    assert worth.unread
    assert worth.reads == 0.0
    assert worth.absent == {"empty": 60}
    assert worth.values["empty"] is None
    assert worth.wrong.auc == 0.5


def test_metrics_that_rank_alike_are_one_voice() -> None:
    worth = found(by_numbers, apart, asleep, *metrics_named(["token_f1", "technical_f1"]))
    assert ("by_numbers", "apart") in worth.voices
    assert ("token_f1", "technical_f1") in worth.voices
    assert worth.correlations["by_numbers", "apart"] == pytest.approx(1.0)


def test_own_labels_have_their_own_auc() -> None:
    sample = items(1)[0]
    labelled = [
        (Sample(f"l{k}", text, sample.references), right)
        for k in range(12)
        for text, right in (("It is T0 and 100.", True), (f"T0 for {200 + k} ms", False))
    ]
    worth = found(by_numbers, labelled=labelled)
    assert worth.metrics[0].labelled is not None
    assert worth.metrics[0].labelled.auc == 1.0
    assert worth.labels == (12, 12)


def test_a_metric_that_fails_is_named() -> None:
    @metric(name="broken", family="ngram", range=(0, 1))
    def broken(sample: Sample) -> float:
        """Fails."""
        raise ValueError("no")

    with pytest.raises(TelbenchError, match="metric 'broken' failed: ValueError: no"):
        found(broken)
