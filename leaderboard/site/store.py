"""Parts of boards that are kept from build to build, each under a hash of all that it is made of.

A board after one changed run is mostly what it was. `Store.get` finds a part that was made of the same things, by the
same code and libraries; whoever asks makes the others and gives them to `Store.put`. Nothing kept is believed: a part
whose bytes are not those that were written counts as missing. A board made with an empty store is the same to the last
byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from telbench.errors import InputError

from ...metrics.fingerprints import cache_folder, fingerprint

if TYPE_CHECKING:
    from numpy.typing import NDArray

# All parts together; what was not used for longest goes first.
LIMIT = 4 << 30
_TOLD = "told"
_ROOMS = ("judges", "metrics", "harness", "leaderboard")
_HOUSE = Path(__file__).resolve().parents[2]
_MADE_WITH = (".py", ".html", ".css", ".js")


@dataclass(frozen=True)
class Part:
    """What is kept together: what is ``told`` as JSON, ``arrays`` by name, and ``pieces`` that are read one by one."""

    told: Any
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    pieces: Sequence[bytes] = ()


class Pieces:
    """The pieces of a part, by place or from the end, read when asked for; processes that were forked share them."""

    def __init__(self, descriptor: int, sizes: Sequence[int]) -> None:
        self._descriptor = descriptor
        self._ends = [0]
        for size in sizes:
            self._ends.append(self._ends[-1] + size)

    def __getitem__(self, place: int) -> bytes:
        place += len(self) if place < 0 else 0
        start, end = self._ends[place : place + 2]
        return os.pread(self._descriptor, end - start, start)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


@dataclass(frozen=True)
class Kept:
    """A part as it was found."""

    told: Any
    arrays: Mapping[str, NDArray[Any]]
    pieces: Pieces | None = None


class Store:
    """Parts in a folder, for this user alone; without a ``folder`` in one that goes with the store.

    A folder that cannot be written is left alone: then, too, parts live as long as the store.
    """

    def __init__(self, folder: Path | None = None, limit: int = LIMIT) -> None:
        self._limit = limit
        # Made before processes are forked, which have to find the same.
        self._scratch = tempfile.TemporaryDirectory(prefix="telbench-board-")
        self._held: dict[Path, Kept] = {}
        self.folder = folder
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                if not os.access(folder, os.W_OK | os.X_OK):
                    self.folder = None
            except OSError:
                self.folder = None

    @property
    def lasting(self) -> bool:
        """Will the next build find what is put here?"""
        return self.folder is not None

    def get(self, kind: str, *made_of: Any, hold: bool = False) -> Kept | None:
        """The part of this kind that was made of this (JSON values), if there is one and it is whole.

        A part that several ask for is read once, where all of them ``hold`` it.
        """
        path = self._path(kind, made_of)
        if hold and path in self._held:
            return self._held[path]
        try:
            content = path.read_bytes()
            found = self._read(path, content)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        if hold:
            self._held[path] = found
        return found

    def put(self, part: Part, kind: str, *made_of: Any) -> None:
        """Keep a part.

        Raises:
            InputError: where not even a scratch folder can hold it.
        """
        import numpy as np

        path, pieces = self._path(kind, made_of), b"".join(part.pieces)
        told = {
            "value": part.told,
            "sizes": [len(piece) for piece in part.pieces],
            "sha256": hashlib.sha256(pieces).hexdigest() if part.pieces else None,
        }
        stream = io.BytesIO()
        # Savez has no pickle where no array holds objects.
        # A record is the fields of its own.
        letters = np.frombuffer(json.dumps(told, separators=(",", ":"), default=vars).encode("ascii"), np.uint8)
        held: dict[str, Any] = {_TOLD: letters, **part.arrays}
        np.savez(stream, **held)
        try:
            if part.pieces:
                _write(path.with_suffix(".pieces"), pieces)
            _write(path, stream.getvalue())
        except OSError as error:
            if self.folder is not None:
                # The disk is full, say: the board needs its parts all the same.
                self.folder = None
                self.put(part, kind, *made_of)
                return
            raise InputError(f"cannot write {path.parent}: {error.strerror}") from error

    def kept(self, part: Part, kind: str, *made_of: Any) -> Kept:
        """`put` a part and `get` it.

        Raises:
            InputError: where it vanished in between.
        """
        self.put(part, kind, *made_of)
        found = self.get(kind, *made_of)
        if found is None:
            raise InputError(f"parts of the board vanished from {self._path(kind, made_of).parent}: build again")
        return found

    def tidy(self) -> None:
        """Remove what was not used for longest, until the rest is within the limit."""
        if self.folder is None:
            return
        found = []
        for path in self.folder.glob("*.*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._limit:
                break
            for each in (path, path.with_suffix(".pieces")):
                with contextlib.suppress(OSError):
                    each.unlink()
            total -= size

    def _read(self, path: Path, content: bytes) -> Kept:
        import numpy as np

        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        told = json.loads(arrays.pop(_TOLD).tobytes())
        if told["sha256"] is None:
            return Kept(told["value"], arrays)
        pieces = path.with_suffix(".pieces")
        descriptor = os.open(pieces, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        found = Pieces(descriptor, told["sizes"])
        with os.fdopen(os.dup(descriptor), "rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != told["sha256"]:
                raise ValueError("other bytes than were written")
        with contextlib.suppress(OSError):
            os.utime(pieces)
        return Kept(told["value"], arrays, found)

    def _path(self, kind: str, made_of: Sequence[Any]) -> Path:
        return (self.folder or Path(self._scratch.name)) / f"{kind}-{fingerprint([made_with(), *made_of])}.npz"


def user_store() -> Store:
    """The store of this user's boards, where telbench's caches live."""
    return Store(cache_folder() / "boards")


@lru_cache(maxsize=1)
def made_with() -> str:
    """Hash of the code and the versions that parts are made with."""
    import jinja2
    import numpy as np
    import scipy

    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((_HOUSE / room).rglob("*")):
            if path.suffix in _MADE_WITH:
                digest.update(f"{path.relative_to(_HOUSE)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    versions = (platform.python_version(), platform.machine(), np.__version__, scipy.__version__, jinja2.__version__)
    digest.update(json.dumps([*versions, zlib.ZLIB_RUNTIME_VERSION]).encode())
    return digest.hexdigest()


def digest_of(*arrays: NDArray[Any], told: Any = None) -> str:
    """SHA-256 of arrays and of what else is ``told`` (a JSON value)."""
    import numpy as np

    digest = hashlib.sha256(fingerprint([told, *([each.dtype.str, list(each.shape)] for each in arrays)]).encode())
    for each in arrays:
        digest.update(np.ascontiguousarray(each).data)
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    """As a whole or not at all."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    scratch.write_bytes(content)
    scratch.replace(path)
