"""The run folder: header, samples, journal and log, written so that a killed run can be finished."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..judges.errors import InputError
from .journal import FolderLock, disk_message

SCHEMA_VERSION = 1
HEADER, PARTIAL, SAMPLES, JOURNAL, LOG = (
    "run.json",
    "run.partial.json",
    "samples.jsonl",
    "completions.jsonl",
    "log.txt",
)
OWN_FILES = {HEADER, PARTIAL, SAMPLES, JOURNAL, LOG, "judgements.jsonl", "samples.jsonl.tmp", "run.json.tmp", ".lock"}


class RunFolder:
    """An output folder held by this process alone, for one run.

    Raises:
        InputError: when it cannot be written, is used by another process, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the run folder {path}: {error.strerror}: choose another --out") from error
        foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in OWN_FILES)
        if foreign:
            raise InputError(f"{path} is no run folder (it holds {foreign[0]}): choose an empty or new --out")
        self._lock = FolderLock(path)

    def claim(self, run_id: str, depends_on: Mapping[str, Any], *, fresh: bool) -> dict[str, Any] | None:
        """Take the folder for this run; returns the finished header if the run is already done.

        Raises:
            InputError: when the folder holds another run, naming what differs.
        """
        if fresh:
            for name in (HEADER, PARTIAL, SAMPLES, JOURNAL):
                (self.path / name).unlink(missing_ok=True)
        # As JSON reads it back: tuples become lists.
        wanted = json.loads(json.dumps(depends_on))
        for name in (HEADER, PARTIAL):
            header = self._own_header(name)
            if header is None:
                continue
            if header.get("run_id") != run_id:
                theirs = header.get("depends_on", {})
                other = [key for key, value in wanted.items() if theirs.get(key) != value]
                raise InputError(
                    f"{self.path} holds another run (other {', '.join(other) or 'run_id'}): "
                    "choose another --out, or --fresh to replace it"
                )
            if name == HEADER:
                return header
        return None

    def write_partial(self, header: Mapping[str, Any]) -> None:
        """State what is being made, before it is."""
        self._write(PARTIAL, header)

    def finish(self, header: Mapping[str, Any]) -> None:
        """Write the header last and atomically: a folder with `run.json` is a finished run."""
        self._write(HEADER, header)
        (self.path / PARTIAL).unlink(missing_ok=True)

    def release(self) -> None:
        """Let other processes in."""
        self._lock.release()

    def _own_header(self, name: str) -> dict[str, Any] | None:
        try:
            header = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            # A header that a crash garbled is rebuilt; the journal holds the work.
            return None
        return header if isinstance(header, dict) else None

    def _write(self, name: str, header: Mapping[str, Any]) -> None:
        scratch = self.path / "run.json.tmp"
        try:
            with scratch.open("w", encoding="utf-8") as stream:
                json.dump(header, stream, indent=1, ensure_ascii=False, allow_nan=False)
                stream.write("\n")
                stream.flush()
                os.fsync(stream.fileno())
            scratch.replace(self.path / name)
        except OSError as error:
            raise InputError(disk_message(error, self.path / name, 0).rpartition(";")[0]) from error


def read_run(path: Path) -> dict[str, Any]:
    """The header of a finished run.

    Raises:
        InputError: when the folder holds no run, an unfinished one, or one of a later telbench.
    """
    file = path / HEADER if path.is_dir() else path
    if not file.is_file():
        if (path / PARTIAL).is_file():
            raise InputError(f"the run in {path} is not finished: run its command again to finish it")
        raise InputError(f"no run in {path}: {HEADER} is missing")
    try:
        header = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(header, dict) or "schema_version" not in header:
        raise InputError(f"{file} is no telbench run header")
    if header["schema_version"] > SCHEMA_VERSION:
        raise InputError(
            f"{file} has schema {header['schema_version']}, this telbench reads up to {SCHEMA_VERSION}: update"
        )
    return header


def read_samples(path: Path) -> Iterator[dict[str, Any]]:
    """The samples of a finished run, line by line.

    Raises:
        InputError: naming the line that is not JSON.
    """
    file = path / SAMPLES
    try:
        with file.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise InputError(f"{file}, line {number} is not JSON: copy the run again") from error
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
