"""From a board to a folder: pages rendered, written beside the site, and put in its place as a whole.

`build_site` does that. `inputs_digest` and `is_current` tell before whether there is anything to do, `require_own`
whether the folder is one that may be replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...harness.cli.terminal import Reporter
from ...harness.runs.folder import HEADER, JUDGEMENTS, PARTIAL, SAMPLES
from ...harness.storage import LOCK, FolderLock, disk_message
from ...metrics.fingerprints import file_sha256
from .cards.files import card_files
from .environment import compile_templates
from .model.board import Board, Options
from .model.contexts import NO_CONTEXTS, Contexts
from .model.data_files import data_files
from .model.eligibility import run_folders
from .model.items import grouped
from .page import File, Other, Page, Section
from .pages import SECTIONS
from .pages.others import made_with, other_sections, pages_of
from .render import render, render_sets
from .views.sets import SetsBoard
from .views.sets_pages import around, sets_pages

# What says that a folder was built here, and from what.
MANIFEST = "data/build.json"
KIND = "telbench leaderboard"
ASSETS = Path(__file__).parent / "assets"
# The code and templates that pages are made with.
_ROOM = Path(__file__).resolve().parents[1]
_MADE_WITH = (".py", ".html", ".css", ".js")
_BLOCK = 1 << 20
# What systems and hosts of pages put into a folder beside the pages: it is never touched.
_HOSTS = frozenset({".git", ".nojekyll", "CNAME"})
_SYSTEMS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class Drafts:
    """Files of a site that is being made in ``folder``, beside the ``former`` one."""

    folder: Path
    former: Path

    def write(self, name: str, content: bytes) -> str:
        """Write a file, or take the former one where it says the same; returns its SHA-256."""
        path, before = self.folder / name, self.former / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if _says(before, content):
            with contextlib.suppress(OSError):
                os.link(before, path)
        if not path.exists():
            path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()


def inputs_digest(
    paths: Sequence[Path], options: Options, contexts: Contexts = NO_CONTEXTS, elsewhere: str = ""
) -> str:
    """SHA-256 of the runs' files, contexts, options and this package's own files, whatever the folders' places are.

    ``elsewhere`` is the digest of what no run folder is behind.

    Raises:
        InputError: for what is no run folder or cannot be read.
    """
    finished, unfinished = run_folders(paths)
    runs = [[folder.name, *_files(folder)] for folder in (*finished, *(each.path for each in unfinished))]
    baseline = None if options.baseline is None else [_sha256(options.baseline), *_files(options.baseline)]
    chosen = [options.title, baseline, options.allow_incomplete, options.by, options.pairs]
    chosen += [] if options.history is None else [_sha256(options.history)]
    chosen += [] if options.worth is None else ["worth", _sha256(options.worth)]
    chosen += [options.items, dict(options.margins), options.weights, list(options.primary), elsewhere, options.url]
    return hashlib.sha256(json.dumps([runs, contexts.digest, chosen, _made_with()]).encode()).hexdigest()


def build_site(board: Board | SetsBoard, out: Path, reporter: Reporter, inputs: str = "") -> int:
    """Render all pages into ``out``, which is replaced as a whole or not at all; returns the number of files.

    ``inputs`` is the hash that `is_current` asks for. Files that say what they said before are kept with their times,
    so that copying the site elsewhere copies what changed.

    Raises:
        InputError: when ``out`` holds something else, or cannot be written.
    """
    out = out.resolve()
    _settle(out)
    require_own(out)
    draft = _beside(out, "building")
    try:
        draft.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(draft)
        try:
            _clear(draft)
            files = _write_all(Drafts(draft, out), board, reporter)
            manifest = {"kind": KIND, "schema_version": 1, "digest": board.digest, "inputs": inputs, "files": files}
            Drafts(draft, out).write(MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")
        finally:
            lock.release()
        _put_in_place(draft, out)
    except OSError as error:
        raise InputError(disk_message(error, out)) from error
    finally:
        # A draft that another build holds is told by the lock, before anything was touched.
        if draft.exists() and not (draft / LOCK).exists():
            shutil.rmtree(draft, ignore_errors=True)
    return len(files) + 1


def is_current(out: Path, inputs: str) -> bool:
    """Was the site made from just these inputs, and is every file as it was written?"""
    manifest = manifest_of(out)
    if manifest.get("inputs") != inputs:
        return False
    try:
        return all(
            hashlib.sha256((out / name).read_bytes()).hexdigest() == known for name, known in manifest["files"].items()
        )
    except (OSError, AttributeError, KeyError):
        return False


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
        place = path.relative_to(out)
        if place.parts[0] in _HOSTS or path.name in _SYSTEMS:
            continue
        if not path.is_dir() and str(place) not in known:
            raise InputError(
                f"{out} holds {path.relative_to(out)}, which no build of a board wrote: choose another --out"
            )


def manifest_of(out: Path) -> dict[str, Any]:
    """What the last build wrote; empty where there is none."""
    try:
        found = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("kind") == KIND else {}


def _files(folder: Path) -> list[str | None]:
    """Hashes of a run's files; that of a large one is remembered while its stat says that nobody touched it."""
    paths = (folder / name for name in (HEADER, PARTIAL, SAMPLES, JUDGEMENTS))
    return [file_sha256(path) if path.is_file() else None for path in paths]


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
    """The files of `leaderboard` and of other packages' pages that say what a board shows, and their hashes."""
    files = (path for path in sorted(_ROOM.rglob("*")) if path.suffix in _MADE_WITH)
    own = [(str(path.relative_to(_ROOM)), _sha256(path)) for path in files]
    return [*own, *((f"{name} {package} {path.name}", _sha256(path)) for name, package, path in made_with())]


