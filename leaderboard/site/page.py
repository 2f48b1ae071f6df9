"""A page before it is rendered, and sections of pages, which make the menu."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model.board import Board


@dataclass(frozen=True)
class Page:
    """A page: its ``path`` inside the site, its template, its title, and what the template is given beside the board.

    ``menu`` is the path of the section that the page belongs to.
    """

    path: str
    template: str
    title: str
    context: Mapping[str, Any] = field(default_factory=dict)
    menu: str = ""

    @property
    def root(self) -> str:
        """The way from the page back to the site's folder."""
        return "../" * self.path.count("/")


@dataclass(frozen=True)
class Other:
    """A board beside the one that a page is of: the way to it from the folder of that one, and its title."""

    path: str
    title: str
    current: bool = False


@dataclass(frozen=True)
class File:
    """A file of the site that is no page: its ``path`` inside the site, and what it holds."""

    path: str
    content: bytes


@dataclass(frozen=True)
class Section:
    """Pages that belong together, and their place in the menu.

    ``path`` is the page that the menu entry ``title`` leads to, or a function of the board that tells it. ``when`` says
    whether a board has them, ``count`` how many pages there are. Sections that are ``single`` are made in one process
    each, at the same time, after all processes made what they ``prepare``; the others may share their work between
    processes. ``templates`` is the folder of another
    package's own templates; they extend ``base.html`` as telbench's do.
    """

    path: str | Callable[[Board], str]
    title: str
    pages: Callable[[Board], Iterator[Page | File]]
    when: Callable[[Board], bool] = lambda board: True
    count: Callable[[Board], int] = lambda board: 1
    single: bool = False
    prepare: Callable[[Board], object] | None = None
    templates: Path | None = None

    def entry(self, board: Board) -> tuple[str, str]:
        """Path and title of the menu's entry."""
        return (self.path if isinstance(self.path, str) else self.path(board)), self.title
