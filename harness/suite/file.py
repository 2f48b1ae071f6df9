"""``suite.yaml``: which models, which data sets, which prompts, what all share and what single entries change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telbench.config import REQUIRED, Located, merged, near_name, read_settings, read_yaml, setting, settings_in
from telbench.errors import InputError

from ..checkpoint import model_name
from ..datasets.settings import SUITES
from ..loggers.settings import ShownSettings
from ..runs.settings import EvalSettings

# What a suite says of an entry by itself: where its run goes, and that it goes on where it was stopped.
_DECIDED = {
    "out": "the suite has a folder for each run",
    "fresh": "name a new --out instead",
    **dict.fromkeys(settings_in(ShownSettings), "it is a flag of telbench suite"),
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What some entries have otherwise: those whose model, data set and prompt are named; no name is any."""

    model: tuple[str, ...] = setting((), "models by their names in the file", many="comma")
    data: tuple[str, ...] = setting((), "data sets by their names in the file", many="comma")
    prompt: tuple[str, ...] = setting((), "prompts by their names in the file", many="comma")
    settings: Mapping[str, Any] = setting({}, "settings of telbench eval")
    skip: bool = setting(False, "leave these entries out")


@dataclass(frozen=True, kw_only=True)
class SuiteFile:
    """A suite as it was read: settings by the names of models, data sets and prompts."""

    models: Mapping[str, Mapping[str, Any]] = setting(REQUIRED, "checkpoints by name")
    data: Mapping[str, Mapping[str, Any]] = setting(REQUIRED, "data sets by name")
    prompts: Mapping[str, Mapping[str, Any]] = setting({}, "ways to ask by name")
    settings: Mapping[str, Any] = setting({}, "what all entries share, called as in telbench eval --config")
    changes: tuple[Change, ...] = setting((), "what single entries have otherwise")
    baseline: str | None = setting(None, "the model that the others are held against (default: the first)")
    primary: tuple[str, ...] = setting((), "metrics that decide", many="comma")
    weights: str = setting("equal", "how data sets weigh in the overall mean: equal, items, or NAME=W,...")
    title: str = setting("telbench suite", "heading of the board")

    @property
    def order(self) -> tuple[str, ...]:
        """The models, the baseline first."""
        first = self.baseline or next(iter(self.models))
        return (first, *(name for name in self.models if name != first))


def read_suite(file: Path, over: Mapping[str, Any] | None = None) -> SuiteFile:
    """The suite of a file; ``over`` are settings of all entries that come before the file's.

    Raises:
        InputError: naming file and key (and line, where YAML tells it) of what does not fit.
    """
    given = merged(read_yaml(file), {"settings": dict(over)} if over else {})
    for name, key in (("models", "model"), ("data", "data"), ("prompts", "")):
        if name in given:
            given[name] = _by_name(given[name], key, f"{file}: {name}")
    found = read_settings(SuiteFile, given, str(file))
    for name in ("models", "data"):
        if not getattr(found, name):
            raise InputError(f"{file}: {name} is empty: name one or more")
    for part in ("models", "data", "prompts"):
        for name, own in getattr(found, part).items():
            _check(own, f"{file}: {part}: {name}", given[part][name])
    _check(found.settings, f"{file}: settings", given.get("settings", {}))
    for place, change in enumerate(found.changes, 1):
        _check(change.settings, f"{file}: changes, entry {place}: settings", change.settings)
        for part, names in (("models", change.model), ("data", change.data), ("prompts", change.prompt)):
            _require(names, getattr(found, part), f"{file}: changes, entry {place}", part)
        if not (change.settings or change.skip):
            raise InputError(f"{file}: changes, entry {place} changes nothing: give it settings, or skip: true")
    _require([found.baseline] if found.baseline else [], found.models, f"{file}: baseline", "models")
    return found


def _by_name(given: Any, key: str, where: str) -> Any:
    """A list of models or data sets, or a mapping whose values are their places alone, as settings by name."""
    if isinstance(given, list) and key:
        found = Located()
        for one in given:
            own = one if isinstance(one, Mapping) else {key: one}
            if not isinstance(own.get(key), str) or not own[key]:
                raise InputError(f"{where}: {one!r} names no {key}: write a name or a path, or '{key}: …' in it")
            name = _name(key, own)
            if name in found:
                raise InputError(f"{where}: '{name}' is there twice: give names of your own (name: path)")
            found[name] = own
        given = found
    if not isinstance(given, Mapping):
        return given
    named = Located()
    named.lines = getattr(given, "lines", {})
    for name, value in given.items():
        own = Located() if value is None else {key: value} if isinstance(value, str) and key else value
        if isinstance(own, Mapping) and key and key not in own:
            if key == "model" and "answers" not in own:
                raise InputError(f"{where}: {name} names no model: add 'model: FOLDER' to it")
            own = own if key == "model" else merged({key: str(name)}, own)
        named[str(name)] = own
    return _with_sets(named, where) if key == "data" else named


def _name(key: str, own: Mapping[str, Any]) -> str:
    text = str(own[key])
    if key == "model":
        return str(own.get("name") or model_name(Path(text).expanduser()))
    return Path(text).stem if Path(text).suffix else text


def _with_sets(named: Located, where: str) -> Located:
    """The same with the sets of ``open-telco`` and other suites of data in the place of their common name."""
    found = Located()
    found.lines = named.lines
    for name, own in named.items():
        sets = SUITES.get(str(own.get("data")), ()) if isinstance(own, Mapping) else ()
        for each in sets or (name,):
            if each in found:
                raise InputError(f"{where}: '{each}' is there twice, once as one of a suite: name it once")
            found[each] = merged(own, {"data": each}) if sets else own
    return found


def _check(own: Mapping[str, Any], where: str, located: Any) -> None:
    """Refuse a key that is no setting of a run, or that the suite decides, and a value of another type."""
    known = settings_in(EvalSettings)
    for key, value in own.items():
        line = getattr(located, "lines", {}).get(key)
        at = "" if line is None else f" (line {line})"
        if key in _DECIDED:
            raise InputError(f"{where}: {key}{at} is decided by the suite: {_DECIDED[key]}")
        if key not in known:
            raise InputError(f"{where}: unknown key '{key}'{at}: {near_name(str(key), known)}")
        read_settings(EvalSettings, {key: value}, f"{where}{at}")


def _require(names: Iterable[str], known: Mapping[str, Any], where: str, part: str) -> None:
    for name in names:
        if name not in known:
            raise InputError(f"{where}: there is no '{name}' among {part}: {near_name(name, known)}")
