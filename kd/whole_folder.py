"""A folder that is there whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..judges.errors import InputError


@contextlib.contextmanager
def whole_folder(final: Path, mark: str) -> Iterator[Path]:
    """A scratch folder beside ``final`` that takes its place when the block ends, and vanishes when it fails.

    A folder that stands at ``final`` is replaced only if it holds a file called ``mark`` (it is one of ours) or is
    empty.

    Raises:
        InputError: when ``final`` is something else, or its parent cannot be written.
    """
    if final.exists() and not _replaceable(final, mark):
        raise InputError(f"{final} exists and was not made by telbench: move it away, or choose another --out")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".partial", dir=final.parent))
    except OSError as error:
        raise InputError(f"cannot write in {final.parent}: {error.strerror}: choose another --out") from error
    try:
        inner = scratch / final.name
        inner.mkdir()
        yield inner
        if final.exists():
            final.rename(scratch / "replaced")
        inner.rename(final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _replaceable(folder: Path, mark: str) -> bool:
    return folder.is_dir() and ((folder / mark).is_file() or not any(folder.iterdir()))
