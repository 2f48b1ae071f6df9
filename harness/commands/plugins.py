"""``telbench plugins``: each metric, engine, data set, judge, algorithm and so on, and where it comes from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint, entry_points

from telbench.flags import add_json
from telbench.registry import GROUPS, origin

from ..cli.tables import columns, print_json
from ..cli.terminal import visible

OWN = "telbench"


@dataclass(frozen=True, slots=True)
class Registration:
    """One entry point as its package declares it; ``fault`` says why it cannot be used, None where nothing speaks
    against it. Whether the object itself is sound shows when it is used.
    """

    group: str
    name: str
    package: str | None
    version: str | None
    built_in: bool
    target: str
    fault: str | None


def configure(parser: argparse.ArgumentParser) -> None:
    """The option --json."""
    parser.epilog = "Nothing is loaded. A plugin is a package that names an object in one of the groups: see docs."
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the table; exit code 0, whatever is registered."""
    found = registrations()
    if args.json:
        print_json({"groups": list(GROUPS), "plugins": [asdict(each) for each in found]})
        return 0
    rows = [("group", "name", "from", "object")]
    for each in found:
        package = "built in" if each.built_in else " ".join(filter(None, (each.package, each.version))) or "unknown"
        rows.append((each.group.removeprefix("telbench."), each.name, package, each.target))
    sys.stdout.writelines(f"{line}\n" for line in columns(rows, "<<<<"))
    for each in found:
        if each.fault:
            sys.stdout.write(visible(f"unusable: {each.name} in {each.group}: {each.fault}") + "\n")
    return 0


def registrations() -> list[Registration]:
    """All of every group that telbench reads, by group and name; a name that two packages claim comes twice."""
    found = []
    for group in GROUPS:
        points = sorted(entry_points(group=group), key=lambda point: (point.name, point.value))
        for point in points:
            package, version = (None, None) if point.dist is None else (point.dist.name, point.dist.version)
            fault = _claimed_twice(point, points) or _without_module(point)
            found.append(Registration(group, point.name, package, version, package == OWN, point.value, fault))
    return found


def _claimed_twice(point: EntryPoint, points: Sequence[EntryPoint]) -> str | None:
    others = [other for other in points if other.name == point.name and other.value != point.value]
    if not others:
        return None
    told = " and ".join(f"{origin(other) or 'a package without a name'} ({other.value})" for other in others)
    return f"{origin(point)} ({point.value}) and {told} register the same name: uninstall one"


def _without_module(point: EntryPoint) -> str | None:
    matched = EntryPoint.pattern.match(point.value)
    if matched is None or not matched["attr"]:
        return f"'{point.value}' names no object: an entry point is written module:object"
    return (
        None if _is_there(matched["module"]) else f"there is no module {matched['module']}: reinstall {origin(point)}"
    )


def _is_there(module: str) -> bool:
    """Whether a module can be found; neither it nor the packages that hold it are imported."""
    path: Sequence[str] | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        try:
            spec = next(filter(None, (finder.find_spec(name, path) for finder in sys.meta_path)), None)
        except Exception:
            # Finders are other people's code; a folder without __init__.py may ask for its imported parent.
            return True
        if spec is None:
            return False
        # A plain module has no places to look further in.
        path = spec.submodule_search_locations or []
    return True
