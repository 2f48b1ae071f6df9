"""Checks that any metric, a third party's included, can be held to: ``telbench metrics check NAME``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from .contract import NEEDS, ItemScore, Metric, Sample
from .intervals import aggregate, statistics_matrix

# A second for a hundred short answers is slow for any metric without a model.
_SLOW_SECONDS = 5.0
# What the order of floating-point sums may change; an encoder adds up differently in batches of other sizes.
_EXACT = 1e-9
_ENCODER = 1e-5
T = TypeVar("T")
_WITHOUT: Mapping[str, Callable[[Sample], Sample]] = {
    "references": lambda sample: replace(sample, references=()),
    "context": lambda sample: replace(sample, context=None),
    "choices": lambda sample: replace(sample, choices=(), answer=()),
    "option_scores": lambda sample: replace(sample, option_scores=None),
    "letter_scores": lambda sample: replace(sample, letter_scores=None),
    "reference_scores": lambda sample: replace(sample, reference_scores=None),
}

_REFERENCE = "The AMF handles registration and mobility of a UE at 38412."
_PREDICTIONS = {
    "the reference itself": _REFERENCE,
    "an empty answer": "",
    "white space": " \t\n ",
    "an unrelated answer": "Bananas ripen in the sun.",
    "one word": "AMF",
    "accents, emoji and CJK": "naïve Δf ≥ 15 kHz 📡 基站 \u0301",
    "control characters": "a\x00b\x1b[31m",
    "a lone surrogate": "bad \ud800 char",
    "punctuation": "!!! ... ???",
    "a long answer": "the gNB sends data to the UE " * 400,
}


def check_metric(metric: Metric) -> list[str]:
    """Problems of a metric, in words; empty when it keeps the contract.

    Checked: declaration (range, needs, description), one score a sample, values finite and in range, order of samples
    and of batches without effect, samples that lack an input reported as missing and put to no judge, hostile texts
    survived, and for corpus metrics additive statistics of one length whose aggregate is finite and in range.
    """
    problems = _declaration_problems(metric)
    samples = [_sample(f"item-{index}", text) for index, text in enumerate(_PREDICTIONS.values())]
    scores = _attempt(lambda: metric.score(samples), "scoring ten samples", problems)
    if scores is None:
        return problems
    problems += _value_problems(metric, scores)
    tolerance = _ENCODER if "encoder" in metric.needs else _EXACT
    reversed_scores = _attempt(lambda: metric.score(samples[::-1]), "scoring in reverse order", problems)
    if reversed_scores is not None and not _equal_scores(scores, reversed_scores[::-1], tolerance):
        problems.append("the value of a sample depends on the order of the samples")
    single = _attempt(lambda: [metric.score([sample])[0] for sample in samples], "scoring one by one", problems)
    if single is not None and not _equal_scores(scores, single, tolerance):
        problems.append("the value of a sample depends on the samples scored with it")
    _attempt(lambda: metric.score([]), "scoring no sample", problems)
    problems += _missing_input_problems(metric)
    problems += _judge_task_problems(metric, samples)
    problems += _corpus_problems(metric, scores)
    started = time.perf_counter()
    _attempt(lambda: metric.score(samples[:9] * 11), "scoring a hundred samples", problems)
    if metric.needs.isdisjoint({"encoder", "judge"}) and time.perf_counter() - started > _SLOW_SECONDS:
        problems.append(f"a hundred short samples took {time.perf_counter() - started:.0f} s")
    return problems


def _sample(item_id: str, prediction: str) -> Sample:
    return Sample(
        item_id=item_id,
        prediction=prediction,
        references=(_REFERENCE, "Registration and mobility of a UE are handled by the AMF."),
        question="What does the AMF handle?",
        context="In the 5G core the AMF handles registration, connection and mobility of a UE.",
        choices=("paging", "registration and mobility", "charging", "billing"),
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


def _value_problems(metric: Metric, scores: Sequence[ItemScore]) -> list[str]:
    problems = []
    for label, score in zip(_PREDICTIONS, scores, strict=True):
        if score.value is None:
            if not score.reason:
                problems.append(f"{label}: no value and no reason")
        elif not _in_range(metric, score.value):
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
    total = _attempt(lambda: aggregate(metric, matrix.sum(axis=0, keepdims=True)), "aggregating", problems)
    if total is None:
        return problems
    if not (math.isfinite(total[0]) and _in_range(metric, total[0])):
        problems.append(f"the corpus score {total[0]} lies outside the range {metric.range}")
    many = _attempt(lambda: aggregate(metric, matrix), "aggregating several rows at once", problems)
    if many is not None and many.shape != (len(matrix),):
        problems.append(f"aggregate gives shape {many.shape} for {len(matrix)} rows")
    return problems


def _attempt(action: Callable[[], T], label: str, problems: list[str]) -> T | None:
    try:
        return action()
    except Exception as error:
        problems.append(f"{label} raised {type(error).__name__}: {error}")
        return None


def _equal_scores(left: Sequence[ItemScore], right: Sequence[ItemScore], tolerance: float) -> bool:
    return all(
        (a.value is None and b.value is None)
        or (
            a.value is not None
            and b.value is not None
            and math.isclose(a.value, b.value, rel_tol=tolerance, abs_tol=tolerance / 1000)
        )
        for a, b in zip(left, right, strict=True)
    )
