"""Who shall judge, as it is written on the command line: a kind, and what the kind makes of the rest.

``openai:MODEL@URL`` and ``local:CHECKPOINT`` are telbench's own kinds. A package adds another by an entry point of the
group ``telbench.judges``. A YAML file (``judge.yaml``) names a server's judge with its options.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telbench.config import Located, read_yaml
from telbench.errors import InputError
from telbench.registry import listed, load_as

from .contract import Judge
from .panel import Ledger

GROUP = "telbench.judges"
# Seconds for one verdict of a server: what a judge that thinks needs, and that again for a stalled connection.
DEADLINE = 180.0
# Judges of these files are behind servers.
FILES, FILED = (".yaml", ".yml"), "openai"


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """A judge by its kind, its model (a name, or a checkpoint's folder) and the place of its server, if it has one.

    ``options`` stand in its ``file``, where it was named by one.
    """

    kind: str
    model: str
    place: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    file: str = ""

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"{self.kind}:{self.model}" + (f"@{self.place}" if self.place else "")


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """What a user may set for the judges of a run; a kind heeds what concerns it.

    ``memory`` keeps for later runs what was found out about a judge (None: nothing is kept). ``max_in_flight``
    (requests at once) and ``deadline`` (seconds for one verdict) are for servers, ``engine`` for what runs in this
    process. ``seed`` is the run's. ``given`` are those of ``--judge-option``, for kinds that take some. ``fresh``: find
    out anew what was found out about a judge. ``batch``: ask judges behind a server through its Batch API.
    """

    memory: Ledger | None = None
    max_in_flight: int = 32
    deadline: float = DEADLINE
    engine: str = "auto"
    seed: int = 0
    given: Mapping[str, Any] = field(default_factory=dict, hash=False)
    fresh: bool = False
    batch: bool = False


@dataclass(frozen=True, slots=True)
class JudgeKind:
    """A kind of judge, registered in the group ``telbench.judges`` under its name.

    ``form`` shows a user how to write one (``local:CHECKPOINT``). ``parse`` makes model and place (None where there is
    none) of what follows the colon, and raises `InputError` for what cannot be right; it opens nothing. ``open`` gives
    the judge with its identity known, and loads no weights; it raises `InputError` where it cannot be asked.
    ``takes_options``: ``--judge-option`` is for this kind too.
    """

    name: str
    form: str
    parse: Callable[[str], tuple[str, str | None]]
    open: Callable[[JudgeSpec, JudgeOptions], Judge]
    takes_options: bool = False


def parse_judge(text: str) -> JudgeSpec:
    """The judge that ``text`` names, by the rules of its kind.

    Raises:
        InputError: for an unknown kind (a near one is suggested), one that cannot be loaded, and what a kind refuses.

    >>> spec = parse_judge("openai:org/model:7b@http://127.0.0.1:8000/v1")
    >>> spec.kind, spec.model, spec.place
    ('openai', 'org/model:7b', 'http://127.0.0.1:8000/v1')
    """
    if text.strip().endswith(FILES) and "://" not in text:
        return _in_file(text.strip())
    kind, colon, rest = text.strip().partition(":")
    if not colon or kind not in listed(GROUP):
        near = difflib.get_close_matches(kind, listed(GROUP), n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}:'?" if near else f"write {' or '.join(_forms())}"
        what = (
            f"there is no kind of judge '{kind}'"
            if colon
            else f"--judge '{without_password(text)}' names no kind of judge"
        )
        raise InputError(f"{what}: {hint}")
    return JudgeSpec(kind, *load_as(GROUP, kind, JudgeKind).parse(rest.strip()))


def _in_file(text: str) -> JudgeSpec:
    """The judge of a YAML file, which has at least ``url`` and ``model``."""
    given = read_yaml(Path(text))
    for name in ("url", "model"):
        if not isinstance(given.get(name), str) or not given[name]:
            raise InputError(f"{text} lacks '{name}': a judge's file has at least url and model")
    model, place = load_as(GROUP, FILED, JudgeKind).parse(f"{given['model']}@{given['url']}")
    rest = Located({name: value for name, value in given.items() if name not in {"url", "model"}})
    rest.lines = getattr(given, "lines", {})
    return JudgeSpec(FILED, model, place, rest, text)


def parse_judges(texts: Sequence[str]) -> tuple[JudgeSpec, ...]:
    """The judges of a panel, in the order given. Raises `InputError` for one that is no judge or is named twice."""
    specs = tuple(parse_judge(text) for text in texts)
    for position, spec in enumerate(specs):
        if spec in specs[:position]:
            raise InputError(f"--judge {spec} is given twice: one judge has one vote; name another, or name it once")
    return specs


def takes_options(spec: JudgeSpec) -> bool:
    """Is ``--judge-option`` for this judge too?"""
    return load_as(GROUP, spec.kind, JudgeKind).takes_options


def open_judge(spec: JudgeSpec, options: JudgeOptions) -> Judge:
    """The judge of a specification, its identity known and no weights loaded. Raises `InputError` as its kind does."""
    return load_as(GROUP, spec.kind, JudgeKind).open(spec, options)


def without_password(text: str) -> str:
    """The text less what follows ``://`` where that may hold a password.

    >>> without_password("gpt@http://user:hidden@host/v1"), without_password("gpt@http://host/v1")
    ('gpt@http://…', 'gpt@http://host/v1')
    """
    head, scheme, rest = text.strip().partition("://")
    return f"{head}://…" if "@" in rest else head + scheme + rest


def _forms() -> list[str]:
    """How each kind is written; one that cannot be loaded is left out."""
    forms = []
    for name in listed(GROUP):
        try:
            forms.append(load_as(GROUP, name, JudgeKind).form)
        except InputError:
            continue
    return forms
