"""The templates of pages with their filters: what turns records into HTML, everything escaped on the way in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...metrics.anchors import blind_to_facts
from . import formats
from .answers.marks import marked
from .model.standings import within_margin

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def fragment(template: str, context: Mapping[str, Any]) -> str:
    """A piece of a page from just what it is given, for `whole`: a template that reads anything else fails."""
    return environment().get_template(template).render(context)


def compile_templates() -> None:
    """Compile telbench's own templates, so that processes that are forked need not do so each."""
    for name in environment().list_templates():
        environment().get_template(name)


@cache
def environment(templates: Path | None = None) -> Environment:
    """The templates, telbench's own first.

    Raises:
        InputError: when jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise InputError("the leaderboard needs jinja2: pip install jinja2") from error

    def drawing(svg: str) -> Markup:
        """A drawing of the project's own, which escaped its texts when it was made."""
        return Markup(svg)  # noqa: S704 - never given text of unknown origin

    def whole(made: str) -> Markup:
        """A `fragment`, in which everything was escaped."""
        return Markup(made)  # noqa: S704 - never given text of unknown origin

    made = Environment(
        loader=FileSystemLoader([TEMPLATES, *([] if templates is None else [templates])]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (
        formats.text,
        formats.score,
        formats.signed,
        formats.ends,
        formats.decimal,
        formats.share,
        formats.p_text,
        formats.size,
        formats.rank_range,
        within_margin,
        marked,
    )
    filters: dict[str, Any] = {each.__name__: each for each in (drawing, whole, *shown)}
    made.filters.update(filters)
    made.tests["blind_to_facts"] = blind_to_facts
    return made
