"""Write a division of a data set: a canonical file a split, and the record of how it was made."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from .canonical import json_lines_of
from .loading import WholeSet
from .splits import SPLITS, split_sizes

RECORD = "split.json"


def write_division(whole: WholeSet, folder: Path, *, force: bool = False) -> dict[str, Any]:
    """Write ``<split>.jsonl`` for each split with items, then ``split.json``; returns the latter's content.

    ``split.json`` holds the rule in words, the source with its hash, the licence, and for each split the number of
    items, the file, its SHA-256 and the fingerprint of its items.

    Raises:
        InputError: if the folder cannot be written, or holds a division already and ``force`` is not set.
    """
    names = [*SPLITS, *(name for name in split_sizes(whole.items) if name not in SPLITS)]
    files = {name: f"{name}.jsonl" for name in names}
    if any(name in {"", ".", ".."} or any(sign in name for sign in "/\\:\0") for name in names):
        raise InputError(
            f"data set '{whole.name}': a split's name cannot be a file name: {', '.join(map(repr, names))}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = [file for file in (*files.values(), RECORD) if (folder / file).exists()]
        if there and not force:
            raise InputError(f"{folder} holds {there[0]} already: choose another --out or overwrite with --force")
        record: dict[str, Any] = {
            "data": whole.name,
            "source": whole.source,
            "licence": whole.spec.licence if whole.spec else None,
            "rule": whole.split_rule,
            "dropped": dict(whole.dropped),
            "repaired": dict(whole.repaired),
            "splits": {name: _write_part(whole, name, folder / file) for name, file in files.items()},
        }
        _write(folder / RECORD, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: cannot be written: {error}") from error
    return record


def _write_part(whole: WholeSet, name: str, path: Path) -> dict[str, Any]:
    if not any(item.split == name for item in whole.items):
        # Nothing may be left of an earlier division with other shares.
        path.unlink(missing_ok=True)
        return {"items": 0, "file": None, "sha256": None, "items_sha256": None}
    part = whole.split(name)
    content = json_lines_of(part.items)
    _write(path, content)
    return {
        "items": len(part.items),
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "items_sha256": part.items_sha256,
    }


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a file cut off by a full disk must not pass for a split."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
