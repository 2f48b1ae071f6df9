"""The same work on many jobs, in several processes that share what the jobs name."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from ...harness.cli.terminal import Reporter

Job = TypeVar("Job")
Result = TypeVar("Result")


def all_of(
    work: Callable[[Job], Result], jobs: Sequence[Job], processes: int, reporter: Reporter, label: str
) -> list[Result]:
    """The results of all jobs, in order, with progress."""
    found = []
    with reporter.progress(label, len(jobs)) as meter:
        for result in each_of(work, jobs, processes):
            found.append(result)
            meter.advance()
    return found


def each_of(work: Callable[[Job], Result], jobs: Sequence[Job], processes: int) -> Iterator[Result]:
    """The results in order, as they come.

    Processes are forked, so that columns of numbers which all jobs name are shared, not copied; only numbers of jobs
    and results travel between them.
    """
    # A process of a pool may begin no others.
    if processes < 2 or len(jobs) < 2 or multiprocessing.current_process().daemon:
        yield from map(work, jobs)
        return
    # What every process would import, and collect as garbage in vain, is there before they begin.
    import scipy.special  # noqa: F401

    global _work  # noqa: PLW0603 - what forked processes inherit
    _work = partial(_numbered, work, jobs)
    gc.freeze()
    try:
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            yield from pool.imap(_by_number, range(len(jobs)))
    finally:
        gc.unfreeze()
        _work = None


_work: Callable[[int], Any] | None = None


def _numbered(work: Callable[[Any], Any], jobs: Sequence[Any], number: int) -> Any:
    return work(jobs[number])


def _by_number(number: int) -> Any:
    if _work is None:
        raise RuntimeError("no work was set before the processes began")
    return _work(number)
