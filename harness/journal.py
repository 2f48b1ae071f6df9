"""An append-only JSONL file of finished work, looked up by key: what makes kill -9 cheap.

Lines reach the operating system as they are written, so a killed process loses at most the line it was writing. Opening
a store repairs such a torn end. Only keys and offsets are held in memory.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ..judges.errors import InputError


class RecordStore:
    """Records by key in one JSONL file; the last record of a key counts.

    ``torn`` counts the bytes cut from a half-written last line, ``garbled`` the unreadable lines inside.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0
        self.garbled = 0
        self._offsets: dict[str, int] = {}
        try:
            self._writer = path.open("ab", buffering=0)
            self._reader = path.open("rb")
            self._index()
        except OSError as error:
            raise InputError(f"cannot open {path}: {error.strerror}: choose a writable folder") from error

    def __enter__(self) -> RecordStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def keys(self) -> Iterator[str]:
        """All keys, in the order of their first appearance."""
        return iter(self._offsets)

    def get(self, key: str) -> dict[str, Any] | None:
        """The record of a key, or None."""
        offset = self._offsets.get(key)
        if offset is None:
            return None
        self._reader.seek(offset)
        return json.loads(self._reader.readline())

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Append a record; it survives a kill of this process from here on.

        Raises:
            InputError: when the disk is full or the file cannot be written; what was written before is kept.
        """
        line = json.dumps({"key": key, **record}, ensure_ascii=True, allow_nan=False) + "\n"
        try:
            offset = self._writer.seek(0, os.SEEK_END)
            if self._writer.write(line.encode("ascii")) != len(line):
                # A nearly full disk takes part of a line: take it back, so that the file stays whole.
                self._writer.truncate(offset)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise InputError(disk_message(error, self.path, len(self))) from error
        self._offsets[key] = offset

    def close(self) -> None:
        """Push everything to the disk and close."""
        if self._writer.closed:
            return
        try:
            os.fsync(self._writer.fileno())
        except OSError as error:
            raise InputError(disk_message(error, self.path, len(self))) from error
        finally:
            self._writer.close()
            self._reader.close()

    def _index(self) -> None:
        offset = 0
        for line in self._reader:
            if not line.endswith(b"\n"):
                self.torn = len(line)
                self._writer.truncate(offset)
                break
            try:
                self._offsets[json.loads(line)["key"]] = offset
            except (ValueError, KeyError, TypeError):
                self.garbled += 1
            offset += len(line)


def disk_message(error: OSError, path: Path, kept: int) -> str:
    """The one line about a disk that takes no more."""
    what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"cannot write ({error.strerror})"
    return f"{what}: {path}: free some space and run the same command again; {kept} finished records are kept"


class FolderLock:
    """Exclusive use of a run folder by one process, released by the system when the process ends however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        try:
            self._file = self._path.open("a+")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise InputError(
                f"another telbench process ({owner}) is writing {folder}: wait, or choose another --out"
            ) from error
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror}: choose a writable --out") from error
        self._file.truncate(0)
        self._file.write(f"pid {os.getpid()}")
        self._file.flush()

    def release(self) -> None:
        """Give the folder back."""
        self._path.unlink(missing_ok=True)
        self._file.close()
