"""A page as HTML: the templates with their filters, what each of them is given, and what a page may load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from .cards.files import described, described_sets
from .environment import environment
from .model.board import Board
from .model.data_files import data_path
from .page import Other, Page
from .pages.traits import traits, traits_of
from .terms import TERMS
from .views.sets import SetsBoard

# What a page may load: its own style sheet and script, and nothing from anywhere else.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"


def render(
    page: Page,
    board: Board,
    menu: Sequence[tuple[str, str]],
    others: Sequence[Other] = (),
    templates: Path | None = None,
) -> str:
    """The page's HTML.

    ``others`` are the boards of other data sets beside this one; ``templates`` is the folder of another package's,
    beside telbench's own.

    Raises:
        InputError: when another package's template fails.
    """
    context: dict[str, Any] = {
        "board": board,
        "page": page,
        "root": page.root,
        "menu": menu,
        "policy": POLICY,
        "described": described(board),
        "terms": TERMS,
        "traits_of": traits_of,
        "traits": traits,
        "others": others,
        **page.context,
    }
    shown: Board = context["board"]
    context |= {"data_paths": {table.name: data_path(table, shown.prefix) for table in shown.tables}}
    if templates is None:
        return environment().get_template(page.template).render(context)
    from jinja2 import TemplateError

    try:
        return environment(templates).get_template(page.template).render(context)
    except TemplateError as error:
        raise InputError(f"{page.path}: the template {page.template} of {templates} failed: {error}") from error


def render_sets(page: Page, board: SetsBoard) -> str:
    """The HTML of a page over several data sets."""
    context: Mapping[str, Any] = {
        "board": board,
        "page": page,
        "root": page.root,
        "menu": [],
        "policy": POLICY,
        "terms": TERMS,
        "described": described_sets(board.options.title, len(board.sets)),
        **page.context,
    }
    return environment().get_template(page.template).render(context)
