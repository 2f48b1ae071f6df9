"""Metrics scored in several processes, batch after batch, while the first process writes what came back."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from types import TracebackType
from typing import TypeVar

from telbench.errors import TelbenchError

from .contract import ItemScore, Metric, Sample, metrics_named

Batch = TypeVar("Batch")
Scores = dict[str, list[ItemScore]]


class ScoringProcesses:
    """So many processes, each with the metrics that can be made again by name: those without a model.

    They are started afresh and not forked, since the first process may hold an engine's threads.
    """

    def __init__(self, metrics: Sequence[Metric], workers: int) -> None:
        """Start ``workers`` processes for what of ``metrics`` can be scored there."""
        self.names = [
            metric.name
            for metric in metrics
            if metric.needs.isdisjoint({"encoder", "judge", "nli"})
            and not metric.judged
            and _made_again(metric) is not None
        ]
        signatures = [metric.signature for metric in metrics if metric.name in self.names]
        self._workers = workers
        self._pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(self.names, signatures)
        )

    def __enter__(self) -> ScoringProcesses:
        _settle()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes; what nobody waits for any more is not begun."""
        gc.unfreeze()
        self._pool.shutdown(cancel_futures=True)

    def scored(
        self, batches: Iterable[Batch], samples_of: Callable[[Batch], Sequence[Sample]]
    ) -> Iterator[tuple[Batch, Scores]]:
        """Each batch with the scores of its samples by metric, in order; few batches are held at a time.

        Raises:
            TelbenchError: when a metric fails or ends its process, naming it where that is known.
        """
        begun: deque[tuple[Batch, Future[Scores]]] = deque()
        try:
            for batch in batches:
                begun.append((batch, self._pool.submit(_score, samples_of(batch))))
                if len(begun) > self._workers + 1:
                    first, future = begun.popleft()
                    yield first, future.result()
            for batch, future in begun:
                yield batch, future.result()
        except BrokenProcessPool as error:
            told = "a scoring process ended: a metric ended it, or memory ran out; --workers 1 shows which"
            raise TelbenchError(told) from error


def _made_again(metric: Metric) -> Metric | None:
    """The same metric from the registry; None where that has another one, or none."""
    try:
        (again,) = metrics_named([metric.name])
    except TelbenchError:
        return None
    again = again.signed(metric.signature)
    return again if again.signature == metric.signature else None


_metrics: list[Metric] = []


def _begin(names: Sequence[str], signatures: Sequence[str]) -> None:
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    _metrics[:] = [metric.signed(signature) for metric, signature in zip(metrics_named(names), signatures, strict=True)]


def _end_with_the_first() -> None:
    """End this process when the first one has gone, even by kill -9: it would wait for work for ever."""
    first = multiprocessing.parent_process()
    if first is not None:
        first.join()
        os._exit(1)


def _score(samples: Sequence[Sample]) -> Scores:
    scores: Scores = {}
    for metric in _metrics:
        try:
            scores[metric.name] = metric.score(samples)
        except TelbenchError:
            raise
        except Exception as error:
            first, last = samples[0].item_id, samples[-1].item_id
            problem = f"{type(error).__name__}: {error}"
            raise TelbenchError(f"metric '{metric.name}' failed on the items {first} to {last}: {problem}") from error
    _settle_once()
    return scores


def _settle() -> None:
    """What is there already is not looked through for garbage from now on.

    Scoring makes and drops small objects by the million. Python then looks through all others again and again, though
    none of them has become garbage: that took a third of the first process's time.
    """
    gc.collect()
    gc.freeze()


# After the first batch of a process, when all is imported.
_settle_once = cache(_settle)
