"""An append-only JSONL file of finished work, looked up by key: what makes kill -9 cheap.

Lines reach the operating system as they are written, so a killed process loses at most the line it was writing. Opening
a store repairs such a torn end. Memory holds some 25 bytes a record: where it stands, and a hash of its key.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from telbench.errors import InputError

from .identity import cache_folder
from .key_index import KeyIndex


class RecordStore(contextlib.AbstractContextManager["RecordStore"]):
    """Records by key in one JSONL file; the last record of a key counts.

    ``torn`` counts the bytes cut from a half-written last line, ``garbled`` the unreadable lines inside.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0
        self.garbled = 0
        self._last: dict[str, Any] = {}
        self._offsets = KeyIndex(self._key_at)
        try:
            self._writer = path.open("ab", buffering=0)
            self._reader = path.open("rb")
            if self._writer.tell():
                self._index()
                # Opened after the repair: what a reader has buffered does not change with the file.
                self._reader.close()
                self._reader = path.open("rb")
        except OSError as error:
            raise InputError(f"cannot open {path}: {error.strerror}: choose a writable folder") from error

    def __exit__(self, *_: object) -> None:
        """Push everything to the disk and close."""
        try:
            with writing(self.path, len(self._offsets)):
                os.fsync(self._writer.fileno())
        finally:
            self._writer.close()
            self._reader.close()

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def keys(self) -> Iterator[str]:
        """All keys, in the order of their first appearance."""
        return map(self._key_at, self._offsets)

    def get(self, key: str) -> dict[str, Any] | None:
        """The record of a key, or None."""
        # The index has read the line to see that the key is this one, and not another of its hash.
        return None if self._offsets.find(key) is None else self._last

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Append a record; it survives a kill of this process from here on.

        Raises:
            InputError: when the disk is full or the file cannot be written; what was written before is kept.
        """
        line = (json.dumps({"key": key, **record}, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")
        with writing(self.path, len(self._offsets)):
            offset = self._writer.seek(0, os.SEEK_END)
            try:
                # A nearly full disk takes part of a line, and tells why only when asked to take the rest.
                while line:
                    line = line[self._writer.write(line) :]
            except OSError:
                self._writer.truncate(offset)
                raise
        self._offsets.put(key, offset)

    def _key_at(self, offset: int) -> str:
        """The key of the record at a place in the file, which is kept as the last one read."""
        self._reader.seek(offset)
        self._last = json.loads(self._reader.readline())
        return self._last["key"]

    def _index(self) -> None:
        offset = 0
        with self.path.open("rb") as stream:
            for line in stream:
                key = _key(line)
                if key is not None:
                    self._offsets.put(key, offset)
                if not line.endswith(b"\n"):
                    if key is None:
                        self.torn = len(line)
                        self._writer.truncate(offset)
                    else:
                        # The record lacks nothing but its line feed: generating it again would be waste.
                        self._writer.write(b"\n")
                    break
                self.garbled += key is None
                offset += len(line)


def _key(line: bytes) -> str | None:
    """The key of a line, or None where the line is no record."""
    try:
        key = json.loads(line)["key"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return key if isinstance(key, str) else None


def disk_message(error: OSError, path: Path, kept: int | None = None) -> str:
    """The one line about a disk that takes no more."""
    what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"cannot write ({error.strerror})"
    line = f"{what}: {path}: free some space and run the same command again"
    return line if kept is None else f"{line}; {kept} finished records are kept"


@contextlib.contextmanager
def writing(path: Path, kept: int | None = None) -> Iterator[Path]:
    """What the system refuses to write meanwhile is told in one line that names ``path``.

    Raises:
        InputError: that line, with how many records are ``kept``.
    """
    try:
        yield path
    except OSError as error:
        raise InputError(disk_message(error, path, kept)) from error


# Folders that this process holds: POSIX locks keep out other processes only.
_held: set[tuple[int, int]] = set()


class FolderLock:
    """Exclusive use of a run folder by one process, released by the system when the process ends however it ends.

    A POSIX lock, since a child process that outlives its killed parent (an engine's worker) does not inherit it.

    Raises:
        InputError: when another process holds the folder (its id is named), or nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        try:
            status = folder.stat()
            self._folder = (status.st_dev, status.st_ino)
            if self._folder in _held:
                raise _busy(folder, f"pid {os.getpid()}, this one")
            self._file = _locked(self._path)
        except BlockingIOError as error:
            raise _busy(folder, _owner(self._path)) from error
        except OSError as error:
            raise InputError(f"cannot write {folder}: {error.strerror}: choose a writable --out") from error
        _held.add(self._folder)
        with contextlib.suppress(OSError):
            # On a full disk the lock holds just as well without a name in it.
            self._file.truncate(0)
            self._file.write(f"pid {os.getpid()}".encode())

    def release(self) -> None:
        """Give the folder back."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._file.close()
        _held.discard(self._folder)


LOCK = ".telbench.lock"


def _locked(path: Path) -> IO[bytes]:
    """The file at ``path``, locked; raises BlockingIOError when another process holds it."""
    while True:
        file = path.open("a+b", buffering=0)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last owner may have removed the file between our open and our lock: then it locks nothing.
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        except OSError as error:
            file.close()
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise BlockingIOError(error.errno, error.strerror) from error
            raise
        file.close()


def _owner(path: Path) -> str:
    try:
        return path.read_text().strip() or "unknown"
    except OSError:
        return "unknown"


def _busy(folder: Path, owner: str) -> InputError:
    return InputError(f"another telbench process ({owner}) is writing {folder}: wait, or choose another --out")


_PATIENCE = 30.0


@contextlib.contextmanager
def waiting_lock(path: Path, patience: float = _PATIENCE) -> Iterator[None]:
    """Exclusive use of what ``path`` stands for among processes; waits ``patience`` seconds for another to finish.

    The system gives the lock back however a process ends.

    Raises:
        InputError: when another process holds it for longer, or the file cannot be made.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            file = _locked(path)
            break
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise InputError(
                    f"another process has held {path} for {patience:g} s: run the command again"
                ) from error
            time.sleep(0.02)
        except OSError as error:
            raise InputError(disk_message(error, path)) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        file.close()


def replace_text(path: Path, text: str) -> None:
    """Put a text in place of a file at once: whoever reads it, or a machine that stops, finds the old or the new one.

    Raises:
        InputError: when it cannot be written; then the old one is there.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if path.exists():
            shutil.copymode(path, scratch)
        scratch.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise InputError(disk_message(error, path)) from error


@contextlib.contextmanager
def shared_store(kind: str, identity: str) -> Iterator[RecordStore | None]:
    """The cache's store of that kind and identity, held alone; None where the cache folder cannot be used.

    Raises:
        InputError: when the store itself cannot be opened.
    """
    folder = cache_folder() / kind
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / f"{identity}.lock").open("w"))
        except OSError:
            yield None
            return
        if not _patient_lock(lock.fileno()):
            yield None
            return
        yield stack.enter_context(RecordStore(folder / f"{identity}.jsonl"))


def _patient_lock(descriptor: int) -> bool:
    """Wait for the lock while others copy, but not for ever: a stopped process may hold it."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        except OSError:
            return False


def claim_folder(root: Path, mark: str, inside: Iterable[str], what: str) -> None:
    """Make a folder with these in it, or go on with one that holds the file ``mark``: ours, a ``what``.

    Raises:
        InputError: when something else is there, or nothing can be written.
    """
    try:
        if root.is_dir() and not (root / mark).is_file() and any(root.iterdir()):
            raise InputError(f"{root} exists and holds no {what}: choose another --out")
        for name in inside:
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / mark).touch()
    except OSError as error:
        raise InputError(f"cannot write in {root}: {error.strerror}: choose another --out") from error
