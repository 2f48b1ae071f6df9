"""Products of thin matrices run on one thread, and what was set before is set again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from telbench.leaderboard.statistics.corpus import bootstrap_differences, corpus_difference
from telbench.metrics.contract import metrics_named
from telbench.metrics.intervals import replicates
from telbench.metrics.threads import one_thread


def threads() -> set[int]:
    """How many threads numpy's BLAS uses; other packages of this process bring libraries of their own."""
    folder = str(Path(np.__file__).parents[1])
    own = [each for each in threadpool_info() if each["user_api"] == "blas"]
    beside = [each for each in own if each["filepath"].startswith((f"{folder}/numpy", f"{folder}/numpy.libs"))]
    return {each["num_threads"] for each in beside or own}


@pytest.fixture(autouse=True)
def _two_threads():
    with threadpool_limits(limits=2, user_api="blas"):
        yield


def test_blas_has_one_thread_within_and_as_many_as_before_after_an_error_too():
    assert threads() == {2}
    within = []

    @one_thread()
    def fails():
        within.append(threads())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert within == [{1}]
    assert threads() == {2}


def test_resamples_of_corpus_scores_are_summed_on_one_thread():
    seen = []

    def score(rows):
        if len(rows) == 50:
            seen.append(threads())
        return rows[:, 0] / rows[:, 1]

    draw = np.random.default_rng(0)
    run, other = draw.integers(1, 9, (2, 40, 2)).astype(float)
    corpus_difference(run, other, score, resamples=50)
    bootstrap_differences(run, other, score, resamples=50)
    assert seen == [{1}] * 6
    assert threads() == {2}


@pytest.mark.parametrize(("groups", "expected"), [(3, 2), (400, 1)])
def test_resamples_of_runs_are_summed_on_one_thread_where_there_is_anything_to_split(groups, expected):
    seen = []
    (bleu,) = metrics_named(["bleu"])

    def aggregate(rows):
        seen.append(threads())
        return rows[:, 0]

    metric = replace(bleu, aggregate=aggregate)
    replicates([metric], [np.ones((groups, 11))], 200, 0)
    assert seen == [{expected}]
