"""What a board is made from, as one hash: where it is that of the last build, nothing has to be done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...harness.runs import HEADER, JUDGEMENTS, PARTIAL, SAMPLES
from ...judges.errors import InputError
from .board import Options
from .contexts import NO_CONTEXTS, Contexts
from .eligibility import run_folders

# The code and templates that pages are made with.
_MADE_WITH = (".py", ".html", ".css", ".js")
_BLOCK = 1 << 20


def inputs_digest(paths: Sequence[Path], options: Options, contexts: Contexts = NO_CONTEXTS) -> str:
    """SHA-256 of the runs' files, contexts, options and this package's own files, whatever the folders' places are.

    Raises:
        InputError: for what is no run folder or cannot be read.
    """
    finished, unfinished = run_folders(paths)
    runs = [[folder.name, *_files(folder)] for folder in (*finished, *(each.path for each in unfinished))]
    baseline = None if options.baseline is None else _files(options.baseline)
    chosen = [options.title, baseline, options.allow_incomplete, options.by, options.pairs]
    return hashlib.sha256(json.dumps([runs, contexts.digest, chosen, _made_with()]).encode()).hexdigest()


def _files(folder: Path) -> list[str | None]:
    return [_sha256(folder / name) for name in (HEADER, PARTIAL, SAMPLES, JUDGEMENTS)]


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return digest.hexdigest()


def _made_with() -> list[tuple[str, str | None]]:
    return [(str(path.relative_to(_ROOM)), _sha256(path)) for path in _sources()]


_ROOM = Path(__file__).resolve().parents[1]


def _sources() -> Iterator[Path]:
    yield from (path for path in sorted(_ROOM.rglob("*")) if path.suffix in _MADE_WITH)
