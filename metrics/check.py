"""Checks that any metric, a third party's included, can be held to: ``telbench metrics check NAME``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from telbench.errors import TelbenchError

from .contract import NEEDS, NOT_FINITE, ItemScore, Metric, Resources, Sample
from .intervals import aggregate, statistics_matrix
from .ngram.meteor import NO_WORDNET

# A second for a hundred short answers is slow for any metric without a model.
_SLOW_SECONDS = 5.0
# What the order of floating-point sums may change; an encoder adds up differently in batches of other sizes.
_EXACT = 1e-9
_ENCODER = 1e-5
# So many values at least say that a metric always gives the same one.
_ENOUGH = 4
T = TypeVar("T")
_WITHOUT: Mapping[str, Callable[[Sample], Sample]] = {
    "references": lambda sample: replace(sample, references=()),
    "context": lambda sample: replace(sample, context=None),
    "choices": lambda sample: replace(sample, choices=(), answer=()),
    "option_scores": lambda sample: replace(sample, option_scores=None),
    "letter_scores": lambda sample: replace(sample, letter_scores=None),
    "reference_scores": lambda sample: replace(sample, reference_scores=None),
}

_REFERENCE = "The AMF, not the SMF, handles registration and mobility of a UE at port 38412 within 10 ms."
# As many words as the reference: that it is no answer is all that speaks against it.
_UNRELATED = "Bananas on my table ripen much faster in the sun than in a dark and rather cold cellar."
_PREDICTIONS = {
    "the reference itself": _REFERENCE,
    "an empty answer": "",
    "white space": " \t\n ",
    "an unrelated answer": _UNRELATED,
    "one word": "AMF",
    "a part of the reference": "Registration of a UE within 10 ms.",
    "a wrong number": "The AMF handles registration and mobility at port 38412 within 20 ms.",
    "a label": "B",
    "a refusal": "I don't know.",
    "accents, emoji and CJK": "naïve Δf ≥ 15 kHz 📡 基站 \u0301",
    "control characters": "a\x00b\x1b[31m",
    "a lone surrogate": "bad \ud800 char",
    "punctuation": "!!! ... ???",
    "a long answer": "the gNB sends data to the UE " * 400,
}
_RIGHT_LABEL, _WRONG_LABEL = "B", "A"


@dataclass(frozen=True)
class Checked:
    """What a check found: ``problems`` in words, and why no value could be tried, None where some were."""

    problems: tuple[str, ...]
    untried: str | None = None


def check_metric(metric: Metric) -> list[str]:
    """Problems of a metric, in words; empty when it keeps the contract as far as it was tried: see `checked`."""
    return list(checked(metric).problems)


def checked(metric: Metric, resources: Resources | None = None) -> Checked:
    """Hold a metric to the contract; ``resources`` are those that it was made with.

    Checked: declaration (range, needs, description), one score a sample, values finite and in range, some value at all
    and not always the same, the reference itself no worse than an unrelated answer, samples left as they were, order
    of samples and of batches without effect, samples that lack an input reported as missing and put to no judge,
    hostile texts survived, and for corpus metrics additive statistics of one length whose aggregate is finite, in
    range and the same for a row alone as among others. `problems_elsewhere` adds what needs another process.
    """
    problems = _declaration_problems(metric)
    labelled = check_samples(metric)
    labels, samples = list(labelled), list(labelled.values())
    scores = _attempt(lambda: metric.score(samples), "scoring awkward samples", problems)
    if scores is None:
        return Checked(tuple(problems))
    if samples != list(check_samples(metric).values()):
        problems.append("it changes the samples that it is given")
    problems += _value_problems(metric, labels, scores)
    untried = _untried(scores, resources or Resources())
    if untried is None:
        problems += _telling_problems(metric, scores)
    tolerance = _EXACT if metric.needs.isdisjoint({"encoder", "nli"}) else _ENCODER
    again = _attempt(lambda: metric.score(samples), "scoring them again", problems)
    if again is not None and not equal_scores(scores, again, tolerance):
        problems.append("the value of a sample differs from call to call")
    reversed_scores = _attempt(lambda: metric.score(samples[::-1]), "scoring in reverse order", problems)
    if reversed_scores is not None and not equal_scores(scores, reversed_scores[::-1], tolerance):
        problems.append("the value of a sample depends on the order of the samples")
    single = _attempt(lambda: [metric.score([sample])[0] for sample in samples], "scoring one by one", problems)
    if single is not None and not equal_scores(scores, single, tolerance):
        problems.append("the value of a sample depends on the samples scored with it")
    _attempt(lambda: metric.score([]), "scoring no sample", problems)
    problems += _missing_input_problems(metric)
    problems += _judge_task_problems(metric, samples)
    problems += _corpus_problems(metric, scores)
    short = [sample for sample in samples if len(sample.prediction) < 200]
    started = time.perf_counter()
    _attempt(lambda: metric.score((short * 10)[:100]), "scoring a hundred samples", problems)
    if metric.needs.isdisjoint({"encoder", "judge", "nli"}) and time.perf_counter() - started > _SLOW_SECONDS:
        problems.append(f"a hundred short samples took {time.perf_counter() - started:.0f} s")
    return Checked(tuple(problems), untried)


def check_samples(metric: Metric) -> dict[str, Sample]:
    """The samples that a metric is tried on, by what is awkward about them; made anew.

    All metrics are tried on the same answers, but for a right and a wrong one where the metric has a trial of its own.
    """
    samples = {}
    for index, (label, prediction) in enumerate(_PREDICTIONS.items()):
        sample = _sample(f"item-{index}", prediction)
        # Likelihoods of other options and references, sample by sample.
        turned, scores = index % 4, (-4.0, -2.5, -7.0, -8.25)
        samples[label] = replace(
            sample,
            option_scores=scores[turned:] + scores[:turned],
            letter_scores=scores[turned:] + scores[:turned],
            reference_scores=((-12.5 - index, 9), (-14.0 - index, 11)),
        )
    for label, prediction in (("a refusal", "I don't know."), ("an answer", _REFERENCE)):
        sample = _sample(f"unanswerable-{len(samples)}", prediction)
        samples[f"{label} where there is none"] = replace(sample, references=(), answer=(), answerable=False)
    return {label: _tried(metric, sample) for label, sample in samples.items()}


def _tried(metric: Metric, sample: Sample) -> Sample:
    """The sample as the metric's own trial has it: its reference, and its answers for the right and the wrong one."""
    if metric.trial is None:
        return sample
    instead = {_REFERENCE: metric.trial.right, _UNRELATED: metric.trial.wrong}
    references = (metric.trial.reference,) if sample.references else ()
    return replace(sample, prediction=instead.get(sample.prediction, sample.prediction), references=references)


