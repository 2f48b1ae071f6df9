"""A model's folder on this machine: found by path or hub id, told by its hash, and what its tokenizer takes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ..fingerprints import file_sha256, fingerprint

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# Where neither tokenizer nor configuration says how much the model can read.
_FALLBACK_LENGTH = 512
_PARTS = frozenset({".json", ".txt", ".model", ".safetensors"})
# How a model was made, with dates and seconds, does not change what it computes.
_NOTE = "telbench.json"


def local_folder(place: str, flag: str, what: str) -> tuple[Path | None, str]:
    """The folder of a model, or None and the reason where it is a hub id that is not in the local cache.

    Raises:
        InputError: when the place is a folder without a model, or neither a folder nor a hub id.
    """
    folder = Path(os.path.expanduser(place))
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"{flag} {place}: no config.json in this folder: give the folder of {what}")
        return folder, ""
    if folder.exists() or not _HUB_ID.fullmatch(place):
        raise InputError(f"{flag} {place}: no such folder: give the folder of {what} or a hub id")
    if (snapshot := _snapshot(place)) is None:
        name = what.partition(" ")[2]
        return None, f"{name} {place} is neither a folder nor in the local hub cache: hf download {place}"
    return snapshot, ""


def _snapshot(hub_id: str) -> Path | None:
    """The cached snapshot of ``main`` with its weights, or None."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    cache = Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")))
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    try:
        snapshot = repository / "snapshots" / (repository / "refs" / "main").read_text("utf-8").strip()
    except (OSError, ValueError):
        return None
    # A download broken off leaves a snapshot without its weights.
    complete = (snapshot / "config.json").is_file() and any(snapshot.glob("*.safetensors"))
    return snapshot if complete else None


def folder_sha256(folder: Path) -> str:
    """The hash of all files that the model is made of."""
    files = sorted(
        path for path in folder.rglob("*") if path.suffix in _PARTS and path.name != _NOTE and path.is_file()
    )
    return fingerprint([[str(path.relative_to(folder)), file_sha256(path)] for path in files])


def window_of(model: Any, tokenizer: Any) -> int:
    """Tokens that the model can read, special ones included."""
    limits = [tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None)]
    positions = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    # RoBERTa and its kin count positions from the one after padding.
    if (padding := getattr(positions, "padding_idx", None)) is not None and positions is not None:
        limits.append(positions.num_embeddings - padding - 1)
    # Tokenizers without a limit say 10^30.
    known = [int(limit) for limit in limits if limit and 0 < limit < 1 << 24]
    return min(known, default=_FALLBACK_LENGTH)


def readable(text: str) -> str:
    """The text as tokenizers take it: without outer white space, lone surrogates replaced."""
    return text.strip().encode("utf-8", "replace").decode("utf-8")


def unusable(what: str, folder: Path, error: Exception) -> InputError:
    """The error that says in one line why the model of this folder cannot be loaded."""
    line = next(iter(str(error).strip().splitlines()), "")
    return InputError(f"the {what} {folder} cannot be loaded: {type(error).__name__}: {line[:300]}: save it again")
