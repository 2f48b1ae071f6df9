"""Names to plugins, for every entry-point group alike: listing imports nothing, a name is imported on use.

telbench's own metrics, engines, data sets, judges, algorithms, divergences, executors, loggers and formats are
entry points of these groups too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from telbench.errors import InputError, TelbenchError

Plugin = TypeVar("Plugin")

# Every group that telbench reads, and what messages call one of its plugins.
GROUPS = {
    "telbench.datasets": "data set",
    "telbench.metrics": "metric",
    "telbench.engines": "engine",
    "telbench.judges": "judge",
    "telbench.objectives": "algorithm",
    "telbench.divergences": "divergence",
    "telbench.executors": "executor",
    "telbench.loggers": "logger",
    "telbench.formats": "format",
    "telbench.pages": "page of the board",
}


@cache
def listed(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name, none loaded; a name that two packages claim is refused.

    Raises:
        InputError: if two distributions register the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise InputError(
                f"two plugins register '{point.name}' in {group}: {other.value} and {point.value}; uninstall one"
            )
        found[point.name] = point
    return found


def origin(point: EntryPoint) -> str:
    """Name and version of the package that registers it, such as ``telbench 0.1.0``; empty if it cannot be told."""
    return "" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def load(group: str, name: str) -> Any:
    """The plugin of that name, imported now.

    Raises:
        InputError: if the name is unknown (near names are suggested) or its import fails.
    """
    points = listed(group)
    if name not in points:
        raise InputError(f"unknown {GROUPS.get(group, 'plugin')} '{name}': {hint(name, points)}")
    point = points[name]
    try:
        return point.load()
    except TelbenchError:
        raise
    except (Exception, SystemExit) as error:
        # Importing runs whatever the plugin's author wrote.
        problem = f"{type(error).__name__}: {error}"
        raise InputError(f"plugin '{name}' ({point.value}) cannot be loaded: {problem}") from error


def load_as(group: str, name: str, kind: type[Plugin]) -> Plugin:
    """The plugin of that name, imported now, where a group holds objects of one class that know their name.

    Raises:
        InputError: as `load`, and for a plugin of another class or one that calls itself by another name.
    """
    plugin = load(group, name)
    if not isinstance(plugin, kind):
        raise InputError(f"plugin '{name}' is not a telbench {kind.__name__} but a {type(plugin).__name__}")
    own = getattr(plugin, "name", name)
    if own != name:
        raise InputError(
            f"plugin '{name}' holds the {GROUPS.get(group, 'plugin')} '{own}': register it under its own name"
        )
    return plugin


def hint(name: str, known: Iterable[str]) -> str:
    """``did you mean x or y?`` of names that are about as near as the nearest, or all the names there are.

    >>> hint("token_f", ["token_f1", "bleu"]), hint("zzzz", ["token_f1", "bleu"])
    ('did you mean token_f1?', 'known: token_f1, bleu')
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    likeness = [difflib.SequenceMatcher(None, one, name).ratio() for one in near]
    near = [one for one, like in zip(near, likeness, strict=True) if like > likeness[0] - 0.2]
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
