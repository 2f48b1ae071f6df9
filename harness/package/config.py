"""Settings: frozen dataclasses state each setting once, and files, flags and Python keywords are read by them.

A field made by `setting` carries its help, its unit and its bounds. A field made by `group` holds the settings of one
subject; their keys stand beside those of the dataclass around it, as flags do. A nested dataclass that is an ordinary
field has a mapping of its own in a file. `settings_in` makes one table of all that: here files and keywords are read
and written by it, and `telbench.flags` makes the command line's options of it.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from telbench.errors import InputError
from telbench.registry import listed

Settings = TypeVar("Settings")
REQUIRED: Any = dataclasses.MISSING


def setting(default: Any, told: str, **more: Any) -> Any:
    """A field with a default (`REQUIRED`: it has none) and the help that flags and messages show.

    One that maps names to values has the default ``{}``, and is ``NAME=VALUE,NAME=VALUE`` as a flag.

    ``more`` may hold ``low``, ``high`` (bounds that are included), ``above``, ``below`` (that are not), ``metavar``,
    ``key`` (its name in files and keywords, where that is not the field's), ``flag`` (its name on the command line;
    False: none; one that begins with ``--no-`` switches it off), ``short`` (that of a word without a dash:
    ``positional=True``), ``plugins`` (an entry-point group: its names are the values), ``words`` (words that stand for
    a number) and, for a tuple, ``many``: "comma" (one text with commas) or "repeat" (given several times).
    """
    if default == {}:
        return dataclasses.field(default_factory=dict, metadata={"help": told, **more})
    return dataclasses.field(default=default, metadata={"help": told, **more})


def group(kind: Callable[[], Any], title: str = "") -> Any:
    """A field that holds the settings of one subject, under keys that stand beside those of the others.

    ``title`` is what the help of a command writes above them. Groups hold no groups.
    """
    return dataclasses.field(default_factory=kind, metadata={"inline": True, "title": title})


def same_as(kind: type[Any], name: str, **other: Any) -> Any:
    """A field like the one that another dataclass has, so that nothing is told twice; ``other`` replaces its parts."""
    field = next(each for each in dataclasses.fields(kind) if each.name == name)
    default = other.pop("default", {} if field.default_factory is dict else field.default)
    return setting(default, field.metadata["help"], **{**field.metadata, **other})


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting, as its field declares it."""

    key: str  # what it is called in files and keywords
    flag: str  # what it is called on the command line
    path: str  # its field, after that of its group: "limit", "data.limit"
    kind: Any  # its type, None taken out
    optional: bool  # was None in it?
    nested: bool  # is the type a dataclass, with a mapping of its own in a file?
    required: bool  # has it no default?
    default: Callable[[], Any]  # makes the default, as that of nested settings may load plugins
    told: Mapping[str, Any]  # its help, bounds and so on: see `setting`
    section: str  # what the help of a command writes above it, if anything


@functools.cache
def settings_in(kind: type[Any]) -> dict[str, Setting]:
    """The settings of a dataclass by key, those of its groups included."""
    found: dict[str, Setting] = {}
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint, told = hints[field.name], field.metadata
        if told.get("inline"):
            for key, inner in settings_in(hint).items():
                path, section = f"{field.name}.{inner.path}", told["title"] or field.name
                found[key] = dataclasses.replace(inner, path=path, section=section)
        elif field.init:
            parts = typing.get_args(hint)
            optional = types.NoneType in parts
            if optional:
                hint = functools.reduce(operator.or_, (part for part in parts if part is not types.NoneType))
            key, made = told.get("key", field.name), field.default_factory is not dataclasses.MISSING
            default: Any = field.default_factory if made else functools.partial(getattr, field, "default")
            nested = dataclasses.is_dataclass(hint)
            found[key] = Setting(
                key=key,
                flag=told.get("flag") or f"--{key.replace('_', '-')}",
                path=field.name,
                kind=hint,
                optional=optional,
                nested=nested,
                required=not made and field.default is REQUIRED,
                default=default,
                told=told,
                section=field.name if nested else "",
            )
    return found


class Located(dict[str, Any]):
    """A mapping of a YAML file, with the line that each of its keys stands on."""

    lines: Mapping[str, int] = types.MappingProxyType({})


