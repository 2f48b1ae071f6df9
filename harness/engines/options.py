"""``--engine-option KEY=VALUE``: what reaches an engine's own arguments, and what of it belongs to a run's identity."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import itertools
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from telbench.config import near_name
from telbench.errors import InputError

from .contract import EngineSettings

# Said of an option that another flag sets too.
EITHER = "either it or --deterministic"


def parsed_options(
    given: Mapping[str, Any], engine: str, known: Collection[str], own: Mapping[str, str]
) -> dict[str, Any]:
    """The options with their values read as JSON where they are JSON, else as text.

    ``known`` are the names that the engine takes (none: it says so itself), ``own`` those that telbench sets, with
    what sets them.

    Raises:
        InputError: for a name that the engine does not know (the near one is told), or that telbench sets itself.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in own:
            raise InputError(f"--engine-option {name}: telbench sets it: use {own[name]}")
        if known and name not in known:
            usable = sorted(set(known) - set(own))
            near = near_name(name, usable)
            near = near if near.startswith("did you mean") else f"see the arguments of {engine}"
            raise InputError(f"--engine-option {name}: {engine} has no such argument: {near}")
        found[name] = _value(value)
    return found


def facts(settings: EngineSettings, device: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What belongs into `EngineInfo.settings`: what is usual is left out, so that it changes no identity."""
    found: dict[str, Any] = {"device": device}
    if options:
        found["options"] = dict(options)
    if settings.deterministic:
        found["deterministic"] = True
    return found


def _value(given: Any) -> Any:
    """A JSON value as it is, all else as text; ``True`` and ``None`` are read as Python writes them.

    >>> [_value(text) for text in ("2", "0.5", "true", "False", '{"a": 1}', "fp8", "None")]
    [2, 0.5, True, False, {'a': 1}, 'fp8', None]
    """
    if not isinstance(given, str):
        return given
    words = {"True": True, "False": False, "None": None}
    if given in words:
        return words[given]
    try:
        return json.loads(given)
    except ValueError:
        return given


def fields_of(package: str, module: str, kind: str) -> frozenset[str]:
    """Names of the fields of a dataclass in an installed package, read from its source: importing it takes seconds.

    Empty where the source is not there or has no such class.
    """
    for node in _source(package, module):
        if isinstance(node, ast.ClassDef) and node.name == kind:
            lines = (line.target for line in node.body if isinstance(line, ast.AnnAssign))
            return frozenset(target.id for target in lines if isinstance(target, ast.Name))
    return frozenset()


def words_of(package: str, module: str, name: str) -> frozenset[str]:
    """The texts of a ``Literal`` that a module of an installed package assigns to a name; empty where it does not."""
    for node in _source(package, module):
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets):
            constants = (part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant))
            return frozenset(value for value in constants if isinstance(value, str))
    return frozenset()


def parameters_of(package: str, module: str, name: str) -> frozenset[str]:
    """What the first function of that name in a module of an installed package takes; empty where there is none."""
    for node in itertools.chain.from_iterable(map(ast.walk, _source(package, module))):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return frozenset(each.arg for each in (*node.args.args, *node.args.kwonlyargs))
    return frozenset()


@functools.cache
def _source(package: str, module: str) -> tuple[ast.stmt, ...]:
    """The statements of a module, which is not imported."""
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            return tuple(ast.parse((Path(place) / module).read_text(encoding="utf-8")).body)
    return ()
