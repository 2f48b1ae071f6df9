"""From a board to a folder: pages rendered, written beside the site, and put in its place as a whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...harness.journal import disk_message
from ...harness.reporter import Reporter
from ...judges.errors import InputError
from .board import Board
from .data_files import data_files, data_path
from .environment import FOLDER, POLICY, environment
from .page import File, Page
from .pages import SECTIONS
from .terms import TERMS

# What says that a folder was built here, and from what.
MANIFEST = "data/build.json"


def build_site(board: Board, out: Path, reporter: Reporter) -> int:
    """Render all pages into ``out``, which is replaced as a whole or not at all; returns the number of files.

    Raises:
        InputError: when ``out`` holds something else, or cannot be written.
    """
    require_own(out)
    draft = out.with_name(f".{out.name}.building-{os.getpid()}")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        files = _write_all(draft, board, reporter)
        manifest = {"kind": "telbench leaderboard", "schema_version": 1, "digest": board.digest, "files": files}
        _write(draft, MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")
        _put_in_place(draft, out)
    except OSError as error:
        raise InputError(disk_message(error, out, 0).rpartition(";")[0]) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return len(files) + 1


def require_own(out: Path) -> None:
    """Refuse a folder that no build made, or that holds files of someone else's.

    Raises:
        InputError: naming the file that is in the way.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out} is a file: choose another --out")
    known = set(manifest_of(out).get("files", {})) | {MANIFEST}
    for path in sorted(out.rglob("*")):
        if not path.is_dir() and str(path.relative_to(out)) not in known:
            raise InputError(
                f"{out} holds {path.relative_to(out)}, which no build of a board wrote: choose another --out"
            )


def manifest_of(out: Path) -> dict[str, Any]:
    """What the last build wrote; empty where there is none."""
    try:
        found = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("kind") == "telbench leaderboard" else {}


def _write_all(draft: Path, board: Board, reporter: Reporter) -> dict[str, str]:
    """Write every file, one at a time in memory; SHA-256 by path."""
    sections = [section for section in SECTIONS if section.when(board)]
    menu = [(section.path, section.title) for section in sections]
    files: dict[str, str] = {}
    with reporter.progress("writing pages", sum(section.count(board) for section in sections)) as meter:
        for section in sections:
            for page in section.pages(board):
                content = page.content if isinstance(page, File) else render(page, board, menu).encode("utf-8")
                files[page.path] = _write(draft, page.path, content)
                meter.advance()
    for name, content in (*_assets(), *data_files(board)):
        files[name] = _write(draft, name, content)
    return dict(sorted(files.items()))


def render(page: Page, board: Board, menu: Sequence[tuple[str, str]]) -> str:
    """The page's HTML."""
    context: Mapping[str, Any] = {
        "board": board,
        "page": page,
        "root": page.root,
        "menu": menu,
        "policy": POLICY,
        "terms": TERMS,
        "data_paths": {table.name: data_path(table) for table in board.tables},
        **page.context,
    }
    return environment().get_template(page.template).render(context)


def _assets() -> Iterator[tuple[str, bytes]]:
    for path in sorted((FOLDER / "assets").iterdir()):
        yield f"assets/{path.name}", path.read_bytes()


def _write(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _put_in_place(draft: Path, out: Path) -> None:
    """Two renames: the old site is there until the new one is whole."""
    former = out.with_name(f".{out.name}.former-{os.getpid()}")
    if not out.exists():
        draft.rename(out)
        return
    out.rename(former)
    try:
        draft.rename(out)
    except OSError:
        with contextlib.suppress(OSError):
            former.rename(out)
        raise
    shutil.rmtree(former, ignore_errors=True)