def _untried(scores: Sequence[ItemScore], resources: Resources) -> str | None:
    """Why no sample has a value, where that is what this machine or command lacks."""
    if any(score.value is not None for score in scores):
        return None
    lacking = {score.reason for score in scores} & {resources.absent, resources.no_judge, resources.no_nli, NO_WORDNET}
    return min(filter(None, lacking), default=None)


def _telling_problems(metric: Metric, scores: Sequence[ItemScore]) -> list[str]:
    """Does the metric tell anything, and the right way round? Judges may see no difference, and are not asked."""
    values = [score.value for score in scores if score.value is not None]
    if not values:
        reasons = sorted({str(score.reason) for score in scores})
        return [f"none of {len(scores)} samples gets a value ({'; '.join(reasons)})"]
    if "judge" in metric.needs:
        return []
    problems: list[str] = []
    if len(values) >= _ENOUGH and len(set(values)) == 1:
        problems.append(f"each of {len(values)} different answers gets {values[0]:g}")
    right, wrong = _right_and_wrong(metric)
    pair = _attempt(
        lambda: metric.score([_tried(metric, right), _tried(metric, wrong)]),
        "scoring a right and a wrong answer",
        problems,
    )
    if pair is None or pair[0].value is None or pair[1].value is None:
        return problems
    best, worst = pair[0].value, pair[1].value
    if (best < worst) if metric.higher_is_better else (best > worst):
        claimed = "higher" if metric.higher_is_better else "lower"
        problems.append(
            f"a right answer gets {best:g} and an unrelated one {worst:g}, though {claimed} is said to be better"
        )
    return problems


def _right_and_wrong(metric: Metric) -> tuple[Sample, Sample]:
    """One sample answered rightly in all that a metric may read, and one wrongly; alike where right is unknown."""
    if metric.needs.isdisjoint(_WITHOUT.keys() - {"context"}):
        return _sample("right", _REFERENCE), _sample("right", _REFERENCE)
    chosen = "choices" in metric.needs and "references" not in metric.needs
    right = _sample("right", _RIGHT_LABEL if chosen else _REFERENCE)
    wrong = _sample("wrong", _WRONG_LABEL if chosen else _UNRELATED)
    likely, unlikely = (-9.0, -1.0, -9.0, -9.0), (-1.0, -9.0, -2.0, -3.0)
    return (
        replace(right, option_scores=likely, letter_scores=likely, reference_scores=((-1.0, 9), (-1.5, 11))),
        replace(wrong, option_scores=unlikely, letter_scores=unlikely, reference_scores=((-90.0, 9), (-99.0, 11))),
    )


def _sample(item_id: str, prediction: str) -> Sample:
    return Sample(
        item_id=item_id,
        prediction=prediction,
        references=(_REFERENCE, "Registration and mobility of a UE are handled by the AMF within 10 ms."),
        question="What does the AMF handle?",
        context="In the 5G core the AMF handles registration, connection and mobility of a UE.",
        choices=(
            "paging and its intervals",
            "registration and mobility",
            "charging of services",
            "billing of customers",
        ),
        answer=(1,),
        shown_choices=(2, 1, 0, 3),
        option_scores=(-4.0, -2.5, -7.0, -8.25),
        letter_scores=(-1.5, -0.5, -2.0, -3.0),
        reference_scores=((-12.5, 9), (-14.0, 11)),
        cluster_id="document",
    )


