"""From the journal to scored samples: chunk by chunk, so that memory holds the items and a few numbers for each."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from telbench.errors import InputError, TelbenchError

from ...metrics.anchors import Anchors
from ...metrics.contract import NO_REFERENCE_SCORES, ItemScore, Metric, Sample, missing
from ...metrics.embedding.calibration import calibrated
from ...metrics.intervals import ClusterSums, Estimate, bootstrap_sums, cluster_numbers, statistics_matrix
from ..cli.terminal import Reporter
from ..datasets.items import Item
from ..engines.contract import Continuation
from ..identity import text_sha256
from ..prompts.build import Prompt
from ..storage import RecordStore, disk_message
from .folder import HEADER, SAMPLES_DRAFT, read_run, read_samples
from .plan import Plan


@dataclass(frozen=True)
class KeptScores:
    """Scores by metric and item, each good for one answer; ``answers`` holds the answers' hashes."""

    answers: dict[str, str] = field(default_factory=dict)
    scores: dict[str, dict[str, ItemScore]] = field(default_factory=dict)

    def get(self, metric: str, item_id: str, prediction: str) -> ItemScore | None:
        """The score, unless it is unknown or was given to another answer."""
        score = self.scores.get(metric, {}).get(item_id)
        return score if score is not None and self.answers[item_id] == text_sha256(prediction) else None


def kept_scores(folder: Path, metrics: Sequence[Metric]) -> KeptScores:
    """What the finished run in ``folder``, of the same run id, holds for metrics of the same signature.

    Only metrics that need an encoder are kept: the others are quick, or have a store of their own.
    """
    kept = KeptScores()
    if not (folder / HEADER).is_file():
        return kept
    try:
        found = read_run(folder)["metrics"]
        names = [
            metric.name
            for metric in metrics
            if "encoder" in metric.needs
            and not metric.judged
            and metric.level == "item"
            and found.get(metric.name, {}).get("signature") == metric.signature
        ]
        kept.scores.update({name: {} for name in names})
        for sample in read_samples(folder) if names else ():
            if sample["status"] != "ok":
                continue
            kept.answers[sample["item_id"]] = text_sha256(sample["prediction"])
            for name in names:
                value = sample["scores"][name]
                # What is missing costs nothing to find missing again, perhaps for another reason.
                if value is not None:
                    kept.scores[name][sample["item_id"]] = ItemScore(value, sample.get("notes", {}).get(name))
    except (InputError, KeyError, TypeError, AttributeError):
        # A run that was tampered with costs time, never the new scores.
        return KeptScores()
    return kept


CHUNK = 1000


@dataclass(frozen=True)
class Answered:
    """One item with its prompt and what the journal holds of it."""

    item: Item
    prompt: Prompt
    record: dict[str, Any]
    option_scores: tuple[float, ...] | None
    reference_scores: tuple[tuple[float, int], ...] | None = None
    no_reference_scores: str = NO_REFERENCE_SCORES

    @property
    def error(self) -> str | None:
        """Why there is no answer, or None."""
        if self.prompt.problem:
            return self.prompt.problem
        return self.record.get("error") or (None if "text" in self.record else "no answer in the journal")

    @property
    def prediction(self) -> str:
        """The answer without outer white space."""
        return str(self.record.get("text", "")).strip()


@dataclass(frozen=True)
class Scored:
    """The parts of a run header that scoring makes."""

    metrics: dict[str, dict[str, Any]]
    counts: dict[str, int]
    tokens: dict[str, int]