def _write_all(drafts: Drafts, board: Board | SetsBoard, reporter: Reporter) -> dict[str, str]:
    """Write every file, one at a time in memory; SHA-256 by path."""
    files: dict[str, str] = {}
    if isinstance(board, Board):
        return dict(sorted(_write_board(drafts, board, reporter).items()))
    for page in sets_pages(board):
        content = page.content if isinstance(page, File) else render_sets(page, board).encode("utf-8")
        files[page.path] = drafts.write(page.path, content)
    for name, content in _assets():
        files[name] = drafts.write(name, content)
    for each in board.sets:
        files |= _write_board(drafts, each.board, reporter, f"{each.folder}/", around(board, each))
    return dict(sorted(files.items()))


def _write_board(
    drafts: Drafts, board: Board, reporter: Reporter, folder: str = "", others: Sequence[Other] = ()
) -> dict[str, str]:
    """The files of one board, which lies in a ``folder`` of the site; ``others`` are the boards beside it."""
    if folder and board.options.url is not None:
        address = f"{board.options.url.rstrip('/')}/{folder}"
        board = replace(board, options=replace(board.options, url=address))
    own = [section for section in SECTIONS if section.when(board)]
    added = other_sections(board, [section.entry(board)[0] for section in own])
    named = [*(("", section) for section in own), *added]
    # What the site opens on comes first.
    menu = sorted((section.entry(board) for _, section in named), key=lambda entry: entry[0] != "index.html")
    files: dict[str, str] = {}
    # Pages of a small board's items hold all answers, and are made by all processes.
    single = [each for each in own if each.single and (each.prepare is None or grouped(board))]
    if board.processes > 1:
        compile_templates()
    with reporter.progress("writing pages", sum(section.count(board) for _, section in named)) as meter:
        for section in single:
            if section.prepare is not None:
                section.prepare(board)
        whole = partial(_files_of, drafts, board, menu, others, folder)
        # The last ones take longest: what begins first ends while there is other work.
        jobs = [*reversed(single), None]
        for section, made in zip(jobs, board.each_of(whole, jobs), strict=True):
            files |= made
            meter.advance(0 if section is None else section.count(board))
        for name, section in named:
            if section in single:
                continue
            for page in pages_of(name, section, board, files, folder) if name else section.pages(board):
                place, content = folder + page.path, _content(page, board, menu, others, section)
                files[place] = drafts.write(place, content)
                if not isinstance(page, File):
                    meter.advance()
    return files


def _files_of(
    drafts: Drafts,
    board: Board,
    menu: Sequence[tuple[str, str]],
    others: Sequence[Other],
    folder: str,
    section: Section | None,
) -> dict[str, str]:
    """Write the files of a section, or those that are in none; SHA-256 by path."""
    if section is None:
        made: Iterable[tuple[str, bytes]] = itertools.chain(_assets(), data_files(board), card_files(board))
    else:
        made = ((page.path, _content(page, board, menu, others, section)) for page in section.pages(board))
    return {folder + path: drafts.write(folder + path, content) for path, content in made}


def _content(
    page: Page | File, board: Board, menu: Sequence[tuple[str, str]], others: Sequence[Other], section: Section
) -> bytes:
    if isinstance(page, File):
        return page.content
    return render(page, board, menu, others, section.templates).encode("utf-8")


def _assets() -> Iterator[tuple[str, bytes]]:
    for path in sorted(ASSETS.iterdir()):
        yield f"assets/{path.name}", path.read_bytes()


def _says(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _beside(out: Path, what: str) -> Path:
    return out.with_name(f".{out.name}.{what}")


def _clear(draft: Path) -> None:
    """Remove what a killed build left."""
    for path in draft.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _settle(out: Path) -> None:
    """Bring the former site back where a build was killed between its two renames."""
    former = _beside(out, "former")
    if former.exists() and not out.exists():
        former.rename(out)
    _keep_hosts(former, out)


def _keep_hosts(former: Path, out: Path) -> None:
    """Move what hosts need from the former site into the new one, then remove the former."""
    for name in sorted(_HOSTS):
        if (former / name).exists() and not (out / name).exists():
            (former / name).rename(out / name)
    shutil.rmtree(former, ignore_errors=True)


def _put_in_place(draft: Path, out: Path) -> None:
    """Two renames: the old site is there until the new one is whole."""
    former = _beside(out, "former")
    if not out.exists():
        draft.rename(out)
        return
    out.rename(former)
    try:
        draft.rename(out)
    except OSError:
        former.rename(out)
        raise
    _keep_hosts(former, out)
