"""Settings from YAML and flags: frozen dataclasses tell names, types and help; what does not fit is refused by name."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from telbench.errors import InputError

Settings = TypeVar("Settings")


def setting(default: Any, told: str, **more: Any) -> Any:
    """A dataclass field with a default and the help that flags and messages show; ``more``: metavar, flag=False."""
    return dataclasses.field(default=default, metadata={"help": told, **more})


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty one.

    Raises:
        InputError: naming file and line when it cannot be read or is no mapping.
    """
    import yaml

    try:
        found = yaml.load(file.read_text(encoding="utf-8"), Loader=_once_each(yaml.SafeLoader))  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text: save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise InputError(f"{file} is not YAML: {getattr(error, 'problem', None) or error}{where}") from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{file} is not YAML that can be read: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(f"{file} holds no mapping (key: value lines) but a {type(found).__name__}")
    return found


def read_settings(kind: type[Settings], given: object, where: str) -> Settings:
    """An instance of the dataclass ``kind`` from a mapping; nested dataclasses from nested mappings.

    Raises:
        InputError: for an unknown key (the near name is suggested), a missing one, or a value of another type.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"{where} must be a mapping (key: value lines), not {_shown(given)}")
    fields = {field.name: field for field in dataclasses.fields(typing.cast("Any", kind)) if field.init}
    for name in given:
        if name not in fields:
            raise InputError(f"{where}: unknown key '{name}': {near_name(str(name), fields)}")
    types_of = typing.get_type_hints(kind)
    values = {name: _value(types_of[name], value, f"{where}: {name}") for name, value in given.items()}
    for name, field in fields.items():
        if name not in values and _required(field):
            raise InputError(f"{where}: the key '{name}' is missing{_told(field)}")
    return kind(**values)


def near_name(name: str, known: Mapping[str, object]) -> str:
    """``did you mean 'x'?``, or the names there are."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"


def add_flags(parser: argparse.ArgumentParser, kind: type, prefix: str = "") -> None:
    """A flag for each simple field of the dataclass and of those nested in it; absent flags leave no trace.

    Nested fields keep their own names (``optimiser.learning_rate`` is ``--learning-rate``); a group that can be left
    out (``lora``) puts its name before them (``--lora-rank``).
    """
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if not field.init or field.metadata.get("flag") is False:
            continue
        inner, optional = _without_none(hints[field.name])
        if dataclasses.is_dataclass(inner):
            title = parser.add_argument_group(field.name)
            add_flags(typing.cast("Any", title), typing.cast("Any", inner), f"{field.name}-" if optional else "")
        elif typing.get_origin(inner) not in {dict, Mapping, tuple} and inner is not Mapping:
            flag = "--" + prefix + field.name.replace("_", "-")
            told: str = field.metadata.get("help", "")
            extra: dict[str, Any] = {"action": argparse.BooleanOptionalAction} if inner is bool else {}
            if typing.get_origin(inner) is Literal:
                extra = {"choices": typing.get_args(inner)}
            elif inner is not bool:
                extra = {"metavar": field.metadata.get("metavar", "PATH" if inner is Path else "X")}
            parser.add_argument(flag, default=argparse.SUPPRESS, help=(told + _default(field)).strip(), **extra)


def flags_given(args: argparse.Namespace, kind: type, prefix: str = "") -> dict[str, Any]:
    """The nested mapping of the flags that were given, in the shape of `read_settings`."""
    found: dict[str, Any] = {}
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        inner, optional = _without_none(hints[field.name])
        if dataclasses.is_dataclass(inner):
            nested = flags_given(args, typing.cast("Any", inner), f"{field.name}_" if optional else "")
            if nested:
                found[field.name] = nested
        elif hasattr(args, prefix + field.name):
            found[field.name] = getattr(args, prefix + field.name)
    return found


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


def _value(kind: Any, value: object, where: str) -> Any:
    inner, optional = _without_none(kind)
    if value is None:
        if optional:
            return None
        raise InputError(f"{where} is empty: give it a value, or leave the key out")
    if dataclasses.is_dataclass(inner):
        return read_settings(typing.cast("Any", inner), value, where)
    origin = typing.get_origin(inner)
    if origin is Literal:
        choices = [str(choice) for choice in typing.get_args(inner)]
        if value not in choices:
            raise InputError(f"{where} is {_shown(value)}: {near_name(str(value), dict.fromkeys(choices))}")
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise InputError(f"{where} must be a list, not {_shown(value)}")
        return tuple(_value(typing.get_args(inner)[0], one, f"{where}, entry {k + 1}") for k, one in enumerate(value))
    if origin is not None:
        if not isinstance(value, Mapping):
            raise InputError(f"{where} must be a mapping (key: value lines), not {_shown(value)}")
        of = typing.get_args(inner)[1]
        return {str(name): _value(of, one, f"{where}: {name}") for name, one in value.items()}
    return _plain(inner, value, where)


def _plain(kind: Any, value: object, where: str) -> Any:
    """A value of a plain type; numbers may be given as text, as flags and YAML's ``1e-4`` are."""
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
        if isinstance(value, bool | list | dict):
            raise InputError(f"{where} must be text, not {_shown(value)}")
        return kind(str(value))
    return value


def _without_none(kind: Any) -> tuple[Any, bool]:
    if typing.get_origin(kind) in {Union, types.UnionType}:
        rest = [part for part in typing.get_args(kind) if part is not type(None)]
        if len(rest) < len(typing.get_args(kind)):
            return rest[0] if len(rest) == 1 else Union[tuple(rest)], True  # noqa: UP007 - built at run time
    return kind, False


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _told(field: dataclasses.Field[Any]) -> str:
    told = field.metadata.get("help", "")
    return f" ({told})" if told else ""


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default in {dataclasses.MISSING, None, "", ()} or field.default_factory is not dataclasses.MISSING:
        return ""
    return f" (default: {field.default})"


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


def require_positive(settings: object, *names: str) -> None:
    """Raise `InputError` for the first of these settings that is not above 0 (NaN is not)."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise InputError(f"{name} is {getattr(settings, name)}: it must be positive")