def score_journal(plan: Plan, store: RecordStore, folder: Path, reporter: Reporter) -> Scored:
    """Score all items of the plan and draft `samples.jsonl` in the order of the data; `RunFolder.finish` publishes it.

    Raises:
        InputError: when the disk is full (the journal is kept).
        TelbenchError: when a metric fails, naming it.
    """
    numbers = cluster_numbers([item.source_document or item.id for item in plan.dataset.items])
    sums = {metric.name: ClusterSums(*numbers) for metric in plan.metrics}
    reasons: dict[str, Counter[str]] = {metric.name: Counter() for metric in plan.metrics}
    notes: dict[str, Counter[str]] = {metric.name: Counter() for metric in plan.metrics}
    unjudged: Counter[str] = Counter()
    counts = Counter({"ok": 0, "error": 0, "truncated": 0, "empty": 0, "cut_off": 0})
    tokens = Counter({"prompt": 0, "completion": 0})
    scratch = folder / SAMPLES_DRAFT
    kept = kept_scores(folder, plan.metrics)
    try:
        with (
            scratch.open("w", encoding="utf-8") as stream,
            reporter.progress("scoring", len(plan.dataset.items)) as meter,
        ):
            for chunk in answered_chunks(plan, store):
                scores = {metric.name: _score_new(metric, chunk, kept) for metric in plan.metrics}
                for metric in plan.metrics:
                    sums[metric.name].add(statistics_matrix(metric, scores[metric.name]))
                    for score in scores[metric.name]:
                        unjudged[metric.name] += score.judge_failed
                        if score.reason:
                            (reasons if score.value is None else notes)[metric.name][score.reason] += 1
                for index, answered in enumerate(chunk):
                    _count(answered, counts, tokens)
                    _write(stream, answered, {name: column[index] for name, column in scores.items()})
                meter.advance(len(chunk))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            # Its space may be just what the next attempt needs.
            scratch.unlink()
        raise InputError(disk_message(error, scratch, len(store))) from error
    estimates = bootstrap_sums(plan.metrics, list(sums.values()))
    metrics = {}
    for metric, estimate in zip(plan.metrics, estimates, strict=True):
        metrics[metric.name] = {
            "value": estimate.value,
            "ci_low": estimate.ci_low,
            "ci_high": estimate.ci_high,
            "ci_method": estimate.ci_method,
            "n": estimate.n,
            "n_missing": estimate.n_missing,
            "missing": dict(sorted(reasons[metric.name].items())),
            "signature": metric.signature,
            "family": metric.family,
            "higher_is_better": metric.higher_is_better,
            "range": list(metric.range),
            "level": metric.level,
        }
        if metric.judged:
            metrics[metric.name]["judge_missing"] = unjudged[metric.name]
        if notes[metric.name]:
            metrics[metric.name]["notes"] = dict(sorted(notes[metric.name].items()))
        if metric.calibrate is not None and estimate.value is not None:
            metrics[metric.name]["calibration"] = _calibration(metric, metric.calibrate, plan.dataset.items, estimate)
    return Scored(metrics, dict(counts), dict(tokens))


def _score_new(metric: Metric, chunk: Sequence[Answered], kept: KeptScores) -> list[ItemScore]:
    """Scores of a chunk, of which those that the run holds already are not computed again."""
    known = [None if each.error else kept.get(metric.name, each.item.id, each.prediction) for each in chunk]
    fresh = iter(score_answered(metric, [each for each, score in zip(chunk, known, strict=True) if score is None]))
    return [score or next(fresh) for score in known]


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


def score_answered(metric: Metric, chunk: Sequence[Answered]) -> list[ItemScore]:
    """Scores of a chunk; an item whose generation failed has none, whatever the metric.

    Raises:
        TelbenchError: when the metric fails, with its name and the items it was given.
    """
    answered = [(index, each) for index, each in enumerate(chunk) if each.error is None]
    scores = [missing("generation failed")] * len(chunk)
    if not answered:
        return scores
    try:
        given = metric.score([sample(each) for _, each in answered])
        for (index, _), score in zip(answered, given, strict=True):
            scores[index] = _plain(metric, score)
    except TelbenchError:
        raise
    except Exception as error:
        first, last = answered[0][1].item.id, answered[-1][1].item.id
        problem = f"{type(error).__name__}: {error}"
        raise TelbenchError(f"metric '{metric.name}' failed on the items {first} to {last}: {problem}") from error
    return scores


