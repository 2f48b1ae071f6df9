"""Who shall judge, as it is written on the command line: ``openai:MODEL@URL`` or ``local:CHECKPOINT``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from telbench.errors import InputError

from .server.settings import check_base_url

# What a judge is called on the command line, and how its specification goes on.
FORMS = {"openai": "openai:MODEL@URL", "local": "local:CHECKPOINT"}


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """A judge by its kind, its model (a name, or a checkpoint's folder) and the place of its server, if it has one."""

    kind: str
    model: str
    place: str | None = None

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"{self.kind}:{self.model}" + (f"@{self.place}" if self.place else "")


def parse_judge(text: str) -> JudgeSpec:
    """The judge that ``text`` names.

    The model's name may hold ``@``, ``/`` and ``:``, the URL no ``@``: the last one parts them. Raises `InputError`.

    >>> parse_judge("openai:org/model:7b@http://127.0.0.1:8000/v1")
    JudgeSpec(kind='openai', model='org/model:7b', place='http://127.0.0.1:8000/v1')
    """
    kind, colon, rest = text.strip().partition(":")
    if not colon or kind not in FORMS:
        near = difflib.get_close_matches(kind, FORMS, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}:'?" if near else f"write {' or '.join(FORMS.values())}"
        what = f"there is no kind of judge '{kind}'" if colon else f"--judge '{_shown(text)}' names no kind of judge"
        raise InputError(f"{what}: {hint}")
    if kind != "openai":
        if not rest.strip():
            raise InputError(f"--judge {kind}: names no model: write {FORMS[kind]}")
        return JudgeSpec(kind, rest.strip())
    model, at, url = (part.strip() for part in rest.rpartition("@"))
    if not at or not url:
        raise InputError(
            f"--judge '{_shown(text)}' names no server: write {FORMS[kind]}, URL such as http://HOST:8000/v1"
        )
    if "://" in model:
        # Never shown: the part before the @ of a URL is a user and a password.
        raise InputError(
            "--judge openai: the URL holds an @: leave user and password out, a key goes into OPENAI_API_KEY"
        )
    if not model:
        raise InputError(f"--judge '{text.strip()}' names no model: write {FORMS[kind]}")
    check_base_url(url)
    return JudgeSpec(kind, model, url.rstrip("/"))


def parse_judges(texts: Sequence[str]) -> tuple[JudgeSpec, ...]:
    """The judges of a panel, in the order given. Raises `InputError` for one that is no judge or is named twice."""
    specs = tuple(parse_judge(text) for text in texts)
    for position, spec in enumerate(specs):
        if spec in specs[:position]:
            raise InputError(f"--judge {spec} is given twice: one judge has one vote; name another, or name it once")
    return specs


def _shown(text: str) -> str:
    # A mistyped URL may hold a password.
    head, scheme, rest = text.strip().partition("://")
    return f"{head}://…" if "@" in rest else head + scheme + rest
