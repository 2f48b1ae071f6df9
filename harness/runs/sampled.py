"""Several answers an item (``--samples``): how they are asked for, and how their scores become the item's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from ...metrics.contract import ItemScore, Metric, Sample
from ...metrics.fingerprints import fingerprint
from ...metrics.intervals import ClusterSums, bootstrap_sums, statistics_matrix
from ...metrics.repeats import agreement, majority, pass_at_k, powers
from ..engines.contract import Completion, Engine, Request, Sampling

# The number of an answer among those of its item, from 0, and what is asked.
Draw = tuple[int, Request]


def draw_key(key: str, draw: int) -> str:
    """The key of an item's answer number ``draw``, from 1; the first, number 0, has the key of its prompt."""
    return fingerprint([key, "sample", draw])


def draws_of(requests: Iterable[Request], count: int) -> dict[str, Draw]:
    """Every answer that is asked for, by its key: first those that runs with one answer an item ask for too."""
    requests = list(requests)
    first: dict[str, Draw] = {request.key: (0, request) for request in requests}
    more = (
        (draw, replace(request, key=draw_key(request.key, draw))) for draw in range(1, count) for request in requests
    )
    return first | {request.key: (draw, request) for draw, request in more}


def generated(engine: Engine, draws: Sequence[Draw], sampling: Sampling) -> Iterator[Completion]:
    """The completions, with a seed for each draw.

    Local engines draw by key and seed. A server only has the seed, and may answer equal requests alike.
    """
    for draw, group in groupby(draws, key=itemgetter(0)):
        seed = (sampling.seed + draw) % 2**32
        yield from engine.generate([request for _, request in group], replace(sampling, seed=seed))


def merged(scores: Sequence[ItemScore]) -> ItemScore:
    """The item's score: the mean over its answers, and the sum of their statistics.

    Where an answer has no score the item has none: a mean over the others would be of another kind.
    """
    judgements = tuple(dict.fromkeys(key for score in scores for key in score.judgements))
    if (absent := next((score for score in scores if score.value is None), None)) is not None:
        return replace(absent, judgements=judgements)
    values = [score.value for score in scores if score.value is not None]
    stats = None
    if all(score.stats is not None for score in scores):
        stats = tuple(map(sum, zip(*(score.stats or () for score in scores), strict=True)))
    repeats: tuple[float | None, ...] = ()
    if width := max(len(score.repeats) for score in scores):
        # An answer that no judge was asked about has its score each time.
        passes = zip(*(score.repeats or (score.value,) * width for score in scores), strict=True)
        known = [[value for value in each if value is not None] for each in passes]
        repeats = tuple(sum(each) / len(each) if len(each) == len(scores) else None for each in known)
    return ItemScore(sum(values) / len(values), stats=stats, judgements=judgements, repeats=repeats)


class Together:
    """What the answers to each question are worth together, by one metric whose scores are right or wrong."""

    def __init__(self, metric: Metric, count: int, clusters: tuple[int, Any]) -> None:
        self._metric, self._powers = metric, powers(count)
        self._sums = {name: ClusterSums(*clusters) for name in self._names}

    @property
    def _names(self) -> list[str]:
        return [*(f"pass@{k}" for k in self._powers), "majority", "agreement"]

    def add(self, samples: Sequence[Sequence[Sample]], scores: Sequence[Sequence[ItemScore]]) -> None:
        """Count the next items: of each all its answers, and their scores in the same order."""
        rows = [self._values(answers, each) for answers, each in zip(samples, scores, strict=True)]
        for place, name in enumerate(self._names):
            column = [ItemScore(None, "missing") if row is None else ItemScore(row[place]) for row in rows]
            self._sums[name].add(statistics_matrix(self._metric, column))

    def _values(self, samples: Sequence[Sample], scores: Sequence[ItemScore]) -> list[float] | None:
        values = [score.value for score in scores if score.value is not None]
        if len(values) < len(scores) or self._metric.says is None:
            return None
        said = [self._metric.says(sample) for sample in samples]
        right = sum(value == self._metric.range[1] for value in values)
        passed = [pass_at_k(len(values), right, k) for k in self._powers]
        return [*passed, majority(said, values), agreement(said)]

    def entry(self) -> dict[str, Any]:
        """The header's entry: value and interval of each, from the same resampled clusters as the metric's."""
        estimates = bootstrap_sums([self._metric] * len(self._sums), list(self._sums.values()))
        return {
            name: {"value": each.value, "ci_low": each.ci_low, "ci_high": each.ci_high, "n": each.n}
            for name, each in zip(self._sums, estimates, strict=True)
        }


def of_each_answer(
    group: Sequence[tuple[Sample, Mapping[str, Any]]], all_scores: Mapping[str, Sequence[ItemScore]]
) -> dict[str, Any]:
    """What an item's line holds of several answers, each given as metrics see it and as the journal has it."""
    return {
        "predictions": [sample.prediction for sample, _ in group],
        "finish_reasons": [record.get("finish_reason") for _, record in group],
        "sample_scores": {name: [score.value for score in each] for name, each in all_scores.items()},
    }
