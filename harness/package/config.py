"""Settings: frozen dataclasses state each setting once, and files, flags and Python keywords are read by them.

A field made by `setting` carries its help, its unit and its bounds. A field made by `group` holds the settings of one
subject; their keys stand beside those of the dataclass around it, as flags do. A nested dataclass that is an ordinary
field has a mapping of its own in a file. `telbench.flags` makes the command line's options of the same dataclasses.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from telbench.errors import InputError
from telbench.registry import listed

Settings = TypeVar("Settings")
Field = dataclasses.Field[Any]
REQUIRED: Any = dataclasses.MISSING


def setting(default: Any, told: str, **more: Any) -> Any:
    """A field with a default (`REQUIRED`: it has none) and the help that flags and messages show.

    ``more`` may hold ``low``, ``high`` (bounds that are included), ``above``, ``below`` (that are not), ``metavar``,
    ``key`` (its name in files and keywords, where that is not the field's), ``flag`` (its name on the command line;
    False: none; one that begins with ``--no-`` switches it off), ``short`` (that of a word without a dash:
    ``positional=True``), ``plugins`` (an entry-point group: its names are the values) and, for a tuple, ``many``:
    "comma" (one text with commas) or "repeat" (given several times).
    """
    return dataclasses.field(default=default, metadata={"help": told, **more})


def pairs(told: str, **more: Any) -> Any:
    """A field that maps names to values, empty unless given; as a flag ``NAME=VALUE,NAME=VALUE``."""
    return dataclasses.field(default_factory=dict, metadata={"help": told, **more})


def group(kind: Callable[[], Any], title: str = "") -> Any:
    """A field that holds the settings of one subject, under keys that stand beside those of the others."""
    return dataclasses.field(default_factory=kind, metadata={"inline": True, "title": title})


def same_as(kind: type[Any], name: str, **other: Any) -> Any:
    """A field like the one that another dataclass has, so that nothing is told twice; ``other`` replaces its parts."""
    field = next(each for each in dataclasses.fields(kind) if each.name == name)
    default = other.pop("default", field.default)
    told = {**field.metadata, **other}
    if field.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=field.default_factory, metadata=told)
    return dataclasses.field(default=default, metadata=told)


def key_of(field: Field) -> str:
    """What the setting is called in files, keywords and, with dashes, on the command line."""
    return field.metadata.get("key", field.name)


def settable(kind: type[Any]) -> Iterator[tuple[Field, Any, bool]]:
    """Each field of a dataclass that can be given, with its type (None taken out) and whether None was in it."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.init:
            yield field, *_without_none(hints[field.name])


def keys(kind: type[Any]) -> dict[str, Field]:
    """The fields by key, those of groups included."""
    found: dict[str, Field] = {}
    for field, inner, _ in settable(kind):
        found |= keys(inner) if field.metadata.get("inline") else {key_of(field): field}
    return found


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML (or JSON) file; an empty file is an empty one.

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
        format_ = "JSON" if file.suffix == ".json" else "YAML"
        raise InputError(f"{file} is not {format_} that can be read: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(f"{file} holds no mapping (key: value lines) but a {type(found).__name__}")
    return found


def yaml_text(values: Mapping[str, Any]) -> str:
    """The mapping as YAML, in its order; `read_yaml` reads it back."""
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=120)


def read_settings(kind: type[Settings], given: object, where: str) -> Settings:
    """An instance of the dataclass ``kind`` from a mapping; nested dataclasses from nested mappings.

    Raises:
        InputError: for an unknown key (the near name is suggested), a missing one, or a value of another type or out
            of bounds.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"{where} must be a mapping (key: value lines), not {_shown(given)}")
    known = keys(kind)
    for name in given:
        if name not in known:
            raise InputError(f"{where}: unknown key '{name}': {near_name(str(name), known)}")
    values: dict[str, Any] = {}
    for field, inner, optional in settable(kind):
        key = key_of(field)
        if field.metadata.get("inline"):
            own = {name: given[name] for name in keys(inner) if name in given}
            values[field.name] = read_settings(inner, _over_default(field, own), where)
        elif key in given:
            value = _over_default(field, given[key])
            values[field.name] = _value(inner, optional, value, f"{where}: {key}", field.metadata)
        elif required(field):
            raise InputError(f"{where}: the key '{key}' is missing{_told(field)}")
    return kind(**values)


def written(settings: Any, *, whole: bool = False) -> dict[str, Any]:
    """The mapping that `read_settings` makes these settings of, as JSON and YAML hold it.

    Without ``whole``, what has its default is left out.
    """
    found: dict[str, Any] = {}
    for field, _, _ in settable(type(settings)):
        value = getattr(settings, field.name)
        if field.metadata.get("inline"):
            found |= written(value, whole=whole)
        elif whole or required(field) or value != _default_of(field):
            found[key_of(field)] = _plain(value, whole)
    return found


def changed(settings: Settings, **given: Any) -> Settings:
    """The settings with some keys given anew, which are called as in a file. Raises `InputError` as `read_settings`."""
    return read_settings(type(settings), merged(written(settings), given), "settings")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, the second one's values first; nested mappings are merged likewise.

    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 5}})
    {'a': 1, 'b': {'c': 5, 'd': 3}}
    """
    together = dict(base)
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
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (side.strip() for side in part.partition("="))
        if not (name and equals and value):
            raise ValueError(f"'{part}': write NAME=VALUE,NAME=VALUE")
        if name in found:
            raise ValueError(f"'{name}' is given twice")
        found[name] = value
    return found


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