def _at(given: object, name: object, value: object = None) -> str:
    """Where a mapping of a file has the key: `` (line 3)``; not told of one with keys of its own, which tell it."""
    line = getattr(given, "lines", {}).get(str(name))
    return "" if line is None or isinstance(value, Mapping) else f" (line {line})"


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML (or JSON) file; an empty file is an empty one. Those of YAML know their lines.

    Raises:
        InputError: naming file and line when it cannot be read or is no mapping.
    """
    import yaml

    try:
        text = file.read_text(encoding="utf-8")
        # YAML reads JSON, but 1e-05 as a word.
        found = json.loads(text) if file.suffix == ".json" else yaml.load(text, _once_each(yaml.SafeLoader))  # noqa: S506
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text: save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise InputError(f"{file} is not YAML: {getattr(error, 'problem', None) or error}{where}") from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{file} is no {'JSON' if file.suffix == '.json' else 'YAML'} to be read: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(f"{file} holds no mapping (key: value lines) but a {type(found).__name__}")
    return found


def read_settings(kind: type[Settings], given: object, where: str) -> Settings:
    """An instance of the dataclass ``kind`` from a mapping; nested dataclasses from nested mappings.

    Raises:
        InputError: for an unknown key (the near name is suggested), a missing one, or a value of another type or out
            of bounds.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"{where} must be a mapping (key: value lines), not {_shown(given)}")
    known = settings_in(kind)
    for name in given:
        if name not in known:
            raise InputError(f"{where}: unknown key '{name}'{_at(given, name)}: {near_name(str(name), known)}")
    values: dict[str, dict[str, Any]] = {"": {}}  # by group; those without one under ""
    for key, one in known.items():
        if key in given:
            value = given[key]
            if one.nested and not one.required and isinstance(value, Mapping):
                value = merged(written(one.default()) or {}, value)
            if value is not None or not one.optional:
                # Flags have no lines.
                place = _at(given, key, value) if getattr(given, "lines", None) else ""
                value = _value(one.kind, value, f"{where}: {key}{place}", one.told)
            group, _, name = one.path.rpartition(".")
            values.setdefault(group, {})[name] = value
        elif one.required:
            told = one.told.get("help")
            raise InputError(f"{where}: the key '{key}' is missing{f' ({told})' if told else ''}")
    own = values.pop("")
    for group, changes in values.items():
        # What is not given is as the field of the group says: it may have other defaults than its dataclass.
        usual = typing.cast("Any", kind).__dataclass_fields__[group].default_factory()
        own[group] = dataclasses.replace(usual, **changes)
    return kind(**own)


def written(value: Any, *, whole: bool = False) -> Any:
    """What JSON and YAML hold of a value; of settings, the mapping that `read_settings` makes them of.

    Without ``whole``, settings that have their default are left out.
    """
    if dataclasses.is_dataclass(value):
        found: dict[str, Any] = {}
        for key, one in settings_in(type(value)).items():
            own = operator.attrgetter(one.path)(value)
            if whole or own != one.default():
                found[key] = written(own, whole=whole)
        return found
    if isinstance(value, Mapping):
        return {str(name): written(one, whole=whole) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [written(one, whole=whole) for one in value]
    return str(value) if isinstance(value, Path) else value


def changed(settings: Settings, **given: Any) -> Settings:
    """The settings with some keys given anew, which are called as in a file. Raises `InputError` as `read_settings`."""
    return read_settings(type(settings), merged(written(settings), given), "settings")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, the second one's values first; nested mappings are merged likewise.

    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 5}})
    {'a': 1, 'b': {'c': 5, 'd': 3}}
    """
    together = Located(base)
    below, above = (getattr(each, "lines", {}) for each in (base, over))
    together.lines = {name: line for name, line in below.items() if name not in over} | {**above}
    for name, value in over.items():
        before = together.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            together[name] = merged(before, value)
        else:
            together[name] = value
    return together


def near_name(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?``, or the names there are."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names)}"


def read_pairs(text: str) -> dict[str, str]:
    """The pairs of ``NAME=VALUE,NAME=VALUE``. Raises ValueError for a part that is none, or a name given twice.

    >>> read_pairs("question=Frage, references=Antwort")
    {'question': 'Frage', 'references': 'Antwort'}
    >>> read_pairs('a={"b": 1, "c": [2, 3]}, d=4')
    {'a': '{"b": 1, "c": [2, 3]}', 'd': '4'}
    """
    found: dict[str, str] = {}
    for part in _parts(text):
        name, equals, value = (side.strip() for side in part.partition("="))
        if not (name and equals and value):
            raise ValueError(f"'{part}': write NAME=VALUE,NAME=VALUE")
        if name in found:
            raise ValueError(f"'{name}' is given twice")
        found[name] = value
    return found


def _parts(text: str) -> list[str]:
    """What stands between the commas outside of brackets: a value may be JSON."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts if depth == 0 else text.split(",")


