"""Makes a study's graph: each artefact once, several at a time, and again nothing that is there."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from telbench.errors import TelbenchError

from ...harness.cli.terminal import Reporter
from ...harness.executors.contract import Ended, Executor, Running
from ...harness.executors.process import LOOK_SECONDS, last_line, stop_all
from ...harness.storage import FolderLock, RecordStore
from ..checkpoints import NOTE
from ..train.optimisation import asked_to_stop
from .estimate import costs, total_seconds
from .folder import JOURNAL, StudyFolder, size_of
from .graph import Artefact, Graph, build_graph
from .settings import StudySettings
from .showing import SHOWN, Shown
from .sources import Found, find_sources


@dataclass(frozen=True)
class _UnderWay:
    """``began``: was something of it made before?"""

    artefact: Artefact
    running: Running
    began: bool


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
def opened_study(settings: StudySettings, out: Path, log: Sequence[str] = ()) -> Iterator[Opened]:
    """The study at ``out``, made or found, for this process alone; ``log``: the loggers that show it.

    Raises:
        InputError: for wrong settings, sources that are not there, or a folder that cannot be used.
    """
    found = find_sources(settings)
    graph = build_graph(settings, found.sources)
    folder = StudyFolder(out, graph, Shown(log, out / SHOWN, settings.name))
    folder.create()
    lock = FolderLock(out)
    try:
        with RecordStore(out / JOURNAL) as journal:
            yield Opened(graph, folder, found, journal)
    finally:
        lock.release()


class StudyRun:
    """One pass over the graph, its artefacts made by an executor; one that is lost is tried again, ``tries`` in all."""

    def __init__(self, study: Opened, reporter: Reporter, executor: Executor, tries: int = 1) -> None:
        if study.journal is None:
            raise ValueError("a study is made with a journal")
        self._graph, self._folder, self._found = study.graph, study.folder, study.found
        self._journal = study.journal
        graph, folder, journal = self._graph, self._folder, self._journal
        self._reporter, self._executor, self._tries = reporter, executor, tries
        self._costs = costs(graph, study.found, records_of(journal))
        self._under_way: dict[str, _UnderWay] = {}
        self._widest = 1
        self._lost: Counter[str] = Counter()
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
        for note in self._executor.notes:
            self._reporter.note(note)
        try:
            with asked_to_stop(twice_ends=False) as stop:
                self._find_started()
                while (waiting := self._waiting()) or self._under_way:
                    self._start_ready(waiting)
                    if not self._under_way:
                        break
                    self._collect(stop)
        except BaseException:
            self._stop()
            raise
        self._folder.link_runs(each for each in self._graph if each.sha256 in self._done)
        made = sum(each.sha256 in self._done for each in self._graph.to_make()) - self._found_done
        blocked = self._blocked(self._waiting())
        failures = tuple(
            Failure(each.label, each.code, each.reason, each.log, blocked.get(sha256, ()))
            for sha256, each in self._failed.items()
        )
        return Outcome(made, self._found_done, failures)

    def _waiting(self) -> list[Artefact]:
        known = self._done | self._failed.keys() | self._under_way.keys()
        return [each for each in self._graph.to_make() if each.sha256 not in known]

    def _find_started(self) -> None:
        """Jobs that a study which was killed has left in a queue are waited for, not given again."""
        for artefact in self._waiting():
            record = self._journal.get(artefact.sha256) or {}
            if record.get("status") == "begun" and record.get("handle"):
                running = self._executor.find(record["handle"])
                if running is not None:
                    self._reporter.note(f"{artefact.label}: already under way")
                    self._under_way[artefact.sha256] = _UnderWay(artefact, running, began=True)

    def _start_ready(self, waiting: Sequence[Artefact]) -> None:
        ready = [each for each in waiting if all(sha256 in self._done for sha256 in each.inputs.values())]
        chosen = ready[: self._executor.places - len(self._under_way)]
        if not chosen:
            return
        began = [self._journal.get(each.sha256) is not None for each in chosen]
        for each in chosen:
            self._folder.write_settings(each)
            self._journal.put(each.sha256, {"status": "begun", "label": each.label})
        started = self._executor.start([self._folder.task(each) for each in chosen])
        for each, running, before in zip(chosen, started, began, strict=True):
            self._under_way[each.sha256] = _UnderWay(each, running, before)
            if running.handle:
                record = {"status": "begun", "label": each.label, "handle": dict(running.handle)}
                self._journal.put(each.sha256, record)
        self._widest = max(self._widest, len(self._under_way))

    def _collect(self, stop: threading.Event) -> None:
        """Wait until something ends, or the person does not want to wait."""
        while True:
            if stop.is_set():
                raise KeyboardInterrupt
            for each in list(self._under_way.values()):
                ended = each.running.ended()
                if ended is not None:
                    del self._under_way[each.artefact.sha256]
                    self._settle(each, ended)
                    return
            time.sleep(LOOK_SECONDS)

    def _settle(self, each: _UnderWay, ended: Ended) -> None:
        artefact = each.artefact
        path = self._folder.path(artefact)
        if ended.code or not path.exists():
            self._settle_badly(artefact, ended)
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
                "resumed": each.began,
                "tries": 1 + self._lost[artefact.sha256],
                "place": ended.place,
                "tokens": training_of(path).get("tokens"),
                "bytes": size_of(path),
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )
        self._done.add(artefact.sha256)
        self._tell(artefact, ended)
        self._folder.shown.show(artefact, path, self._reporter)

    def _settle_badly(self, artefact: Artefact, ended: Ended) -> None:
        log = self._folder.log(artefact)
        if ended.lost and self._lost[artefact.sha256] + 1 < self._tries:
            self._lost[artefact.sha256] += 1
            record = {"status": "lost", "label": artefact.label, "code": ended.code, "why": ended.why}
            self._journal.put(artefact.sha256, record)
            told = f"try {self._lost[artefact.sha256] + 1} of {self._tries}"
            self._reporter.note(f"{artefact.label}: {ended.why or _told(ended.code)}; {told}")
            return
        reason = ended.why or (last_line(log) if ended.code else "its command ended well but made nothing")
        code = ended.code or TelbenchError.exit_code
        self._failed[artefact.sha256] = Failure(artefact.label, code, reason, str(log))
        self._journal.put(artefact.sha256, {"status": "failed", "label": artefact.label, "code": ended.code})
        self._reporter.note(f"FAILED {artefact.label} ({_told(ended.code)}): {reason}")

    def _tell(self, artefact: Artefact, ended: Ended) -> None:
        every = self._graph.to_make()
        left = [each for each in every if each.sha256 not in self._done]
        self._costs = costs(self._graph, self._found, records_of(self._journal))
        seconds, unknown = total_seconds(
            (self._costs[each.sha256] for each in left), min(self._executor.places, self._widest)
        )
        rest = f"about {minutes(seconds)} left" + (f" and {unknown} of unknown length" if unknown else "")
        now = ", ".join(each.artefact.label for each in self._under_way.values())
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
        if not self._under_way:
            return
        self._reporter.note(f"stopping {', '.join(each.artefact.label for each in self._under_way.values())}")
        stop_all([each.running for each in self._under_way.values()])


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


def minutes(seconds: float) -> str:
    """``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _told(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
