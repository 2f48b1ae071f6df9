"""A local engine that answers from a rule after a while, writes down what it is asked, and dies where a test wants it.

It is installed as a third party's plugin ``stand_in``. Its options: ``seconds`` an answer takes, ``calls`` the file
that it writes to, ``poison`` the id of an item that kills it, ``wrong`` where it raises, ``at`` which item,
``other``: each says that it is another version.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray

from telbench.errors import EngineError, InputError
from telbench.harness.engines.contract import (
    Completion,
    Continuation,
    EngineInfo,
    EngineSettings,
    EngineSpec,
    Request,
    Sampling,
)


class StandIn:
    def __init__(self, settings: EngineSettings) -> None:
        self._options: dict[str, Any] = dict(settings.options)
        if self._options.get("wrong") == "open":
            raise InputError("the stand-in does not like this checkpoint: take another")
        self._node = ray.get_runtime_context().get_node_id()
        self.info = describe(settings)
        if self._options.get("other"):
            self.info = EngineInfo("stand_in", str(os.getpid()), "float32", {"device": "cpu"})
        self._write("opened")

    def _write(self, line: str) -> None:
        if calls := self._options.get("calls"):
            # One write of a short line with O_APPEND is whole, whoever writes beside it.
            with Path(calls).open("ab", buffering=0) as stream:
                stream.write(f"{line} {os.getpid()} {self._node}\n".encode())

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        began, seconds = time.monotonic(), float(self._options.get("seconds", 0))
        for number, request in enumerate(requests, 1):
            self._write(request.key)
            if request.item_id == self._options.get("poison"):
                os.kill(os.getpid(), signal.SIGKILL)
            if self._options.get("wrong") == "engine" and request.item_id == self._options.get("at"):
                raise EngineError("the core died")
            if self._options.get("wrong") == "bug":
                raise TypeError("no such thing")
            # As a device that works while this process waits for its turn on a busy machine.
            time.sleep(max(0.0, began + number * seconds - time.monotonic()))
            yield Completion(request.key, f"answer to {request.item_id}", "stop", (), len(request.token_ids), 3)

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        if self._options.get("wrong") == "likelihoods":
            raise NotImplementedError("it has none")
        for each in continuations:
            self._write(each.key)
            # One in ten has no finite value.
            if len(each.token_ids) % 10:
                yield each.key, -float(len(each.token_ids))

    def close(self) -> None:
        self._write("closed")


def describe(settings: EngineSettings) -> EngineInfo:
    return EngineInfo("stand_in", "1", "float32", {"device": "cpu"})


ENGINE = EngineSpec("stand_in", local=True, cacheable=False, describe=describe, open=StandIn, options=True)
