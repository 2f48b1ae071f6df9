"""Where an encoder is: a folder, or a snapshot that the local hub cache holds; nothing is ever fetched."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...judges.errors import InputError
from ..base import Resources

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def encoder_resources(place: str, layer: int | None = None) -> Resources:
    """Resources with the encoder that ``--encoder`` names; an id that is not cached gives the reason of its absence.

    Raises:
        InputError: when the place is a folder without an encoder, or neither a folder nor a hub id.
    """
    folder = Path(os.path.expanduser(place))
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"--encoder {place}: no config.json in this folder: give the folder of an encoder")
        return Resources(folder, layer)
    if folder.exists() or not _HUB_ID.fullmatch(place):
        raise InputError(f"--encoder {place}: no such folder: give the folder of an encoder or a hub id")
    snapshot = _snapshot(place)
    if snapshot is None:
        reason = f"encoder {place} is neither a folder nor in the local hub cache: hf download {place}"
        return Resources(None, layer, absent=reason)
    return Resources(snapshot, layer)


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