def check_bounds(settings: object) -> None:
    """Raise `InputError` for the first number out of its field's bounds: for dataclasses that code makes itself."""
    for field in dataclasses.fields(typing.cast("Any", settings)):
        value = getattr(settings, field.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            wanted = out_of_bounds(value, field.metadata)
            if wanted is not None:
                raise InputError(f"{key_of(field)} is {value}: it must be {wanted}")


class Bounded:
    """A dataclass of settings that refuses numbers out of bounds, also where code makes it itself."""

    def __post_init__(self) -> None:
        """Refuse them."""
        check_bounds(self)


def require_positive(settings: object, *names: str) -> None:
    """Raise `InputError` for the first of these settings that is not above 0 (NaN is not)."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise InputError(f"{name} is {getattr(settings, name)}: it must be positive")


def _value(inner: Any, optional: bool, value: object, where: str, told: Mapping[str, Any]) -> Any:
    if value is None:
        if optional:
            return None
        raise InputError(f"{where} is empty: give it a value, or leave the key out")
    if dataclasses.is_dataclass(inner):
        return read_settings(typing.cast("Any", inner), value, where)
    origin, parts = typing.get_origin(inner), typing.get_args(inner)
    if origin is Literal:
        if value not in parts or isinstance(value, bool):
            raise InputError(f"{where} is {_shown(value)}: {near_name(str(value), [str(part) for part in parts])}")
        return value
    if origin is tuple:
        if isinstance(value, str) and told.get("many"):
            value = words(value) if told["many"] == "comma" else [value]
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise InputError(f"{where} must be a list, not {_shown(value)}")
        return tuple(_of(parts[0], one, f"{where}, entry {k + 1}") for k, one in enumerate(value))
    if origin is not None and inner is not Any:
        if not isinstance(value, Mapping):
            raise InputError(f"{where} must be a mapping (key: value lines), not {_shown(value)}")
        return {str(name): _of(parts[1], one, f"{where}: {name}") for name, one in value.items()}
    found = _simple(inner, value, where)
    if "plugins" in told and found not in listed(told["plugins"]):
        raise InputError(f"{where} is {_shown(found)}: {near_name(found, listed(told['plugins']))}")
    if isinstance(found, int | float) and not isinstance(found, bool):
        wanted = out_of_bounds(found, told)
        if wanted is not None:
            raise InputError(f"{where} is {found}: it must be {wanted}")
    return found


def _of(kind: Any, value: object, where: str) -> Any:
    return _value(*_without_none(kind), value, where, {})


def words(text: str) -> list[str]:
    """The parts of a text with commas, without white space and empty ones."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _simple(kind: Any, value: object, where: str) -> Any:
    """A value of a plain type; numbers may be given as text, as YAML reads ``1e-4``."""
    if kind is bool:
        if not isinstance(value, bool):
            raise InputError(f"{where} must be true or false, not {_shown(value)}")
        return value
    if kind in {int, float}:
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError
            number = float(value)
            if kind is int and not number.is_integer():
                raise ValueError
            return int(value) if kind is int and not isinstance(value, float) else kind(number)
        except (ValueError, OverflowError):
            wanted = "a whole number" if kind is int else "a number"
            raise InputError(f"{where} must be {wanted}, not {_shown(value)}") from None
    if kind in {str, Path}:
        if not isinstance(value, str | int | float | Path) or isinstance(value, bool):
            raise InputError(f"{where} must be text, not {_shown(value)}")
        return kind(str(value))
    return value


def _plain(value: Any, whole: bool) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return written(value, whole=whole)
    if isinstance(value, Mapping):
        return {str(name): _plain(one, whole) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one, whole) for one in value]
    return str(value) if isinstance(value, Path) else value


def _without_none(kind: Any) -> tuple[Any, bool]:
    if typing.get_origin(kind) in {Union, types.UnionType}:
        rest = [part for part in typing.get_args(kind) if part is not type(None)]
        if len(rest) < len(typing.get_args(kind)):
            return rest[0] if len(rest) == 1 else Union[tuple(rest)], True  # noqa: UP007 - built at run time
    return kind, False


def _over_default(field: Field, given: Any) -> Any:
    """What is given of nested settings, before what the field's default says of them."""
    default = _default_of(field)
    if not isinstance(given, Mapping) or not dataclasses.is_dataclass(default) or isinstance(default, type):
        return given
    return merged(written(default), given)


def required(field: Field) -> bool:
    """Has the setting no default?"""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default_of(field: Field) -> Any:
    if field.default_factory is dataclasses.MISSING:
        return field.default
    return field.default_factory()


def _told(field: Field) -> str:
    told = field.metadata.get("help", "")
    return f" ({told})" if told else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _once_each(loader: Any) -> Any:
    """The loader, refusing a key that stands twice in one mapping: YAML would keep the last in silence."""

    class OnceEach(loader):
        """Refuses repeated keys."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            """A mapping whose keys are all different."""
            import yaml

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

    return OnceEach
