"""Templates that escape everything, and the terms that they explain."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...judges.errors import InputError
from . import words

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent
# What a page may load: its own style sheet and script, and nothing from anywhere else.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"


@cache
def environment() -> Environment:
    """The templates.

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

    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "drawing": drawing,
        "text": words.text,
        "score": words.score,
        "signed": words.signed,
        "decimal": words.decimal,
        "share": words.share,
        "p_text": words.p_text,
        "size": words.size,
        "rank_range": words.rank_range,
    }
    made.filters.update(filters)
    return made
