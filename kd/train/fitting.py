"""How many items fit into memory at once: two small parts are run, and the rest is in proportion.

This module needs torch to be imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ...harness.engines.loading import out_of_memory
from .examples import PairedExample

# Of the memory that is free so much is used: batches of other lengths leave gaps behind.
PART = 0.85
STATUS, FREE, RESET = Path("/proc/self/status"), Path("/proc/meminfo"), Path("/proc/self/clear_refs")


def longest_that_fit(
    run: Callable[[Sequence[PairedExample]], None],
    examples: Sequence[PairedExample],
    most: int,
    device: torch.device,
    trained: Sequence[torch.Tensor],
) -> int:
    """How many of the longest examples ``run`` can take at once, at most ``most``, beside the optimizer's memory."""
    lengths = [
        len(each.student.ids) + (0 if each.teacher is None else len(each.teacher.example.ids)) for each in examples
    ]
    longest = sorted(range(len(examples)), key=lambda index: -lengths[index])
    # Both moments and the gradients, in float32.
    held = 12 * sum(weight.numel() for weight in trained)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        return largest_that_fits(
            lambda size: run([examples[index] for index in longest[:size]]), min(most, len(examples)), device, held
        )


def largest_that_fits(run: Callable[[int], None], most: int, device: Any, held: int) -> int:
    """Items at once, at most ``most``, of which as many parts as needed are alike.

    Args:
        run: goes forward and backward with so many of the longest items, and keeps nothing.
        most: items of a step.
        device: where they are worked on.
        held: bytes that training will hold and no run has yet (the optimizer's moments).

    Where the system tells no memory (neither a GPU nor Linux), all items go at once.
    """
    free = _free(device)
    if most == 1 or free is None:
        return most
    one, two = _peak(run, 1, device), _peak(run, 2, device)
    if one is None or two is None:
        return most
    each = max(1, two - one)
    size = max(1, min(most, int((PART * free - held - one) // each) + 1))
    while size > 2:
        try:
            run(size)
            break
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        size = max(1, size * 3 // 4)
    # Parts of one size: 32 items of which 20 fit are two parts of 16.
    return -(-most // -(-most // size))


def _peak(run: Callable[[int], None], size: int, device: Any) -> int | None:
    """Bytes that the run takes at most beyond what was taken before; None where nothing tells."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run(size)
        return torch.cuda.max_memory_allocated(device) - before
    # Memory that was let go, but that the process keeps, would be used again: the run would seem to take nothing.
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        RESET.write_text("5")
    except OSError:
        return None
    before = _told(STATUS, "VmRSS")
    run(size)
    after = _told(STATUS, "VmHWM")
    return None if before is None or after is None else max(0, after - before)


def _free(device: Any) -> int | None:
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    return _told(FREE, "MemAvailable")


def _told(file: Path, name: str) -> int | None:
    """Bytes that the kernel writes in kilobytes under this name."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024