def _plain(metric: Metric, score: ItemScore) -> ItemScore:
    """The score in plain finite floats: plugins return whatever their libraries do."""
    if score.value is None:
        return replace(score, reason=score.reason or "not applicable")
    value = float(score.value)
    stats = None if score.stats is None else tuple(map(float, score.stats))
    if metric.level == "corpus" and not stats:
        return missing("no corpus statistics")
    if not all(map(math.isfinite, (value, *(stats or ())))):
        return missing("not a finite number")
    return replace(score, value=value, stats=stats)


def sample(answered: Answered) -> Sample:
    """What metrics see of an answered item."""
    item = answered.item
    return Sample(
        item_id=item.id,
        prediction=answered.prediction,
        references=item.gold_references,
        question=item.question,
        context=item.context,
        choices=item.choices,
        answer=item.answer if item.answerable else (),
        shown_choices=answered.prompt.shown_choices,
        option_scores=answered.option_scores,
        reference_scores=answered.reference_scores,
        no_reference_scores=answered.no_reference_scores,
        answerable=item.answerable,
        cluster_id=item.source_document,
        category=item.category,
    )


def answered_chunks(plan: Plan, store: RecordStore) -> Iterator[list[Answered]]:
    """All items of the plan in order, so many at a time, with what the journal holds of each."""
    chunk: list[Answered] = []
    for item, prompt in zip(plan.dataset.items, plan.prompts, strict=True):
        record = (store.get(prompt.request.key) or {}) if prompt.problem is None else {}
        options = _likelihoods(store, plan.continuations.get(item.id, ()))
        answered = Answered(item, prompt, record, None if options is None else tuple(value for value, _ in options))
        references = plan.references.get(item.id, ())
        if isinstance(references, str):
            answered = replace(answered, no_reference_scores=references)
        else:
            answered = replace(answered, reference_scores=_likelihoods(store, references))
        chunk.append(answered)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


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


def _count(answered: Answered, counts: Counter[str], tokens: Counter[str]) -> None:
    counts["error" if answered.error else "ok"] += 1
    counts["truncated"] += answered.prompt.truncated
    if not answered.error:
        counts["empty"] += not answered.prediction
        counts["cut_off"] += answered.record.get("finish_reason") == "length"
    tokens["prompt"] += answered.record.get("prompt_tokens", 0)
    tokens["completion"] += answered.record.get("completion_tokens", 0)


def _write(stream: IO[str], answered: Answered, scores: dict[str, ItemScore]) -> None:
    item = answered.item
    line: dict[str, Any] = {
        "item_id": item.id,
        "cluster_id": item.source_document or item.id,
        "category": item.category,
        "question": item.question,
        "context_sha256": text_sha256(item.context) if item.context else None,
        "references": list(item.gold_references),
        "prediction": answered.prediction,
        "finish_reason": answered.record.get("finish_reason"),
        "status": "error" if answered.error else "ok",
        "truncated": answered.prompt.truncated,
        "scores": {name: score.value for name, score in scores.items()},
        "stats": {name: list(score.stats) for name, score in scores.items() if score.stats is not None},
    }
    if not item.answerable:
        line["answerable"] = False
    if answered.reference_scores is not None:
        line["reference_scores"] = [[_finite(value), tokens] for value, tokens in answered.reference_scores]
    if answered.error:
        line["error"] = answered.error
    for told_in, absent in (("missing", True), ("notes", False)):
        told = {
            name: score.reason for name, score in scores.items() if score.reason and (score.value is None) is absent
        }
        if told:
            line[told_in] = told
    if judgements := {name: list(score.judgements) for name, score in scores.items() if score.judgements}:
        line["judgements"] = judgements
    if item.choices:
        line["choices"] = list(item.choices)
        line["answer"] = list(item.answer)
        line["shown_choices"] = list(answered.prompt.shown_choices)
        line["option_scores"] = [_finite(value) for value in answered.option_scores or ()] or None
    stream.write(json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
