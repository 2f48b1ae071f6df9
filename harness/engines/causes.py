"""Why vLLM died: the first error that its processes wrote down, and the option that mends it."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import stat
import sys
from collections.abc import Callable

# What stands in front of a line of vLLM's log: the process, level, time and place.
_PREFIX = re.compile(
    r"^(?P<who>\([\w.-]+(?: [^()]*?)?pid=\d+\) )?"
    r"(?:(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d (?:\[[^\]]*\] ?)?)?"
)
# Errors that only say that there was another.
_WRAPPED = re.compile(
    r"See root cause above|See stack trace \(above\)|EngineDeadError|Worker failed with error|Worker proc\w* failed"
)
_KILLED = re.compile(r"^.*died unexpectedly \(exit code: -\d+\)", re.MULTILINE)
_LONGEST_LOG = 8 << 20
# Patterns of messages with what mends them; the first that fits counts.
_CURES = (
    (
        r"less than desired GPU memory utilization|less than the engine's budget",
        "others use this GPU: --engine-option gpu_memory_utilization={share} takes less of it (or stop them)",
    ),
    (
        r"less than desired CPU memory utilization",
        "too little memory is free: --engine-option gpu_memory_utilization=0.1 takes less of the machine's memory",
    ),
    (
        r"larger than the available KV cache|No available memory for the cache|serve even a single token",
        "give the cache more (--engine-option gpu_memory_utilization=0.95, or a larger kv_cache_memory_bytes), or "
        "lower --max-model-len",
    ),
    (
        r"(?s)(?=.*prompt_logprobs).*out of memory",
        "log-probabilities of prompts need memory beside the cache: --engine-option "
        "max_num_batched_tokens=2048,gpu_memory_utilization=0.7",
    ),
    (
        r"out of memory occurred when warming up",
        "--engine-option max_num_seqs=64 works on fewer prompts at once",
    ),
    (
        r"out of memory|OutOfMemoryError",
        "lower --max-model-len, or --engine-option gpu_memory_utilization=0.8,max_num_seqs=64, or leave CUDA graphs "
        "out (enforce_eager=true)",
    ),
    (
        r"an't allocate memory|annot allocate memory|MemoryError|bad_alloc|exit code: -9|'\w+': -9",
        "the machine's memory ran out: --dtype bfloat16, a lower --max-model-len, or a smaller model",
    ),
    (
        r"(?i)flashinfer|could not find nvcc|nvcc.*not found",
        "FlashInfer does not work here: set VLLM_USE_FLASHINFER_SAMPLER=0, or install flashinfer-python",
    ),
)


# What vLLM found free on the GPU, and all that it has, in GiB.
_FREE = re.compile(r"\((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\)")
# Left alone of what is free: others may take a little more while this engine starts.
_MARGIN = 0.9


class Overheard:
    """What goes to stderr from now on, where that is a file, as a run's log is. Child processes write there too."""

    def __init__(self) -> None:
        self._start = -1
        with contextlib.suppress(OSError):
            status = os.fstat(2)
            if stat.S_ISREG(status.st_mode):
                self._start = status.st_size

    def text(self) -> str:
        """All that was written since; empty where stderr is a terminal or a pipe."""
        if self._start < 0:
            return ""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        try:
            with open("/proc/self/fd/2", "rb") as stream:
                stream.seek(self._start)
                return stream.read(_LONGEST_LOG).decode("utf-8", "replace")
        except OSError:
            return ""


class _Lines(logging.Handler):
    """Keeps what is logged, and shows nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())


def told_during(work: Callable[[], object]) -> str:
    """What vLLM says meanwhile: in this process, where it is not shown, and what its own processes write to stderr."""
    heard, logger, kept = Overheard(), logging.getLogger("vllm"), _Lines()
    shown = logger.handlers[:]
    logger.handlers[:] = [kept]
    try:
        work()
    finally:
        logger.handlers[:] = shown
    return "\n".join([*kept.lines, heard.text()])


def cause_of(error: BaseException) -> str:
    """The first sentence of the error that started it: vLLM wraps causes in long advice, pydantic under a count."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    if len(lines) > 1 and "validation error" in lines[0]:
        # The name of an argument stands alone, what is wrong with it on the next line.
        named = len(lines) > 2 and lines[1].replace(".", "_").isidentifier()
        lines = [f"{lines[1]}: {lines[2].partition(' [type=')[0]}"] if named else lines[1:]
    return f"{type(error).__name__}: {lines[0].removeprefix('Value error, ')[:300]}"


def explained(cause: str, heard: str) -> str:
    """The cause in one line: the root where ``cause`` only points to it, with what mends it where that is known.

    ``heard`` is what the engine's processes wrote.
    """
    wrapped = _WRAPPED.search(cause) is not None
    told = (root_error(heard) or cause) if wrapped else cause
    evidence = f"{told}\n{cause}"
    if "out of memory" in told and "_get_prompt_logprobs_dict" in heard:
        evidence += "\nprompt_logprobs out of memory"
    for pattern, cure in _CURES:
        if re.search(pattern, evidence):
            return f"{told.rstrip('.')}: {cure.format(share=_free_share(evidence))}"
    return told


def _free_share(evidence: str) -> str:
    """The share of the GPU that others leave, rounded down to two digits; a half where the message does not tell."""
    found = _FREE.search(evidence)
    share = 0.5 if found is None else _MARGIN * float(found["free"]) / max(float(found["total"]), 1e-9)
    return f"{max(1, math.floor(100 * share)) / 100:g}"


def root_error(log: str) -> str:
    r"""Type and message of the first exception that a log of vLLM tells of; empty where it tells of none.

    >>> root_error("(EngineCore pid=7) ERROR 11-27 04:42:54 [core.py:9] Traceback (most recent call last):\n"
    ...            "(EngineCore pid=7) ERROR 11-27 04:42:54 [core.py:9]   File 'x'\n"
    ...            "(EngineCore pid=7) ERROR 11-27 04:42:54 [core.py:9] ValueError: no room")
    'ValueError: no room'
    """
    open_traces: set[str] = set()
    for line in log.splitlines():
        # A bar of progress ends in no line feed of its own.
        prefix = _PREFIX.match(line)
        who, level = (prefix["who"] or "", prefix["level"] or "") if prefix else ("", "")
        text = line[prefix.end() :] if prefix else line
        if level in ("DEBUG", "INFO", "WARNING"):
            continue
        if text.startswith("Traceback (most recent call last):"):
            open_traces.add(who)
        elif who in open_traces and text and not text[0].isspace():
            open_traces.discard(who)
            if re.match(r"[A-Za-z_][\w.]*(:|$)", text) and not _WRAPPED.search(text):
                return text.strip()[:300]
    killed = _KILLED.search(log)
    return _PREFIX.sub("", killed[0])[:300] if killed else ""