def _declaration_problems(metric: Metric) -> list[str]:
    problems = []
    low, high = metric.range
    if low is not None and high is not None and not low < high:
        problems.append(f"range {metric.range} is empty")
    if unknown := metric.needs - NEEDS:
        problems.append(f"needs {sorted(unknown)}: known are {sorted(NEEDS)}")
    if not metric.description:
        problems.append("no description: write a docstring that says what is computed")
    if (metric.level == "corpus") != (metric.aggregate is not None):
        problems.append("level is 'corpus' exactly when there is an aggregate")
    if metric.level == "item" and metric.statistics is not None:
        problems.append("statistics are declared, which only corpus metrics have")
    if any(mark in metric.name for mark in "|, /\\") or not metric.name:
        problems.append(f"name {metric.name!r}: letters, digits, _ and - only")
    return problems


def _value_problems(metric: Metric, labels: Sequence[str], scores: Sequence[ItemScore]) -> list[str]:
    problems = []
    for label, score in zip(labels, scores, strict=True):
        if score.reason == NOT_FINITE:
            problems.append(f"{label}: NaN or infinite: give None where the metric does not apply, or its worst value")
        elif score.value is not None and not _in_range(metric, score.value):
            problems.append(f"{label}: {score.value} lies outside the range {metric.range}")
    return problems


def _in_range(metric: Metric, value: float) -> bool:
    """Does the value keep to the metric's bounds, but for rounding?"""
    low, high = metric.range
    return (low is None or value >= low - 1e-9) and (high is None or value <= high + 1e-9)


def _missing_input_problems(metric: Metric) -> list[str]:
    problems: list[str] = []
    for need, without in _WITHOUT.items():
        sample = without(_sample("item", "AMF"))
        scores = _attempt(lambda sample=sample: metric.score([sample]), f"scoring without {need}", problems)
        if scores is not None and need in metric.needs and scores[0].value is not None:
            problems.append(f"a sample without {need} gets a value")
    return problems


def _judge_task_problems(metric: Metric, samples: Sequence[Sample]) -> list[str]:
    tasks_of = metric.judge_tasks
    if tasks_of is None:
        return []
    problems: list[str] = []
    _attempt(lambda: [list(tasks_of(sample)) for sample in samples], "naming what judges are asked", problems)
    for need in metric.needs & _WITHOUT.keys():
        sample = _WITHOUT[need](_sample("item", "AMF"))
        if _attempt(lambda sample=sample: list(tasks_of(sample)), f"naming it without {need}", problems):
            problems.append(f"a judge is asked about a sample without {need}")
    return problems


def _corpus_problems(metric: Metric, scores: Sequence[ItemScore]) -> list[str]:
    if metric.level != "corpus":
        return []
    lengths = {len(score.stats or ()) for score in scores if score.value is not None}
    if len(lengths) != 1 or 0 in lengths:
        return [f"statistics of lengths {sorted(lengths)}: one fixed length is needed"]
    if metric.statistics not in (None, *lengths):
        return [f"declares {metric.statistics} statistics an item and gives {lengths.pop()}"]
    problems: list[str] = []
    matrix = statistics_matrix(metric, scores)
    matrix = matrix[matrix[:, -1] > 0]
    total = _attempt(lambda: aggregate(metric, matrix.sum(axis=0, keepdims=True)), "aggregating", problems)
    many = _attempt(lambda: aggregate(metric, matrix), "aggregating several rows at once", problems)
    alone = _attempt(
        lambda: [float(aggregate(metric, row[None, :])[0]) for row in matrix], "aggregating each row alone", problems
    )
    if total is None or many is None or alone is None:
        return problems
    for score in (total[0], *alone):
        if not (math.isfinite(score) and _in_range(metric, score)):
            whose = "all samples" if score is total[0] else "one sample"
            problems.append(f"the corpus score of {whose} is {score}: outside the range {metric.range}")
            break
    if not all(math.isclose(a, b, rel_tol=_EXACT, abs_tol=_EXACT) for a, b in zip(many, alone, strict=True)):
        problems.append("the corpus score of a row of sums depends on the other rows")
    return problems


def _attempt(action: Callable[[], T], label: str, problems: list[str]) -> T | None:
    try:
        return action()
    except TelbenchError as error:
        problems.append(f"{label}: {error}")
    except (Exception, SystemExit) as error:
        problems.append(f"{label} raised {type(error).__name__}: {error}")
    return None


def equal_scores(left: Sequence[ItemScore], right: Sequence[ItemScore], tolerance: float) -> bool:
    """Are values and statistics the same, but for rounding, and missing where the others are?"""

    def numbers(score: ItemScore) -> tuple[float, ...] | None:
        return None if score.value is None else (score.value, *(score.stats or ()))

    return all(
        (a is None) == (b is None)
        and len(a or ()) == len(b or ())
        and all(
            math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance / 1000)
            for one, other in zip(a or (), b or (), strict=True)
        )
        for a, b in zip(map(numbers, left), map(numbers, right), strict=True)
    )
