"""From the journal to scored samples: chunk by chunk, so that memory holds the items and a few numbers for each."""

from __future__ import annotations

import contextlib
import json
import math
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from telbench.errors import InputError, TelbenchError
from telbench.reasoning import Separated

from ...metrics.anchors import Anchors
from ...metrics.contract import NO_REFERENCE_SCORES, ItemScore, Metric, Sample, missing
from ...metrics.embedding.calibration import calibrated
from ...metrics.intervals import ClusterSums, Estimate, bootstrap_sums, cluster_numbers, statistics_matrix
from ...metrics.judged.passes import PassSums
from ..cli.terminal import Meter, Reporter
from ..datasets.items import Item
from ..engines.contract import Continuation
from ..identity import text_sha256
from ..prompts.build import Prompt
from ..prompts.given import prompts_beside
from ..storage import RecordStore, disk_message
from .folder import HEADER, SAMPLES_DRAFT, Kept, kept_scores
from .plan import Plan
from .sampled import Together, draw_key, merged, of_each_answer

CHUNK = 1000
_LINE = json.JSONEncoder(ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True)
class Answered:
    """One item with its prompt, what the journal holds of it, why there is no answer, and what metrics see of it.

    ``answer`` also holds the trace that no metric sees; ``finished``: did the answer end by itself?
    """

    item: Item
    prompt: Prompt
    record: Mapping[str, Any]
    error: str | None
    sample: Sample
    answer: Separated
    finished: bool


@dataclass(frozen=True)
class Scored:
    """The parts of a run header that scoring makes."""

    metrics: dict[str, dict[str, Any]]
    counts: dict[str, int]
    tokens: dict[str, int]


@dataclass
class _Column:
    """One metric over all items: what its value comes of, and why items have none."""

    metric: Metric
    sums: ClusterSums
    missing: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    unjudged: int = 0
    chance: float = 0.0
    unfinished: array[float] = field(default_factory=lambda: array("d"))
    together: Together | None = None
    passes: PassSums | None = None

    def add(self, scores: Sequence[ItemScore], chunk: Sequence[Sequence[Answered]]) -> None:
        """Count a chunk's scores: their values, why there are none, and what guessing or a longer answer might do.

        ``chunk`` has all answers to each item.
        """
        self.sums.add(statistics_matrix(self.metric, scores))
        if self.passes is not None:
            self.passes.add(scores)
        for score, group in zip(scores, chunk, strict=True):
            self.unjudged += score.judge_failed
            if score.reason:
                (self.missing if score.value is None else self.notes)[score.reason] += 1
            if score.value is not None:
                self.chance += self.metric.chance(group[0].sample) if self.metric.chance else 0.0
                if not all(each.finished for each in group):
                    self.unfinished.append(score.value)


