"""Embeddings by text: the latest in memory, those of references and questions on disk for the next checkpoint."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..content import text_sha256

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MEMORY_BYTES = 256 << 20


@dataclass(frozen=True)
class Embedded:
    """One text under an encoder.

    ``tokens`` are its T token embeddings scaled to length 1, shape (T, d), or (0, d) where only the sentence was
    wanted; ``ids`` their vocabulary ids; ``counted`` is 0 for the separator and class tokens that BERTScore matches
    against but does not average, else 1; ``sentence`` is the embedding of the whole text, of length 1.
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
    """Embeddings of one encoder and layer, keyed on the text's hash; memory is bounded, the oldest go first."""

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        self.folder = folder
        self.memory_bytes = memory_bytes
        self._held: OrderedDict[str, Embedded] = OrderedDict()
        self._bytes = 0

    def get(self, text: str, *, on_disk: bool) -> Embedded | None:
        """The embedding if known; the disk is asked only for texts that are kept there."""
        key = text_sha256(text)
        if (held := self._held.get(key)) is not None:
            self._held.move_to_end(key)
            return held
        if not on_disk or (found := _read(self._path(key))) is None:
            return None
        self._hold(key, found)
        return found

    def put(self, text: str, embedded: Embedded, *, on_disk: bool) -> None:
        """Hold an embedding, and write it where other runs will want it."""
        key = text_sha256(text)
        self._hold(key, embedded)
        if on_disk:
            _write(self._path(key), embedded)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def _hold(self, key: str, embedded: Embedded) -> None:
        if (old := self._held.pop(key, None)) is not None:
            self._bytes -= old.nbytes
        self._held[key] = embedded
        self._bytes += embedded.nbytes
        while self._bytes > self.memory_bytes and self._held:
            self._bytes -= self._held.popitem(last=False)[1].nbytes


def _read(path: Path) -> Embedded | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(path.read_bytes())
        embedded = Embedded(arrays["tokens"], arrays["ids"], arrays["counted"], arrays["sentence"])
        whole = len(embedded.tokens) == len(embedded.ids) == len(embedded.counted) and embedded.sentence.ndim == 1
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None
    return embedded if whole else None


def _write(path: Path, embedded: Embedded) -> None:
    from safetensors.numpy import save

    # A cache that cannot be written (full disk, read-only home) costs time, never the run.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
        arrays = {name: getattr(embedded, name) for name in ("tokens", "ids", "counted", "sentence")}
        scratch.write_bytes(save(arrays))
        scratch.replace(path)
    except OSError:
        pass
