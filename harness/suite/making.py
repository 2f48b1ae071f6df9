"""Has the entries of a suite made by an executor, and goes on where it was stopped.

What an entry has come to stands in its own files. So a suite that is killed loses no answer, and finds what it has.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from telbench.errors import TelbenchError

from ..adapter import open_model
from ..cli.terminal import Reporter
from ..executors.contract import Ended, Executor, Running
from ..executors.process import LOOK_SECONDS, last_line, stop_all
from ..identity import identify_checkpoint
from ..storage import RecordStore
from .checking import Checked
from .entries import Entry, Share, shares_of
from .folder import TOLD, Standing, SuiteFolder

# So often the files of entries under way are looked at.
SHOWN_SECONDS = 1.0


@dataclass(frozen=True)
class _UnderWay:
    """``finished``: how many of its entries had ended when it was started."""

    share: Share
    running: Running
    finished: int


class SuiteRun:
    """One pass over the entries. Those of a process that is lost are given again, ``tries`` times in all."""

    def __init__(
        self, checked: Sequence[Checked], folder: SuiteFolder, reporter: Reporter, executor: Executor, tries: int = 1
    ) -> None:
        self._checked, self._folder, self._reporter = checked, folder, reporter
        self._executor, self._tries = executor, tries
        self._entries = [each.entry for each in checked]
        self._under_way: list[_UnderWay] = []
        self._lost: Counter[str] = Counter()
        self.standings: dict[str, Standing] = {each.label: folder.standing(each) for each in self._entries}

    @property
    def ended(self) -> dict[str, Standing]:
        """Entries that are done or failed, by label."""
        return {label: each for label, each in self.standings.items() if each.state in ("done", "failed")}

    def make(self, changed: Callable[[Entry, Standing, Standing], object]) -> Mapping[str, Standing]:
        """Make what is missing, and try again what failed; the standings of all entries by label.

        ``changed`` is told of each entry whose standing is another than before: the entry, before, after.

        Raises:
            KeyboardInterrupt: after the processes under way have stopped.
        """
        for note in self._executor.notes:
            self._reporter.note(note)
        self._folder.forget_failures(self._entries)
        self._look(changed)
        missing = [each for each in self._entries if not self._is_made(each)]
        with RecordStore(self._folder.root / TOLD) as journal:
            try:
                found = self._find_started(missing, journal)
                missing = [each for each in missing if each.label not in found]
                places = max(1, min(self._executor.places, len(missing)))
                loads = {each.entry.label: each.loads for each in self._checked}
                waiting = shares_of(missing, loads, places) if missing else []
                while waiting or self._under_way:
                    waiting = self._start(waiting, journal)
                    waiting += self._collect(changed, journal)
            except BaseException:
                self._stop()
                self._look(changed)
                raise
        self._look(changed)
        return dict(self.standings)

    def _look(self, changed: Callable[[Entry, Standing, Standing], object]) -> None:
        for entry in self._entries:
            before, after = self.standings[entry.label], self._folder.standing(entry)
            self.standings[entry.label] = after
            if before != after:
                changed(entry, before, after)

    def _is_made(self, entry: Entry) -> bool:
        """Is there its run, whole, and of the weights that lie in the checkpoint's folder now?"""
        header = self._folder.standing(entry).header
        if header is None or header["counts"].get("error"):
            return False
        judges = (header.get("judge") or {}).get("judges", ())
        if any(judge["missing"].get(reason) for judge in judges for reason in ("timeout", "error")):
            return False
        known = header["model"].get("weights_sha256")
        if known is None:
            return True
        options = entry.asked().engine
        checkpoint = open_model(
            str(entry.settings["model"]),
            base=options.base,
            trust_remote_code=options.trust_remote_code,
            online=options.online,
            revision=options.revision,
        )
        return identify_checkpoint(checkpoint, None).weights_sha256 == known

    def _find_started(self, missing: Sequence[Entry], journal: RecordStore) -> set[str]:
        """Jobs that a suite which was killed has left in a queue are waited for, not given again."""
        by_folder = {each.folder: each for each in missing}
        found: set[str] = set()
        for name in list(journal.keys()):
            record = journal.get(name) or {}
            entries = tuple(by_folder[each] for each in record.get("entries", ()) if each in by_folder)
            if record.get("status") != "begun" or not record.get("handle") or not entries:
                continue
            running = self._executor.find(record["handle"])
            if running is not None:
                self._reporter.note(f"{name}: already under way")
                self._under_way.append(_UnderWay(Share(name, entries), running, 0))
                found |= {each.label for each in entries}
        return found

    def _start(self, waiting: list[Share], journal: RecordStore) -> list[Share]:
        """Start as many shares as there are free places; the others."""
        free = self._executor.places - len(self._under_way)
        chosen, rest = waiting[:free], waiting[free:]
        if chosen:
            tasks = [self._folder.task(share) for share in chosen]
            for share, running in zip(chosen, self._executor.start(tasks), strict=True):
                finished = sum(each.label in self.ended for each in share.entries)
                self._under_way.append(_UnderWay(share, running, finished))
                told = {"status": "begun", "handle": dict(running.handle)}
                journal.put(share.name, {**told, "entries": [each.folder for each in share.entries]})
        return rest

    def _collect(self, changed: Callable[[Entry, Standing, Standing], object], journal: RecordStore) -> list[Share]:
        """Wait until a process ends; what it left is what has to be given again."""
        looked = 0.0
        while self._under_way:
            for each in self._under_way:
                ended = each.running.ended()
                if ended is not None:
                    self._under_way.remove(each)
                    self._look(changed)
                    return self._settle(each, ended, journal, changed)
            if time.monotonic() - looked >= SHOWN_SECONDS:
                looked = time.monotonic()
                self._look(changed)
            time.sleep(LOOK_SECONDS)
        return []

    def _settle(
        self,
        each: _UnderWay,
        ended: Ended,
        journal: RecordStore,
        changed: Callable[[Entry, Standing, Standing], object],
    ) -> list[Share]:
        share = each.share
        left = [entry for entry in share.entries if not self._has_ended(entry)]
        record = {"seconds": round(ended.seconds, 3), "cpu_seconds": round(ended.cpu_seconds, 3), "place": ended.place}
        journal.put(share.name, {"status": "ended", "code": ended.code, **record})
        if not left:
            return []
        why = ended.why or (f"killed by signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}")
        if ended.lost:
            self._lost[share.name] += 1
            if self._lost[share.name] < self._tries:
                self._reporter.note(f"{share.name}: {why}; try {self._lost[share.name] + 1} of {self._tries}")
                return [replace(share, entries=tuple(left))]
        moved = len(share.entries) - len(left) > each.finished
        if ended.lost or not moved:
            # Nothing came of it: the entry that it was at is given up, the others get their turn.
            reason = f"{why}: {last_line(self._folder.log(share))}"
            self._folder.fail(left[0], ended.code if ended.code > 0 else TelbenchError.exit_code, reason)
            left = left[1:]
            self._look(changed)
        return [replace(share, entries=tuple(left))] if left else []

    def _has_ended(self, entry: Entry) -> bool:
        return self._folder.standing(entry).state in {"failed", "done"}

    def _stop(self) -> None:
        """Ask the processes under way to save what they have; end those that take too long."""
        if not self._under_way:
            return
        self._reporter.note("stopping")
        stop_all([each.running for each in self._under_way])