def score_journal(plan: Plan, store: RecordStore, folder: Path, reporter: Reporter) -> Scored:
    """Score all items of the plan and draft `samples.jsonl` in the order of the data; `RunFolder.finish` publishes it.

    Raises:
        InputError: when the disk is full (the journal is kept).
        TelbenchError: when a metric fails, naming it.
    """
    items = plan.dataset.items
    numbers = cluster_numbers(item.source_document or item.id for item in items)
    columns = [_Column(metric, ClusterSums(*numbers)) for metric in plan.metrics]
    if plan.samples > 1:
        for column in columns:
            column.together = Together(column.metric, plan.samples, numbers) if column.metric.says else None
    if plan.panel is not None and plan.panel.repeats > 1:
        for column in (column for column in columns if column.metric.family == "judged"):
            column.passes = PassSums(plan.panel.repeats, *numbers)
    kept = kept_scores(folder, plan.metrics) if (folder / HEADER).is_file() and plan.samples == 1 else {}
    given, size = answers(plan, store), max(1, CHUNK // plan.samples) * plan.samples
    chunks = iter(lambda: list(islice(given, size)), [])
    scratch = folder / SAMPLES_DRAFT
    try:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(scratch.open("w", encoding="utf-8"))
            meter = stack.enter_context(reporter.progress("scoring", len(items)))
            ready: Iterator[tuple[list[Answered], Mapping[str, list[ItemScore]]]] = ((chunk, {}) for chunk in chunks)
            if (workers := plan.settings.metrics.workers) > 1:
                from ...metrics.processes import ScoringProcesses

                processes = stack.enter_context(ScoringProcesses(plan.metrics, workers))
                ready = processes.scored(chunks, lambda chunk: [each.sample for each in chunk if each.error is None])
            counts, tokens = _draft(ready, plan.samples, columns, kept, stream, meter)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            # Its space may be just what the next attempt needs.
            scratch.unlink()
        raise InputError(disk_message(error, scratch, len(store))) from error
    spreads = [None if column.passes is None else column.passes.spread() for column in columns]
    shifts = [None if each is None or each.error is None else (each.error, each.freedom) for each in spreads]
    estimates = bootstrap_sums(plan.metrics, [column.sums for column in columns], shifts=shifts)
    entries = [_entry(column, estimate, items) for column, estimate in zip(columns, estimates, strict=True)]
    for entry, spread in zip(entries, spreads, strict=True):
        if spread is not None:
            entry["judge_repeats"] = spread.entry()
    return Scored(dict(zip((column.metric.name for column in columns), entries, strict=True)), counts, tokens)


def _draft(
    chunks: Iterator[tuple[list[Answered], Mapping[str, list[ItemScore]]]],
    draws: int,
    columns: Sequence[_Column],
    kept: Mapping[str, Kept],
    stream: IO[str],
    meter: Meter,
) -> tuple[dict[str, int], dict[str, int]]:
    """Score and write chunk by chunk what was answered, ``draws`` times each item; counts and tokens of all."""
    counts = {"ok": 0, "error": 0, "truncated": 0, "empty": 0, "cut_off": 0, "thought": 0, "unclosed": 0}
    tokens = {"prompt": 0, "completion": 0}
    for chunk, ready in chunks:
        groups = [chunk[first : first + draws] for first in range(0, len(chunk), draws)]
        scores: dict[str, list[ItemScore]] = {}
        all_scores: dict[str, list[list[ItemScore]]] = {}
        for column in columns:
            name = column.metric.name
            found = score_answered(column.metric, chunk, kept.get(name, {}), ready.get(name))
            scores[name] = found
            if draws > 1:
                each = all_scores[name] = [found[first : first + draws] for first in range(0, len(found), draws)]
                scores[name] = list(map(merged, each))
                if column.together is not None:
                    column.together.add([[one.sample for one in group] for group in groups], each)
            column.add(scores[name], groups)
        for place, group in enumerate(groups):
            own = {name: of_items[place] for name, of_items in scores.items()}
            line = _line(group, own, {name: of_items[place] for name, of_items in all_scores.items()})
            stream.write(_LINE.encode(line) + "\n")
            counts[line["status"]] += 1
            _count(group, counts, tokens)
        meter.advance(len(groups))
    return counts, tokens


def _count(group: Sequence[Answered], counts: dict[str, int], tokens: dict[str, int]) -> None:
    """Count an item's prompt, and each of its answers."""
    counts["truncated"] += group[0].prompt.truncated
    if group[0].prompt.left_out:
        counts["examples_left_out"] = counts.get("examples_left_out", 0) + 1
    for each in group:
        if not each.error:
            counts["empty"] += not each.sample.prediction
            counts["cut_off"] += each.record.get("finish_reason") == "length"
            counts["thought"] += each.answer.trace is not None
            counts["unclosed"] += not each.answer.closed
        tokens["prompt"] += each.record.get("prompt_tokens", 0)
        tokens["completion"] += each.record.get("completion_tokens", 0)


def _entry(column: _Column, estimate: Estimate, items: Sequence[Item]) -> dict[str, Any]:
    """The header's entry of a metric."""
    metric = column.metric
    entry: dict[str, Any] = {
        "value": estimate.value,
        "ci_low": estimate.ci_low,
        "ci_high": estimate.ci_high,
        "ci_method": estimate.ci_method,
        "n": estimate.n,
        "n_missing": estimate.n_missing,
        "missing": dict(sorted(column.missing.items())),
        "signature": metric.signature,
        "family": metric.family,
        "higher_is_better": metric.higher_is_better,
        "range": list(metric.range),
        "level": metric.level,
    }
    if metric.judged:
        entry["judge_missing"] = column.unjudged
    if column.notes:
        entry["notes"] = dict(sorted(column.notes.items()))
    if metric.chance and estimate.n:
        entry["chance"] = column.chance / estimate.n
    if column.together is not None:
        entry["samples"] = column.together.entry()
    elif metric.readings and estimate.value is not None:
        entry["readings"] = dict(metric.readings(estimate.value, estimate.n, column.notes))
    (low, high), value = metric.range, estimate.value
    reads_answer = metric.needs.isdisjoint(("option_scores", "letter_scores", "reference_scores"))
    if metric.level == "item" and column.unfinished and reads_answer and None not in (low, high, value):
        # Whatever those answers would have been, had they ended, the mean lies between these.
        count, n = len(column.unfinished), estimate.n
        rest = (value or 0.0) * n - sum(column.unfinished)
        ends = {"low": (rest + count * (low or 0.0)) / n, "high": (rest + count * (high or 0.0)) / n}
        entry["unfinished"] = {"items": count, **ends}
    if metric.calibrate is not None and estimate.value is not None:
        entry["calibration"] = _calibration(metric, metric.calibrate, items, estimate)
    return entry


def _calibration(
    metric: Metric, calibrate: Callable[[Sequence[Sample]], Anchors], items: Sequence[Item], estimate: Estimate
) -> dict[str, Any]:
    """Where the value stands between unrelated and right texts of these items."""
    unanswered = [
        Sample(item.id, "", item.references, item.question, cluster_id=item.source_document) for item in items
    ]
    try:
        return calibrated(estimate, calibrate(unanswered)).to_dict()
    except TelbenchError:
        raise
    except Exception as error:
        raise TelbenchError(f"metric '{metric.name}' cannot calibrate: {type(error).__name__}: {error}") from error


def score_answered(
    metric: Metric,
    chunk: Sequence[Answered],
    kept: Kept = MappingProxyType({}),
    ready: Sequence[ItemScore] | None = None,
) -> list[ItemScore]:
    """Scores of a chunk, of which those that are kept are not computed again, nor those that are ``ready``.

    An item whose generation failed has none, whatever the metric.

    Raises:
        TelbenchError: when the metric fails, with its name and the items it was given.
    """
    scores: dict[int, ItemScore] = {}
    for place, each in enumerate(chunk):
        if each.error is not None:
            scores[place] = missing("generation failed")
        elif kept and (known := kept.get((each.item.id, text_sha256(each.sample.prediction)))):
            scores[place] = known
    new = [place for place in range(len(chunk)) if place not in scores]
    if new:
        try:
            given = metric.score([chunk[place].sample for place in new]) if ready is None else ready
            scores.update(zip(new, given, strict=True))
        except TelbenchError:
            raise
        except Exception as error:
            first, last = chunk[new[0]].item.id, chunk[new[-1]].item.id
            problem = f"{type(error).__name__}: {error}"
            raise TelbenchError(f"metric '{metric.name}' failed on the items {first} to {last}: {problem}") from error
    return [scores[place] for place in range(len(chunk))]


def answers(plan: Plan, store: RecordStore) -> Iterator[Answered]:
    """All items of the plan in order, each with every answer of its own, as the journal holds them."""
    for item, prompt in prompts_beside(plan.dataset.items, plan.prompts):
        options = _likelihoods(store, plan.continuations[item.id]) if item.id in plan.continuations else None
        letters = _likelihoods(store, plan.letters[item.id]) if item.id in plan.letters else None
        references = plan.references.get(item.id)
        no_references = references if isinstance(references, str) else NO_REFERENCE_SCORES
        told = None if isinstance(references, str) or not references else _likelihoods(store, references)
        sample = partial(
            Sample,
            item_id=item.id,
            references=item.gold_references,
            question=item.question,
            context=item.context,
            choices=item.choices,
            answer=item.answer if item.answerable else (),
            shown_choices=prompt.shown_choices,
            option_scores=None if options is None else tuple(value for value, _ in options),
            letter_scores=None if letters is None else tuple(value for value, _ in letters),
            answerable=item.answerable,
            cluster_id=item.source_document,
            category=item.category,
            passages=item.passages,
            form=item.meta.get("form"),
            labels=tuple(item.meta.get("labels", ())),
            reference_scores=told,
            no_reference_scores=no_references,
        )
        for draw in range(plan.samples):
            key = prompt.request.key if draw == 0 else draw_key(prompt.request.key, draw)
            record = (store.get(key) or {}) if prompt.problem is None else {}
            error = prompt.problem or record.get("error") or (None if "text" in record else "no answer in the journal")
            answer = plan.reasoning.separate(str(record.get("text", "")), record.get("reasoning"))
            finished = answer.closed and record.get("finish_reason") != "length"
            yield Answered(item, prompt, record, error, sample(prediction=answer.answer), answer, finished)


def _likelihoods(store: RecordStore, texts: Sequence[Continuation]) -> tuple[tuple[float, int], ...] | None:
    """(log-likelihood, tokens) of each text; None where there are none or one was not scored."""
    scores = []
    for text in texts:
        record = store.get(text.key)
        if record is None:
            return None
        value = record.get("log_likelihood")
        # What was no finite number is null in the journal and NaN to a metric. The first token of all has no
        # probability: nothing stands before it.
        scores.append((math.nan if value is None else float(value), len(text.token_ids) - max(1, text.start)))
    return tuple(scores) or None


def _line(
    group: Sequence[Answered], scores: Mapping[str, ItemScore], all_scores: Mapping[str, Sequence[ItemScore]]
) -> dict[str, Any]:
    """An item's line in `samples.jsonl`: its first answer, its score over all, and all of them where there are more.

    ``all_scores`` is empty where there is one answer.
    """
    answered = group[0]
    item, sample, error = answered.item, answered.sample, next((each.error for each in group if each.error), None)
    line: dict[str, Any] = {
        "item_id": item.id,
        "cluster_id": item.source_document or item.id,
        "category": item.category,
        "question": item.question,
        "context_sha256": text_sha256(item.context) if item.context else None,
        "references": list(sample.references),
        "prediction": sample.prediction,
        "finish_reason": answered.record.get("finish_reason"),
        "status": "error" if error else "ok",
        "truncated": answered.prompt.truncated,
        "scores": {name: score.value for name, score in scores.items()},
        "stats": {name: list(score.stats) for name, score in scores.items() if score.stats is not None},
    }
    if answered.prompt.examples or answered.prompt.left_out:
        line["examples"] = list(answered.prompt.examples)
    if answered.answer.trace is not None:
        line["reasoning"] = answered.answer.trace
        line["reasoning_closed"] = answered.answer.closed
    if not item.answerable:
        line["answerable"] = False
    if sample.reference_scores is not None:
        line["reference_scores"] = [[_finite(value), tokens] for value, tokens in sample.reference_scores]
    if len(group) > 1:
        line |= of_each_answer([(each.sample, each.record) for each in group], all_scores)
    if error:
        line["error"] = error
    for told_in, absent in (("missing", True), ("notes", False)):
        told = {
            name: score.reason for name, score in scores.items() if score.reason and (score.value is None) is absent
        }
        if told:
            line[told_in] = told
    if repeats := {name: list(score.repeats) for name, score in scores.items() if score.repeats}:
        line["judge_repeats"] = repeats
    if judgements := {name: list(score.judgements) for name, score in scores.items() if score.judgements}:
        line["judgements"] = judgements
    if item.choices:
        line["choices"] = list(item.choices)
        line["answer"] = list(item.answer)
        line["shown_choices"] = list(sample.shown_choices)
        line["option_scores"] = [_finite(value) for value in sample.option_scores or ()] or None
        if sample.letter_scores is not None:
            line["letter_scores"] = [_finite(value) for value in sample.letter_scores]
    return line


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
