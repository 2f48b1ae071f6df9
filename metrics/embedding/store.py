"""Embeddings by text: the latest in memory, those of references and questions on disk for the next checkpoint."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fingerprints import text_sha256

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MEMORY_BYTES = 256 << 20
# Texts a file: thousands of tiny files are slow to write and to delete, one large one is held twice while written.
PACK = 256


@dataclass(frozen=True)
class Embedded:
    """One text under an encoder.

    ``tokens`` are its T token embeddings scaled to length 1, shape (T, d), or (0, d) where only the sentence was
    wanted; ``ids`` their vocabulary ids; ``counted`` is 0 for the separator and class tokens that BERTScore matches
    against but does not average, else 1; ``sentence`` is the embedding of the whole text, of length 1, shape (d,), or
    (0,) where only tokens were wanted.
    """

    tokens: NDArray[np.float32]
    ids: NDArray[np.int64]
    counted: NDArray[np.float32]
    sentence: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return self.tokens.nbytes + self.ids.nbytes + self.counted.nbytes + self.sentence.nbytes


class EmbeddingStore:
    """Embeddings of one encoder and layer, keyed on the text's hash; memory is bounded, the oldest go first.

    On disk a file packs up to `PACK` texts; files are listed at the first look, so what another process writes
    meanwhile is computed once more.
    """

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        self.folder = folder
        self.memory_bytes = memory_bytes
        self._held: OrderedDict[str, Embedded] = OrderedDict()
        self._bytes = 0
        self._on_disk: dict[str, tuple[_Pack, int]] | None = None

    def get(self, text: str, *, on_disk: bool) -> Embedded | None:
        """The embedding if known; the disk is asked only for texts that are kept there."""
        key = text_sha256(text)
        if (held := self._held.get(key)) is not None:
            self._held.move_to_end(key)
            return held
        if not on_disk:
            return None
        if self._on_disk is None:
            self._on_disk = {key: (pack, row) for pack in _packs(self.folder) for row, key in enumerate(pack.keys)}
        if key not in self._on_disk:
            return None
        pack, row = self._on_disk[key]
        if (found := pack.read(row)) is not None:
            self._hold(key, found)
        return found

    def put(self, embeddings: Mapping[str, Embedded], *, on_disk: bool) -> None:
        """Hold embeddings by text, and write them where other runs will want them."""
        keyed = {text_sha256(text): embedded for text, embedded in embeddings.items()}
        for key, embedded in keyed.items():
            self._hold(key, embedded)
        if on_disk:
            rest = iter(keyed.items())
            while part := dict(islice(rest, PACK)):
                _write_pack(self.folder, part)

    def _hold(self, key: str, embedded: Embedded) -> None:
        if (old := self._held.pop(key, None)) is not None:
            self._bytes -= old.nbytes
        self._held[key] = embedded
        self._bytes += embedded.nbytes
        while self._bytes > self.memory_bytes and self._held:
            self._bytes -= self._held.popitem(last=False)[1].nbytes


class _Pack:
    """One file of texts: ``keys`` (n, 32), ``sentence`` (n, d), and the rows of all tokens after ``ends`` (n,)."""

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        self._file: Any = safe_open(path, framework="numpy")
        names = set(self._file.keys())
        if not {"keys", "ends", "tokens", "ids", "counted", "sentence"} <= names:
            raise ValueError("tensors are missing")
        self.keys: list[str] = [row.tobytes().hex() for row in self._file.get_tensor("keys")]
        self._ends: list[int] = self._file.get_tensor("ends").tolist()
        if len(self._ends) != len(self.keys):
            raise ValueError("keys and ends differ in number")

    def read(self, row: int) -> Embedded | None:
        from safetensors import SafetensorError

        start, end = self._ends[row - 1] if row else 0, self._ends[row]
        try:
            tokens, ids, counted = (self._file.get_slice(name)[start:end] for name in ("tokens", "ids", "counted"))
            return Embedded(tokens, ids, counted, self._file.get_slice("sentence")[row])
        except (OSError, SafetensorError, ValueError, TypeError, IndexError):
            return None


def _packs(folder: Path) -> Sequence[_Pack]:
    """The readable packs of a folder; a damaged one costs time, never the run."""
    from safetensors import SafetensorError

    packs = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            packs.append(_Pack(path))
        except (OSError, SafetensorError, ValueError, TypeError):
            continue
    return packs


def _write_pack(folder: Path, embeddings: Mapping[str, Embedded]) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    rows = list(embeddings.values())
    arrays: dict[str, NDArray[Any]] = {
        name: np.concatenate([getattr(row, name) for row in rows]) for name in ("tokens", "ids", "counted")
    }
    arrays["ends"] = np.cumsum([len(row.tokens) for row in rows], dtype=np.int64)
    arrays["sentence"] = np.stack([row.sentence for row in rows])
    arrays["keys"] = np.frombuffer(bytes.fromhex("".join(embeddings)), np.uint8).reshape(len(rows), 32)
    name = hashlib.sha256("".join(embeddings).encode()).hexdigest()
    # A cache that cannot be written (full disk, read-only home) costs time, never the run.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f"{name}.{os.getpid()}-{threading.get_ident()}.tmp"
        save_file(arrays, scratch)
        scratch.replace(folder / f"{name}.safetensors")
    except OSError:
        pass
