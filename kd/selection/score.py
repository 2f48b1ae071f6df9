"""A metric of a student's greedy answers to the dev split, batch by batch on disk, so that a kill costs one batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telbench.errors import EngineError, InputError
from telbench.reasoning import Reasoning

from ...harness.cli.terminal import Meter
from ...harness.datasets.items import Item
from ...harness.engines.contract import Engine, Request, Sampling
from ...harness.storage import RecordStore
from ...metrics.contract import Metric, Sample, metrics_named
from ...metrics.intervals import score_of, statistics_matrix
from ..rollout.contract import Rollouts

# The lowest loss on the dev split chooses, where no metric was asked for.
DEV_LOSS = "dev_loss"
ANSWERS = "looking-answers.jsonl"
BATCH = 16
_ALONE = frozenset({"references", "context", "choices"})


def selecting_metric(name: str) -> Metric:
    """The metric of that name, if an answer and its item are all that it needs.

    Raises:
        InputError: for an unknown name, a suite, or a metric that needs a judge, an encoder or likelihoods.
    """
    found = metrics_named([name])
    if len(found) != 1:
        raise InputError(f"select: {name} is {len(found)} metrics: name one of them")
    (metric,) = found
    dear = sorted(metric.needs - _ALONE)
    if dear or metric.judged:
        needs = " and ".join(dear) or "a judge"
        raise InputError(f"select: {name} needs {needs}, which trainings have not: choose one such as token_f1")
    return metric


@dataclass(frozen=True)
class Asked:
    """One item of the dev split, and its prompt as the student reads it."""

    item: Item
    prompt: tuple[int, ...]


@dataclass(frozen=True)
class DevAnswers:
    """What is asked at each look, in batches of prompts of like length; answers have at most ``max_tokens``."""

    metric: Metric
    asked: Sequence[Asked]
    max_tokens: int

    def score(self, rollouts: Rollouts, work: Path, step: int, meter: Meter, stop: threading.Event) -> float | None:
        """The metric over all items for the student as it is after ``step``; None when ``stop`` was set meanwhile.

        What the batches were answered stands in the working folder: a look that was cut short goes on there.

        Raises:
            EngineError: when an answer could not be made. InputError: when no item has a value.
        """
        order = sorted(range(len(self.asked)), key=lambda index: len(self.asked[index].prompt))
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        with rollouts.engine(step) as engine, RecordStore(work / ANSWERS) as store:
            first, begun = sum(_key(step, batch) in store for batch in range(len(batches))), time.perf_counter()
            for number, batch in enumerate(batches):
                if _key(step, number) not in store:
                    store.put(_key(step, number), {"texts": self._answered(engine, batch)})
                left = (time.perf_counter() - begun) / max(1, number + 1 - first) * (len(batches) - number - 1)
                meter.advance(0, f"answering the dev split: {number + 1}/{len(batches)}, {left:.0f} s left")
                if stop.is_set() and number + 1 < len(batches):
                    return None
            texts = [(store.get(_key(step, number)) or {})["texts"] for number in range(len(batches))]
        (work / ANSWERS).unlink()
        answers = {
            index: text
            for batch, each in zip(batches, texts, strict=True)
            for index, text in zip(batch, each, strict=True)
        }
        return self._value([answers[index] for index in range(len(self.asked))])

    def _answered(self, engine: Engine, batch: Sequence[int]) -> list[str]:
        requests = [Request(str(index), self.asked[index].item.id, (), self.asked[index].prompt) for index in batch]
        found: dict[str, str] = {}
        for completion in engine.generate(requests, Sampling(max_tokens=self.max_tokens)):
            if completion.error is not None:
                item = self.asked[int(completion.key)].item.id
                raise EngineError(f"the student could not answer item {item} of the dev split: {completion.error}")
            found[completion.key] = completion.text
        return [found[str(index)] for index in batch]

    def _value(self, texts: Sequence[str]) -> float:
        separate: Callable[[str], Any] = Reasoning().separate
        samples = [
            Sample(
                item_id=each.item.id,
                prediction=separate(text).answer,
                references=each.item.gold_references,
                question=each.item.question,
                context=each.item.context,
                choices=each.item.choices,
                answer=each.item.answer,
                cluster_id=each.item.source_document,
                category=each.item.category,
                passages=each.item.passages,
            )
            for each, text in zip(self.asked, texts, strict=True)
        ]
        scores = self.metric.score(samples)
        if all(score.value is None for score in scores):
            reason = next(score.reason for score in scores)
            raise InputError(f"select: {self.metric.name} has no value on the dev split ({reason})")
        return score_of(self.metric, statistics_matrix(self.metric, scores))


def _key(step: int, batch: int) -> str:
    return f"{step}/{batch}"
