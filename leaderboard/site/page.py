"""A page before it is rendered, and the menu that leads to the main ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Page:
    """A page: its ``path`` inside the site, its template, its title, and what the template is given beside the board.

    ``menu`` is the path of the menu entry that is marked as the present one.
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


# Main pages: path and words, in the order of the menu. Those that a board does not have are left out.
MENU: tuple[tuple[str, str], ...] = (
    ("index.html", "Board"),
    ("runs.html", "Runs"),
    ("items.html", "Items"),
    ("compare.html", "Compare"),
    ("significance.html", "Significance"),
    ("ranks.html", "Critical difference"),
    ("tradeoff.html", "Size and speed"),
    ("factors.html", "Factors"),
    ("method.html", "Method"),
)
