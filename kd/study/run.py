"""Makes a study's graph: each artefact once, several at a time, and again nothing that is there."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ...harness.cli.terminal import Reporter
from ...harness.storage import FolderLock, RecordStore
from ..checkpoints import NOTE
from ..train.optimisation import asked_to_stop
from .estimate import costs, total_seconds
from .folder import JOURNAL, StudyFolder, size_of
from .graph import Artefact, Graph, build_graph
from .process import Ended, Process
from .settings import StudySettings
from .sources import Found, find_sources

_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_LONGEST_REASON = 300


class Running(Protocol):
    """A command under way."""

    def ended(self) -> Ended | None:
        """How it ended, or None."""
        ...

    def interrupt(self) -> None:
        """Ask it to stop."""
        ...

    def kill(self) -> None:
        """Stop it."""
        ...


Launch = Callable[[Sequence[str], Path, Mapping[str, str]], Running]


@dataclass(frozen=True)
class Failure:
    """An artefact that could not be made: exit code, the last line of its log, what was not made for want of it."""

    label: str
    code: int
    reason: str
    log: str
    blocked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a study: how many were made now and found made, and what failed."""

    made: int
    found: int
    failures: tuple[Failure, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class Opened:
    """A study's graph, its folder, what it starts from, and its journal (none before it was begun)."""

    graph: Graph
    folder: StudyFolder
    found: Found
    journal: RecordStore | None


@contextlib.contextmanager
def opened_study(settings: StudySettings, out: Path) -> Iterator[Opened]:
    """The study at ``out``, made or found, for this process alone.

    Raises:
        InputError: for wrong settings, sources that are not there, or a folder that cannot be used.
    """
    found = find_sources(settings)
    graph = build_graph(settings, found.sources)
    folder = StudyFolder(out, graph)
    folder.create()
    lock = FolderLock(out)
    try:
        with RecordStore(out / JOURNAL) as journal:
            yield Opened(graph, folder, found, journal)
    finally:
        lock.release()


class StudyRun:
    """One pass over the graph. ``slots``: environment variables of each place where a command can run."""

    def __init__(
        self,
        study: Opened,
        reporter: Reporter,
        slots: Sequence[Mapping[str, str]] = ({},),
        launch: Launch = Process,
    ) -> None:
        if study.journal is None:
            raise ValueError("a study is made with a journal")
        self._graph, self._folder, self._found = study.graph, study.folder, study.found
        self._journal = study.journal
        graph, folder, journal = self._graph, self._folder, self._journal
        self._reporter, self._slots, self._launch = reporter, list(slots), launch
        self._costs = costs(graph, study.found, records_of(journal))
        self._running: dict[int, tuple[Artefact, Running, bool]] = {}
        self._failed: dict[str, Failure] = {}
        self._done = {each.sha256 for each in graph if is_done(each, folder, journal)}
        self._found_done = sum(each.sha256 in self._done for each in graph.to_make())

    @property
    def done(self) -> frozenset[str]:
        """Hashes of what is made by now."""
        return frozenset(self._done)

    def make(self) -> Outcome:
        """Make what is missing; an artefact that fails stops only what depends on it.

        Raises:
            KeyboardInterrupt: after the commands under way have stopped.
        """
        waiting = [each for each in self._graph.to_make() if each.sha256 not in self._done]
        try:
            with asked_to_stop(twice_ends=False) as stop:
                while waiting or self._running:
                    waiting = self._start_ready(waiting)
                    if not self._running:
                        break
                    self._collect(stop)
        except BaseException:
            self._stop()
            raise
        self._folder.link_runs(each for each in self._graph if each.sha256 in self._done)
        made = sum(each.sha256 in self._done for each in self._graph.to_make()) - self._found_done
        blocked = self._blocked(waiting)
        failures = tuple(
            Failure(each.label, each.code, each.reason, each.log, blocked.get(sha256, ()))
            for sha256, each in self._failed.items()
        )
        return Outcome(made, self._found_done, failures)

    def _start_ready(self, waiting: list[Artefact]) -> list[Artefact]:
        left = []
        for each in waiting:
            free = [slot for slot in range(len(self._slots)) if slot not in self._running]
            ready = all(sha256 in self._done for sha256 in each.inputs.values())
            if free and ready and each.sha256 not in self._failed:
                self._start(each, free[0])
            else:
                left.append(each)
        return [each for each in left if each.sha256 not in self._failed]

    def _start(self, artefact: Artefact, slot: int) -> None:
        self._folder.write_settings(artefact)
        began = self._journal.get(artefact.sha256) is not None
        self._journal.put(artefact.sha256, {"status": "begun", "label": artefact.label})
        words = self._folder.command(artefact)
        running = self._launch(words, self._folder.log(artefact), self._slots[slot])
        self._running[slot] = (artefact, running, began)

    def _collect(self, stop: threading.Event) -> None:
        """Wait until something ends, or the person does not want to wait."""
        while True:
            if stop.is_set():
                raise KeyboardInterrupt
            for slot, (artefact, running, began) in list(self._running.items()):
                ended = running.ended()
                if ended is not None:
                    del self._running[slot]
                    self._settle(artefact, ended, began)
                    return
            time.sleep(_LOOK_SECONDS)

    def _settle(self, artefact: Artefact, ended: Ended, began: bool) -> None:
        path = self._folder.path(artefact)
        if ended.code or not path.exists():
            reason = last_line(self._folder.log(artefact)) if ended.code else "its command ended well but made nothing"
            failure = Failure(artefact.label, ended.code, reason, str(self._folder.log(artefact)))
            self._failed[artefact.sha256] = failure
            self._journal.put(artefact.sha256, {"status": "failed", "label": artefact.label, "code": ended.code})
            self._reporter.note(f"FAILED {artefact.label} ({_told(ended.code)}): {reason}")
            return
        cost = self._costs[artefact.sha256]
        self._journal.put(
            artefact.sha256,
            {
                "status": "done",
                "label": artefact.label,
                "kind": artefact.kind,
                "group": cost.group,
                "work": cost.tokens,
                "seconds": round(ended.seconds, 3),
                "cpu_seconds": round(ended.cpu_seconds, 3),
                "resumed": began,
                "tokens": training_of(path).get("tokens"),
                "bytes": size_of(path),
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )
        self._done.add(artefact.sha256)
        self._tell(artefact, ended)

    def _tell(self, artefact: Artefact, ended: Ended) -> None:
        every = self._graph.to_make()
        left = [each for each in every if each.sha256 not in self._done]
        self._costs = costs(self._graph, self._found, records_of(self._journal))
        seconds, unknown = total_seconds((self._costs[each.sha256] for each in left), len(self._slots))
        rest = f"about {minutes(seconds)} left" + (f" and {unknown} of unknown length" if unknown else "")
        now = ", ".join(running.label for running, _, _ in self._running.values())
        self._reporter.note(
            f"[{len(every) - len(left)}/{len(every)}] {artefact.label}: {ended.seconds:.0f} s"
            + (f"; {rest}" if left else "")
            + (f"; now {now}" if now else "")
        )

    def _blocked(self, waiting: Sequence[Artefact]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for sha256 in self._failed:
            behind = [
                each.label
                for each in waiting
                if any(before.sha256 == sha256 for before in self._graph.ancestors(each.sha256))
            ]
            found[sha256] = tuple(behind)
        return found

    def _stop(self) -> None:
        """Ask the commands under way to save what they have; end those that take too long."""
        if not self._running:
            return
        self._reporter.note(f"stopping {', '.join(artefact.label for artefact, _, _ in self._running.values())}")
        for _, running, _ in self._running.values():
            running.interrupt()
        until = time.monotonic() + _PATIENCE_SECONDS
        left = [running for _, running, _ in self._running.values()]
        while left and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            left = [running for running in left if running.ended() is None]
        for running in left:
            running.kill()


def is_done(artefact: Artefact, folder: StudyFolder, journal: RecordStore) -> bool:
    """Is it there, and does the journal say that it is whole?"""
    if artefact.kind == "model":
        return True
    record = journal.get(artefact.sha256)
    return record is not None and record.get("status") == "done" and folder.path(artefact).exists()


def records_of(journal: RecordStore) -> dict[str, dict[str, Any]]:
    """All of the journal's records: those of earlier settings tell how long things take too."""
    found = {sha256: journal.get(sha256) for sha256 in journal.keys()}  # noqa: SIM118 - a store is no mapping
    return {sha256: record for sha256, record in found.items() if record is not None}


def training_of(path: Path) -> Mapping[str, Any]:
    """What a checkpoint's note tells of its training (tokens, warnings …); empty for what was not trained."""
    try:
        return dict(json.loads((path / NOTE).read_text(encoding="utf-8"))["training"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def last_line(log: Path) -> str:
    """Of a log: where commands tell what was wrong."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return "no log"
    return next((line[:_LONGEST_REASON] for line in reversed(lines) if line), "nothing was said")


def minutes(seconds: float) -> str:
    """``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _told(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
