"""A gate's verdict in the forms that other services read: a badge, a comment on a pull request."""

from __future__ import annotations

import json

from ..compare.markdown import COMMENT_LIMIT
from ..gate.gate import GateVerdict
from ..gate.report import cut

# By this line a script finds the comment that it wrote before. It is not shown.
MARK = "<!-- telbench check -->"
_COLOURS: dict[GateVerdict, str] = {"pass": "brightgreen", "fail": "red", "inconclusive": "yellow"}


def badge_json(verdict: GateVerdict) -> str:
    """A badge as shields.io reads it.

    Source: shields.io, "Endpoint Badge", schema version 1.

    >>> badge_json("pass")
    '{"schemaVersion": 1, "label": "telbench", "message": "pass", "color": "brightgreen"}'
    """
    return json.dumps({"schemaVersion": 1, "label": "telbench", "message": verdict, "color": _COLOURS[verdict]})


def comment_body(summary: str) -> str:
    """The Markdown summary as the body of a comment: marked, and within GitHub's limit."""
    return cut(f"{MARK}\n{summary}", COMMENT_LIMIT)
