"""An engine that answers from a rule, counts what it is asked, and fails where a test wants it to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.terminal import Reporter
from telbench.harness.engines.contract import (
    Completion,
    Continuation,
    EngineInfo,
    EngineSettings,
    EngineSpec,
    Request,
    Sampling,
)
from telbench.harness.runs import plan as plan_module
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.folder import Run, read_run, read_samples
from telbench.harness.runs.settings import EvalSettings

COUNT = 8
IDS = [f"q{index}" for index in range(COUNT)]


@dataclass
class Script:
    """What the engine does, and afterwards what it was asked.

    ``act`` is called before each completion with the number of those before it: it may raise, or kill the process.
    ``errors`` are the ids of items whose request fails alone. ``likelihood`` maps a continuation to its value.
    """

    act: Callable[[int], None] = lambda count: None
    errors: frozenset[str] = frozenset()
    answer: Callable[[Request], str] = lambda request: f"answer to {request.item_id}"
    likelihood: Callable[[Continuation], float] = lambda continuation: -float(len(continuation.token_ids))
    asked: Counter[str] = field(default_factory=Counter)
    opened: int = 0


class ScriptedEngine:
    """One opening of the engine."""

    def __init__(self, script: Script, settings: EngineSettings) -> None:
        self._script = script
        self.info = describe(settings)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        for count, request in enumerate(requests):
            self._script.act(count)
            self._script.asked[request.item_id] += 1
            if request.item_id in self._script.errors:
                yield Completion(request.key, "", "error", error="scripted failure")
            else:
                yield Completion(request.key, self._script.answer(request), "stop", (), 7, 3)

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        for each in continuations:
            yield each.key, self._script.likelihood(each)

    def close(self) -> None:
        pass


def describe(settings: EngineSettings) -> EngineInfo:
    return EngineInfo("scripted", "1", settings.dtype)


def use(monkeypatch: pytest.MonkeyPatch, script: Script, *, local: bool = False) -> None:
    """Make every plan use this script, whatever engine it names; ``local`` as an engine with a checkpoint."""

    def opened(settings: EngineSettings) -> ScriptedEngine:
        script.opened += 1
        return ScriptedEngine(script, settings)

    spec = EngineSpec("scripted", local=local, cacheable=local, describe=describe, open=opened)
    monkeypatch.setattr(plan_module, "engine_named", lambda name: (spec, "engine scripted"))


class NotedReporter(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def write_items(path: Path, count: int = COUNT, **fields: object) -> Path:
    """A data file of open questions, two a source document, every context and question another."""
    with path.open("w") as stream:
        for index in range(count):
            item = {
                "id": f"q{index}",
                "question": f"What does entity {index} do?",
                "references": [f"It answers to item {index}.", f"answer to q{index}"],
                "context": f"Entity {index} is described in clause {index}.",
                "source_document": f"TS 38.{index // 2}",
                **fields,
            }
            stream.write(json.dumps(item) + "\n")
    return path


def die() -> None:
    """What the kernel does to a process at kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


def killed(work: Callable[[], object]) -> bool:
    """Run work in a forked child; True when it was killed by SIGKILL, False when it came to its end."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def run(settings: EvalSettings) -> Run:
    return evaluate(settings, NotedReporter())


def folder_of(settings: EvalSettings) -> Path:
    assert settings.out is not None
    return settings.out


def assert_whole(settings: EvalSettings) -> dict[str, Any]:
    """The run is finished, every item once, in order, with its own answer; returns the header."""
    folder = folder_of(settings)
    header = read_run(folder)
    samples = list(read_samples(folder))
    assert header["status"] == "complete"
    assert header["counts"]["ok"] == COUNT
    assert [sample["item_id"] for sample in samples] == IDS
    assert all(sample["prediction"] == f"answer to {sample['item_id']}" for sample in samples)
    there = {"run.json", "run.yaml", "samples.jsonl", "completions.jsonl", "log.txt"}
    assert {entry.name for entry in folder.iterdir()} == there
    return header


def finished_keys(folder: Path) -> int:
    journal = folder / "completions.jsonl"
    return 0 if not journal.exists() else sum(b'"text"' in line for line in journal.read_bytes().splitlines())
