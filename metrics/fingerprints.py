"""Content hashes of texts and files, and the folder where what they key is cached."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from telbench.errors import InputError

# A smaller file is hashed as quickly as its hash is looked up.
_LARGE = 1 << 22
# A file written this short a time ago may be written again without its time stamps showing it.
_FRESH_NS = 2_000_000_000
# Sorted keys and no spaces: equal values have equal texts.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form (sorted keys, no spaces, UTF-8)."""
    return text_sha256(_CANONICAL.encode(value))


def list_fingerprint(values: Iterable[Any]) -> str:
    """`fingerprint` of the list of the values, of which memory holds one at a time.

    >>> list_fingerprint(iter([1, "a"])) == fingerprint([1, "a"])
    True
    """
    digest = hashlib.sha256(b"[")
    for index, value in enumerate(values):
        digest.update((("," if index else "") + _CANONICAL.encode(value)).encode("utf-8", "surrogatepass"))
    digest.update(b"]")
    return digest.hexdigest()


def text_sha256(text: str) -> str:
    """SHA-256 of UTF-8 text; lone surrogates, which only hostile input has, are hashed as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content; that of a large one is remembered as long as its stat says it is untouched.

    Raises:
        InputError: when the file cannot be read.
    """
    try:
        if path.stat().st_size >= _LARGE:
            return _remembered_sha256(path)
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _remembered_sha256(path: Path) -> str:
    """The hash from the cache folder, else from the file and then kept there."""
    stamp = _stamp(path)
    place = cache_folder() / "file-hashes" / f"{fingerprint(stamp)}.json"
    known = _known_digest(place, stamp)
    if known is not None:
        return known
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if time.time_ns() - max(stamp.mtime_ns, stamp.ctime_ns) > _FRESH_NS and _stamp(path) == stamp:
        _remember_digest(place, {"stamp": list(stamp), "sha256": digest})
    return digest


class _Stamp(NamedTuple):
    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return _Stamp(
        str(path.resolve()), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def cache_folder() -> Path:
    """Where caches live: ``TELBENCH_CACHE``, else ``XDG_CACHE_HOME/telbench``, else ``~/.cache/telbench``."""
    if chosen := os.environ.get("TELBENCH_CACHE"):
        return Path(os.path.expanduser(chosen))
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "telbench"


def _known_digest(remembered: Path, stamp: _Stamp) -> str | None:
    try:
        known = json.loads(remembered.read_text())
        digest = known["sha256"] if known["stamp"] == list(stamp) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return digest if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else None


def _remember_digest(path: Path, record: dict[str, object]) -> None:
    # A cache that cannot be written (full disk, read-only home) costs time, never the run.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_text(json.dumps(record))
        scratch.replace(path)
    except OSError:
        pass
