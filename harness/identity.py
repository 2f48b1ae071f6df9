"""What a run depends on, as hashes: weights, configuration, tokenizer, chat template, prompts, engine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from ..judges.errors import InputError
from ..metrics.base import fingerprint
from .checkpoint import Checkpoint, check_safetensors

TOKENIZER_PARTS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "tekken.json",
)
# A PEFT adapter beside the weights is loaded together with them.
CONFIG_PARTS = ("config.json", "generation_config.json", "adapter_config.json")
_BLOCK = 1 << 22
# A file written this short a time ago may be written again without its time stamps showing it.
_FRESH_NS = 2_000_000_000


@dataclass(frozen=True)
class ModelIdentity:
    """Content hashes (SHA-256) of a checkpoint; equal hashes mean equal answers to equal prompts."""

    weights_sha256: str
    config_sha256: str
    tokenizer_sha256: str
    chat_template_sha256: str | None
    parameters: int

    @property
    def sha256(self) -> str:
        """One hash over all."""
        return fingerprint(asdict(self))


def identify_checkpoint(checkpoint: Checkpoint, chat_template: str | None) -> ModelIdentity:
    """Hash a checkpoint's contents; hashes of large files are remembered, so a second run reads nothing.

    All safetensors of the folder count, those the index does not name too: libraries differ in which they prefer.

    Raises:
        InputError: when a file cannot be read.
    """
    files = sorted({*checkpoint.weight_files, *checkpoint.path.glob("*.safetensors")})
    weights = [[file.name, file_sha256(file)] for file in files]
    custom_code = sorted(checkpoint.path.rglob("*.py")) if checkpoint.trust_remote_code else []
    parts = [checkpoint.path / name for name in CONFIG_PARTS] + custom_code
    return ModelIdentity(
        weights_sha256=fingerprint(weights),
        config_sha256=fingerprint(_hashes(parts)),
        tokenizer_sha256=fingerprint(_hashes(checkpoint.path / name for name in TOKENIZER_PARTS)),
        chat_template_sha256=None if chat_template is None else text_sha256(chat_template),
        parameters=sum(check_safetensors(file) for file in checkpoint.weight_files),
    )


def text_sha256(text: str) -> str:
    """SHA-256 of UTF-8 text; lone surrogates, which only hostile input has, are hashed as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, remembered in the cache folder as long as the file's stat says it is untouched.

    Raises:
        InputError: when the file cannot be read.
    """
    try:
        stamp = _stamp(path)
        remembered = cache_folder() / "file-hashes" / f"{fingerprint(stamp)}.json"
        known = _recall(remembered, stamp)
        if known is not None:
            return known
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        settled = time.time_ns() - max(stamp.mtime_ns, stamp.ctime_ns) > _FRESH_NS and _stamp(path) == stamp
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if stamp.size >= _BLOCK and settled:
        _remember(remembered, {"stamp": list(stamp), "sha256": digest.hexdigest()})
    return digest.hexdigest()


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


def _recall(remembered: Path, stamp: _Stamp) -> str | None:
    try:
        known = json.loads(remembered.read_text())
        digest = known["sha256"] if known["stamp"] == list(stamp) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return digest if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else None


def _remember(path: Path, record: dict[str, object]) -> None:
    # A cache that cannot be written (full disk, read-only home) costs time, never the run.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_text(json.dumps(record))
        scratch.replace(path)
    except OSError:
        pass


def _hashes(paths: Iterable[Path]) -> list[list[str]]:
    return [[path.name, file_sha256(path)] for path in paths if path.is_file()]
