"""Measuring on a GPU: findings as JSON lines as they come, time and memory of a call, its kernels."""

from __future__ import annotations

import contextlib
import gc
import json
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")


class Teller:
    """Findings as JSON lines, and the time that is left."""

    def __init__(self, out: Path | None, limit: float) -> None:
        self._begun, self._limit = time.perf_counter(), limit
        self._file = None if out is None else out.open("w", encoding="utf-8")

    def say(self, what: str, **facts: Any) -> None:
        """One finding."""
        line = json.dumps({"at": round(time.perf_counter() - self._begun, 1), "what": what, **facts}, default=str)
        print(line, flush=True)
        if self._file is not None:
            self._file.write(line + "\n")
            self._file.flush()

    @contextlib.contextmanager
    def part(self, name: str, seconds: float, **facts: Any) -> Iterator[bool]:
        """Something that may fail or find no time without taking the rest along; gives whether there is time."""
        if self._limit - (time.perf_counter() - self._begun) < seconds:
            self.say(name, **facts, skipped="no time left")
            yield False
            return
        clean()
        try:
            yield True
        except torch.cuda.OutOfMemoryError:
            self.say(name, **facts, failed="out of memory")
        except Exception as error:
            where = [line.strip() for line in traceback.format_exc().splitlines() if "File" in line][-3:]
            self.say(name, **facts, failed=f"{type(error).__name__}: {str(error)[:300]}", where=where)


def clean() -> None:
    """Free what nothing refers to any more, and forget the peak."""
    gc.collect()
    if CUDA:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def measured(work: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Milliseconds of one call, and GiB of its peak over what was there."""
    work()
    clean()
    base = torch.cuda.memory_allocated() if CUDA else 0
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        if CUDA:
            torch.cuda.synchronize()
        times.append((time.perf_counter() - begun) * 1e3)
    peak = (torch.cuda.max_memory_allocated() - base) / 2**30 if CUDA else 0.0
    return {"ms": round(min(times), 2), "GiB": round(peak, 2)}


def apart(found: Tensor, exact: Tensor) -> float:
    """Norm of the difference over the norm of the exact one."""
    found, exact = found.detach().double(), exact.detach().double()
    return float(f"{float((found - exact).norm() / exact.norm()):.2e}")


@contextlib.contextmanager
def tf32(on: bool) -> Iterator[None]:
    """Products of float32 numbers by TF32 meanwhile, or not."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def half() -> torch.autocast:
    """Autocast as the trainer's ``--precision bf16`` has it."""
    return torch.autocast(DEVICE.type, dtype=torch.bfloat16)


def profiled(work: Callable[[], Any], most: int = 14) -> dict[str, Any]:
    """Milliseconds of the kernels that take longest, in one call."""
    from torch.profiler import ProfilerActivity, profile

    work()
    kind = ProfilerActivity.CUDA if CUDA else ProfilerActivity.CPU
    with profile(activities=[kind]) as seen:
        work()
        if CUDA:
            torch.cuda.synchronize()
    each = [
        (event.self_device_time_total if CUDA else event.self_cpu_time_total, event.key[:90], event.count)
        for event in seen.key_averages()
    ]
    kernels = [f"{taken / 1e3:.2f} ms, {count}: {key}" for taken, key, count in sorted(each, reverse=True)[:most]]
    return {"ms_of_kernels": round(sum(taken for taken, _, _ in each) / 1e3, 1), "kernels": kernels}
