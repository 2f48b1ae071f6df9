"""Every metric on answers of known worth: what it tells apart, the values it gives, what it reads, whom it repeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telbench.errors import TelbenchError

from ..anchors import BLIND
from ..contract import Metric, Sample
from ..near_misses import KINDS
from .answers import Answers, answers_to
from .redundancy import ONE_VOICE, rank_correlations, voices
from .separation import Area, Value, area

# What a file of a record says it is.
KIND = "telbench metrics worth"
# Reference against itself: below so large a share of best values a metric does not read the texts.
_READS = 0.99
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class MetricWorth:
    """What one metric is worth on the data.

    ``unrelated``, ``wrong``, ``by_kind`` and ``wording`` say how surely it puts a right answer above another item's,
    above one wrong fact in the words of the reference (all kinds, and each), and above the right answer itself with a
    wrong fact. ``labelled`` does so on the user's own labels. ``values`` are means by sort of answer: ``itself`` is the
    ceiling, ``unrelated`` and ``empty`` the floor. ``reads`` is the share of references that score the best value of
    the metric's range against themselves; None where it has no best value or takes no reference.
    """

    metric: Metric
    unrelated: Area
    wrong: Area
    by_kind: Mapping[str, Area]
    wording: Area
    labelled: Area | None
    values: Mapping[str, float | None]
    reads: float | None
    absent: Mapping[str, int]

    @property
    def blind(self) -> bool:
        """Does it put a right answer above a wrong fact little more often than by chance, or less often?"""
        return self.wrong.auc is not None and self.wrong.auc < BLIND

    @property
    def unread(self) -> bool:
        """Does it fail to read some of the texts?"""
        return self.reads is not None and self.reads < _READS

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record; ``near_miss_auc`` is what tables and boards take."""
        return {
            "signature": self.metric.signature,
            "family": self.metric.family,
            "higher_is_better": self.metric.higher_is_better,
            "near_miss_auc": self.wrong.auc,
            "blind_to_facts": self.blind,
            "unrelated": self.unrelated.to_dict(),
            "wrong_fact": self.wrong.to_dict(),
            "by_kind": {kind: found.to_dict() for kind, found in self.by_kind.items()},
            "wrong_fact_in_right_wording": self.wording.to_dict(),
            "labelled": self.labelled and self.labelled.to_dict(),
            "values": dict(self.values),
            "reads": self.reads,
            "absent": dict(self.absent),
        }


@dataclass(frozen=True)
class Worth:
    """What metrics are worth on the items: see `MetricWorth`, and `redundancy` for ``correlations`` and ``voices``."""

    items: int
    clusters: int
    answers: Answers
    metrics: tuple[MetricWorth, ...]
    correlations: Mapping[tuple[str, str], float]
    voices: tuple[tuple[str, ...], ...]
    labels: tuple[int, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return {
            "items": self.items,
            "source_documents": self.clusters,
            "right_answers": {"n": len(self.answers.right), "from": self.answers.right_from},
            "wrong_facts": {kind: len(self.answers.by_kind.get(kind, ())) for kind in KINDS},
            "labels": self.labels and {"right": self.labels[0], "wrong": self.labels[1]},
            "metrics": {each.metric.name: each.to_dict() for each in self.metrics},
            "rank_correlations": [[*pair, rho] for pair, rho in self.correlations.items()],
            "one_voice_from": ONE_VOICE,
            "voices": [list(voice) for voice in self.voices],
        }


def measure(
    metrics: Sequence[Metric],
    items: Sequence[Sample],
    labelled: Sequence[tuple[Sample, bool]] = (),
    tell: Callable[[str], object] = bool,
) -> Worth:
    """Score each metric on the `answers_to` the items, and on ``labelled`` answers with whether each is right.

    ``tell`` is given the name of each metric before it is scored.

    Raises:
        TelbenchError: when a metric fails, with its name.
    """
    answers, found, columns = answers_to(items), [], {}
    for metric in metrics:
        tell(metric.name)
        one, spread = _worth_of(metric, answers, labelled)
        found.append(one)
        # A metric that gives every answer the same value has no voice.
        if len(set(spread) - {None}) > 1:
            columns[metric.name] = spread
    correlations = rank_correlations(columns)
    right = sum(good for _, good in labelled)
    return Worth(
        items=len(answers.itself),
        clusters=len({_cluster(sample) for sample in answers.itself}),
        answers=answers,
        metrics=tuple(found),
        correlations=correlations,
        voices=tuple(map(tuple, voices(list(columns), correlations))),
        labels=(right, len(labelled) - right) if labelled else None,
    )


def _worth_of(
    metric: Metric, answers: Answers, labelled: Sequence[tuple[Sample, bool]]
) -> tuple[MetricWorth, list[float | None]]:
    """The worth of one metric, and its values over all answers, turned so that higher is better."""
    sign = 1.0 if metric.higher_is_better else -1.0

    every = list(dict.fromkeys((*answers.every, *(sample for sample, _ in labelled))))
    try:
        scores = metric.score(every)
    except TelbenchError:
        raise
    except Exception as error:
        raise TelbenchError(f"metric '{metric.name}' failed: {type(error).__name__}: {error}") from error
    known = {
        sample: None if score.value is None else sign * score.value for sample, score in zip(every, scores, strict=True)
    }

    def valued(samples: Sequence[Sample]) -> list[Value]:
        return [Value(value, _cluster(sample)) for sample in samples if (value := known[sample]) is not None]

    right, itself = valued(answers.right), valued(answers.itself)
    unrelated, wrong, empty = valued(answers.unrelated), valued(answers.wrong), valued(answers.empty)
    sorts = {"itself": itself, "right": right, "wrong_fact": wrong, "unrelated": unrelated, "empty": empty}
    total = {sort: len(getattr(answers, {"wrong_fact": "wrong"}.get(sort, sort))) for sort in sorts}
    own = None
    if labelled:
        good, bad = ([sample for sample, is_right in labelled if is_right is side] for side in (True, False))
        own = area(valued(good), valued(bad))
    worth = MetricWorth(
        metric=metric,
        unrelated=area(right, unrelated),
        wrong=area(right, wrong),
        by_kind={kind: area(right, valued(answers.by_kind.get(kind, ()))) for kind in KINDS},
        wording=area(right, valued(answers.wrong_wording)),
        labelled=own,
        values={sort: _mean(values, sign) for sort, values in sorts.items()},
        reads=_reads(metric, itself, sign),
        absent={sort: count for sort, values in sorts.items() if (count := total[sort] - len(values))},
    )
    return worth, [known[sample] for sample in answers.spread]


def _reads(metric: Metric, itself: Sequence[Value], sign: float) -> float | None:
    best = metric.range[1] if metric.higher_is_better else metric.range[0]
    if "references" not in metric.needs or best is None or not itself:
        return None
    return sum(abs(each.value - sign * best) < _TOLERANCE * max(1.0, abs(best)) for each in itself) / len(itself)


def _mean(values: Sequence[Value], sign: float) -> float | None:
    # Adding 0.0 takes the sign off a zero.
    return sign * sum(each.value for each in values) / len(values) + 0.0 if values else None


def _cluster(sample: Sample) -> str:
    return sample.cluster_id or sample.item_id
