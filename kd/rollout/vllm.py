"""The student's own answers by vLLM: one engine for a training, which gets the student's weights when they changed.

The engine is in this process: tensors go over as they are, with no file and no copy between processes. Answers are
those of the student in the engine's number format, up to vLLM's own rounding.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from telbench.errors import EngineError, InputError

from ...harness.checkpoint import Checkpoint
from ...harness.engines.contract import EngineSettings, device_kind
from ...harness.engines.vllm import SharedVllm, VllmEngine, describe, keeps
from ...harness.engines.vllm_arguments import takes_weights
from .weights import current_weights, require_names

_IN_PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"
# Of a GPU's memory, where no other share is asked for.
SHARE = 0.3
_OTHERWISE = "leave --rollout-engine out"


@dataclass(frozen=True)
class Asked:
    """What the engine is opened with.

    ``dtype``: number format of weights and answers; ``longest``: prompt and answer in tokens; ``memory``: share of the
    GPU's memory for weights, cache and work, beside the training.
    """

    checkpoint: Checkpoint
    dtype: str
    longest: int
    memory: float = SHARE
    seed: int = 0

    @property
    def settings(self) -> EngineSettings:
        """As engines take it. Nothing computed for one prompt serves another: who is asked together changes no bit."""
        options: dict[str, Any] = {"enable_prefix_caching": False}
        if device_kind() == "cuda":
            options["gpu_memory_utilization"] = self.memory
        window = self.checkpoint.context_length
        longest = self.longest if window is None else min(self.longest, window)
        return EngineSettings(self.checkpoint, self.dtype, self.seed, longest, options=options)


def require_vllm(checkpoint: Checkpoint, *, alone: bool) -> str:
    """The installed vLLM as ``name version``, if it can answer for this student.

    Raises:
        InputError: if there is none, if it takes no weights, if it was not tried with those of this architecture, or
            if the training is not ``alone`` in one process.
    """
    if not alone:
        raise InputError(f"--rollout-engine vllm is for a training of one process: start it alone, or {_OTHERWISE}")
    try:
        found = describe(EngineSettings(checkpoint)).version
    except InputError as error:
        raise InputError(str(error).replace("--engine vllm", "--rollout-engine vllm")) from error
    if not takes_weights():
        raise InputError(f"--rollout-engine vllm: {found} takes no weights from memory: install a newer one")
    why = keeps(str((checkpoint.config.get("architectures") or [checkpoint.model_type])[0]))
    if why:
        raise InputError(f"--rollout-engine vllm: {why}: {_OTHERWISE}")
    return found


class VllmRollouts:
    """See `Rollouts`; ``handed`` counts how often weights went over."""

    def __init__(self, student: Any, asked: Asked) -> None:
        require_names(student, asked.checkpoint)
        self._student = student
        self._asked = asked
        self._shared = SharedVllm([asked.settings])
        self._engine: VllmEngine | None = None
        # The step whose weights it has.
        self._has: int | None = None
        self.handed = 0
        self._seconds = 0.0

    @contextlib.contextmanager
    def engine(self, after: int) -> Iterator[VllmEngine]:
        """The engine with the student's weights, which go over if a step was made since.

        Raises:
            InputError: when vLLM does not start. EngineError: when it does not take the weights.
        """
        with undisturbed():
            engine = self._engine or self._opened()
            if self._has != after:
                self._hand_over(after)
            yield engine

    def _opened(self) -> VllmEngine:
        before = os.environ.get(_IN_PROCESS)
        os.environ[_IN_PROCESS] = "0"
        try:
            self._engine = self._shared.open(self._asked.settings)
        except InputError as error:
            # What mends it goes by the names of a run's flags.
            told = re.sub(r"--engine-option gpu_memory_utilization=", "--rollout-memory ", str(error))
            raise InputError(told) from error
        finally:
            if before is None:
                del os.environ[_IN_PROCESS]
            else:
                os.environ[_IN_PROCESS] = before
        return self._engine

    def _hand_over(self, after: int) -> None:
        import torch

        begun, cause = time.perf_counter(), "a part of the model kept its former numbers"
        self._has, ready = None, False
        try:
            ready = self._shared.refill(current_weights(self._student, getattr(torch, self._asked.dtype)))
        except Exception as error:
            cause = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        if not ready:
            raise EngineError(f"vLLM did not take the student's weights after step {after}: {cause}: {_OTHERWISE}")
        self._has = after
        self.handed += 1
        self._seconds += time.perf_counter() - begun

    def told(self) -> dict[str, Any]:
        """Engine, version and number format; how often weights went over, and the seconds of it."""
        if self._engine is None:
            return {}
        info, seconds = self._engine.info, round(self._seconds, 3)
        return {"engine": info.version, "dtype": info.dtype, "handed_over": self.handed, "seconds": seconds}

    def close(self) -> None:
        """Shut vLLM down."""
        self._engine = None
        with undisturbed():
            self._shared.close()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """The training's random numbers, threads and products are as before afterwards: vLLM sets those of the process."""
    import numpy
    import torch

    threads, set_threads, products = torch.get_num_threads(), torch.set_num_threads, torch.backends.cuda.matmul
    rounded, drawn, arrays = products.allow_tf32, random.getstate(), numpy.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.set_num_threads = set_threads
        torch.set_num_threads(threads)
        products.allow_tf32 = rounded
        random.setstate(drawn)
        numpy.random.set_state(arrays)
