"""Where a suite keeps what it makes, and how far each entry has come, as the files say.

runs/LABEL-HASH/     the run folders; settings that are changed back find their runs again
entries/             a JSON file an entry: `telbench eval --config` makes the run alone
shares/, logs/       what one process makes, and what it said
failures/            why an entry has no run
board/               of all data sets; boards/PROMPT/ where the suite asks in several ways
journal.jsonl        what was given to an executor, for a suite that was killed
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..executors.contract import Task
from ..fleet.entries import EntryFile
from ..runs.folder import HEADER, JOURNAL, JUDGEMENTS, PARTIAL
from ..storage import claim_folder, replace_text
from .entries import Entry, Share, named

TOLD = "journal.jsonl"
FOLDERS = ("runs", "entries", "shares", "logs", "failures")
State = Literal["waiting", "answering", "judging", "scoring", "done", "failed"]


@dataclass(frozen=True)
class Standing:
    """How far an entry is: ``made`` of ``wanted`` answers or judgements, and of a finished one its header."""

    state: State
    made: int = 0
    wanted: int = 0
    header: Mapping[str, Any] | None = None
    reason: str = ""
    code: int = 0


class SuiteFolder:
    """The places of entries below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        # Of each growing file: how far it was read, and the lines in it.
        self._read: dict[Path, tuple[int, int]] = {}
        self._headers: dict[Path, tuple[int, Mapping[str, Any]]] = {}

    def create(self) -> None:
        """Make the folders.

        Raises:
            InputError: when something else is there, or nothing can be written.
        """
        claim_folder(self.root, TOLD, FOLDERS, "suite")

    def run(self, entry: Entry) -> Path:
        """Its run folder."""
        return self.root / "runs" / entry.folder

    def board(self, prompt: str) -> Path:
        """The board of all runs that were asked in one way; "" is the only one."""
        return self.root / "boards" / named(prompt) if prompt else self.root / "board"

    def log(self, share: Share) -> Path:
        """What the process of a share said."""
        return self.root / "logs" / f"{share.name}.txt"

    def write_entries(self, entries: Iterable[Entry]) -> None:
        """A file of settings for each, by which it can be made alone."""
        for entry in entries:
            text = json.dumps(dict(entry.settings), indent=1, ensure_ascii=False)
            replace_text(self.root / "entries" / f"{entry.folder}.json", text + "\n")

    def task(self, share: Share) -> Task:
        """What an executor is given for a share; its claim keeps two processes from making it at once."""
        file = self.root / "shares" / f"{share.name}.jsonl"
        lines = [EntryFile(each.label, self.run(each), self._failure(each), each.settings) for each in share.entries]
        replace_text(file, "".join(line.to_json() + "\n" for line in lines))
        claim = self.root / "shares" / f".{share.name}.claim"
        return Task(share.name, ("eval", "--entries", str(file)), self.log(share), claim)

    def fail(self, entry: Entry, code: int, reason: str) -> None:
        """Say that there will be no run of an entry, and why."""
        replace_text(self._failure(entry), json.dumps({"code": code, "reason": reason}))

    def forget_failures(self, entries: Iterable[Entry]) -> None:
        """What failed is tried again."""
        for entry in entries:
            self._failure(entry).unlink(missing_ok=True)

    def standing(self, entry: Entry) -> Standing:
        """How far it is, by the files that its making leaves."""
        folder = self.run(entry)
        failure = self._json(self._failure(entry))
        if failure is not None:
            return Standing("failed", reason=str(failure.get("reason")), code=int(failure.get("code") or 5))
        header = self._header(folder / HEADER)
        if header is not None and not (folder / PARTIAL).exists():
            return Standing("done", header["data"]["n"], header["data"]["n"], header)
        begun = self._header(folder / PARTIAL)
        if begun is None:
            return Standing("waiting")
        wanted = begun["data"]["n"]
        made = self._lines(folder / JOURNAL)
        if (folder / JUDGEMENTS).exists():
            return Standing("judging", self._lines(folder / JUDGEMENTS), 0)
        # The journal has a line for the engine, and more than one an item where options are scored.
        return Standing("scoring" if made > wanted else "answering", min(max(0, made - 1), wanted), wanted)

    def _failure(self, entry: Entry) -> Path:
        return self.root / "failures" / f"{entry.folder}.json"

    def _lines(self, file: Path) -> int:
        """Whole lines in a file that grows: only what is new is read."""
        read, lines = self._read.get(file, (0, 0))
        with contextlib.suppress(OSError), file.open("rb") as stream:
            stream.seek(read)
            while block := stream.read(1 << 20):
                lines += block.count(b"\n")
                read += len(block)
            self._read[file] = read, lines
        return lines

    def _header(self, file: Path) -> Mapping[str, Any] | None:
        try:
            changed = file.stat().st_mtime_ns
        except OSError:
            return None
        known = self._headers.get(file)
        if known is None or known[0] != changed:
            found = self._json(file)
            if found is None or "data" not in found:
                return None
            known = self._headers[file] = changed, found
        return known[1]

    @staticmethod
    def _json(file: Path) -> dict[str, Any] | None:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None
