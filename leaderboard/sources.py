"""Runs from wherever they are kept."""

from __future__ import annotations

from pathlib import Path

from ..harness.runs import HEADER
from ..judges.errors import InputError
from .anchor import read_anchor
from .comparison import LoadedRun, load_run


def open_run(path: Path) -> LoadedRun:
    """A run from its folder, or from an anchor file.

    Raises:
        InputError: when it is neither.
    """
    if path.is_file() and path.suffix == ".json" and path.name != HEADER:
        if (anchored := read_anchor(path)) is not None:
            return anchored
        raise InputError(f"{path} is no anchor file: give a run folder, or a file of telbench baseline pin")
    return load_run(path)