def out_of_bounds(value: float, bounds: Mapping[str, Any]) -> str | None:
    """What the number should be, or None where it is so; NaN and infinity never are.

    >>> out_of_bounds(0, {"low": 1}), out_of_bounds(3, {"low": 1, "high": 5}), out_of_bounds(0.0, {"above": 0})
    ('at least 1', None, 'above 0')
    """
    low, high, above, below = (bounds.get(name) for name in ("low", "high", "above", "below"))
    right = math.isfinite(value) and (low is None or low <= value) and (high is None or value <= high)
    if right and (above is None or value > above) and (below is None or value < below):
        return None
    if low is not None and high is not None:
        return f"between {low:.10g} and {high:.10g}"
    named = (("at least", low), ("above", above), ("at most", high), ("below", below))
    parts = [f"{word} {bound:.10g}" for word, bound in named if bound is not None]
    return " and ".join(parts) or "a finite number"


class Bounded:
    """A dataclass of settings that refuses numbers out of bounds, also where code makes it itself."""

    def __post_init__(self) -> None:
        """Raise `InputError` for the first number out of its setting's bounds."""
        for field in dataclasses.fields(typing.cast("Any", self)):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                wanted = out_of_bounds(value, field.metadata)
                if wanted is not None:
                    raise InputError(f"{field.metadata.get('key', field.name)} is {value}: it must be {wanted}")


def require_positive(settings: object, *names: str) -> None:
    """Raise `InputError` for the first of these settings that is not above 0 (NaN is not)."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise InputError(f"{name} is {getattr(settings, name)}: it must be positive")


def words(text: str) -> list[str]:
    """The parts of a text with commas, without white space and empty ones."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _value(kind: Any, value: object, where: str, told: Mapping[str, Any]) -> Any:
    """What is given, as the setting's type; dataclasses, lists and mappings part by part."""
    if value is None:
        raise InputError(f"{where} is empty: give it a value, or leave the key out")
    if dataclasses.is_dataclass(kind):
        return read_settings(typing.cast("type[Any]", kind), value, where)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if isinstance(value, str) and told.get("many"):
            value = words(value) if told["many"] == "comma" else [value]
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} must be a list, not {_shown(value)}")
        return tuple(_value(parts[0], one, f"{where}, entry {k + 1}", {}) for k, one in enumerate(value))
    if origin is not None and origin is not Literal:
        if not isinstance(value, Mapping):
            raise InputError(f"{where} must be a mapping (key: value lines), not {_shown(value)}")
        known = getattr(value, "lines", None)
        told_at = {name: f"{where}: {name}{_at(value, name, one) if known else ''}" for name, one in value.items()}
        return {str(name): _value(parts[1], one, told_at[name], {}) for name, one in value.items()}
    return _single(kind, value, where, told)


def _single(kind: Any, value: object, where: str, told: Mapping[str, Any]) -> Any:
    """One word, number or switch; numbers may be given as text, as YAML reads ``1e-4``."""
    if kind is bool:
        if not isinstance(value, bool):
            raise InputError(f"{where} must be true or false, not {_shown(value)}")
    elif kind is int or kind is float:
        value = told.get("words", {}).get(value, value) if isinstance(value, str) else value
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError
            if kind is int and not float(value).is_integer():
                raise ValueError
            value = kind(value)
            wanted = out_of_bounds(value, told)
        except (ValueError, OverflowError):
            wanted = "a whole number" if kind is int else "a number"
            raise InputError(f"{where} must be {wanted}, not {_shown(value)}") from None
        if wanted is not None:
            raise InputError(f"{where} is {value}: it must be {wanted}")
    elif kind is str or kind is Path:
        if not isinstance(value, str | int | float | Path) or isinstance(value, bool):
            raise InputError(f"{where} must be text, not {_shown(value)}")
        value = kind(str(value))
    choices = typing.get_args(kind) or (listed(told["plugins"]) if "plugins" in told else None)
    if choices is not None and (value not in choices or isinstance(value, bool)):
        raise InputError(f"{where} is {_shown(value)}: {near_name(str(value), map(str, choices))}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _once_each(loader: Any) -> Any:
    """The loader, its mappings `Located`; a key that stands twice in one is refused: YAML would keep the last."""
    import yaml

    class OnceEach(loader):
        """Refuses repeated keys."""

        def _located(self, node: Any) -> Any:
            made = Located()
            yield made
            made.update(self.construct_mapping(node))
            made.lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            """A mapping whose keys are all different."""
            seen: set[Any] = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if isinstance(key, typing.Hashable) and key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key '{key}' stands twice", key_node.start_mark
                    )
                if isinstance(key, typing.Hashable):
                    seen.add(key)
            return super().construct_mapping(node, deep)

    OnceEach.add_constructor("tag:yaml.org,2002:map", OnceEach._located)
    return OnceEach
