"""Pages of other packages: sections that entry points of the group ``telbench.pages`` name."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from telbench.errors import InputError, TelbenchError
from telbench.registry import listed, load, origin

from ..model.board import Board
from ..page import File, Page, Section

GROUP = "telbench.pages"


def other_sections(board: Board, own: Collection[str]) -> list[tuple[str, Section]]:
    """The sections of other packages that the board has, by the name of their entry point.

    Raises:
        InputError: for what is no section, or one in the place of telbench's own (``own`` are their paths).
    """
    found = []
    for name in sorted(listed(GROUP)):
        section = _section(name)
        try:
            _require_place(name, section.entry(board)[0], own)
            if section.when(board):
                found.append((name, section))
        except TelbenchError:
            raise
        except Exception as error:
            raise _failed(name, error) from error
    return found


def pages_of(
    name: str, section: Section, board: Board, written: Collection[str], folder: str = ""
) -> Iterator[Page | File]:
    """The section's pages, each held to a place of its own inside the board's ``folder``; ``written`` are the others'.

    Raises:
        InputError: naming the package, where its code fails or a path is not its own.
    """
    try:
        for page in section.pages(board):
            _require_place(name, page.path, [path.removeprefix(folder) for path in written])
            yield page
    except TelbenchError:
        raise
    except Exception as error:
        raise _failed(name, error) from error


def made_with() -> list[tuple[str, str, Path]]:
    """Name, package and each file of code or template behind the pages of other packages."""
    found = []
    for name, point in sorted(listed(GROUP).items()):
        section = _section(name)
        source = inspect.getsourcefile(section.pages)
        files = [] if source is None else [Path(source)]
        if section.templates is not None:
            files += sorted(path for path in section.templates.rglob("*") if path.is_file())
        found += [(name, origin(point), path) for path in files]
    return found


def _section(name: str) -> Section:
    section = load(GROUP, name)
    if not isinstance(section, Section):
        raise InputError(f"plugin '{name}' is not a telbench Section but a {type(section).__name__}")
    return section


def _require_place(name: str, path: str, written: Collection[str]) -> None:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or str(parts) != path or "\\" in path or parts.parts[0] in _TAKEN:
        raise InputError(f"page '{name}': {path!r} is no place inside the site for it")
    if path in written:
        raise InputError(f"page '{name}': {path} is there already: give it another path")


# Folders whose files are written by the build itself.
_TAKEN = ("assets", "data", ".git")


def _failed(name: str, error: Exception) -> InputError:
    told = origin(listed(GROUP)[name]) or "its package"
    return InputError(
        f"page '{name}' of {told} failed: {type(error).__name__}: {error}: uninstall it, or have it mended"
    )
