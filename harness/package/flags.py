"""The command line's options, made of the dataclasses that `telbench.config` describes."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from telbench.config import (
    Field,
    key_of,
    keys,
    merged,
    near_name,
    out_of_bounds,
    read_pairs,
    read_settings,
    read_yaml,
    required,
    settable,
    words,
)
from telbench.errors import InputError
from telbench.registry import listed

Settings = TypeVar("Settings")


def add_flags(
    parser: argparse.ArgumentParser, kind: type[Any], *, without: Collection[str] = (), prefix: str = ""
) -> None:
    """A flag for each setting of the dataclass and of those in it; absent flags leave no trace.

    Settings of a nested dataclass keep their own names (``optimiser.learning_rate`` is ``--learning-rate``); one that
    can be left out as a whole (``lora``) puts its name before them (``--lora-rank``). ``without``: keys left out.
    """
    for field, inner, optional in settable(kind):
        if field.metadata.get("flag") is False or key_of(field) in without:
            continue
        if dataclasses.is_dataclass(inner):
            titled = parser.add_argument_group(field.metadata.get("title") or field.name)
            nested = f"{field.name}-" if optional else ""
            add_flags(typing.cast("Any", titled), typing.cast("Any", inner), without=without, prefix=nested)
        else:
            _add(parser, field, inner, prefix)


def flags_given(args: argparse.Namespace, kind: type[Any], prefix: str = "") -> dict[str, Any]:
    """The mapping of the flags that were given, in the shape of `read_settings`."""
    found: dict[str, Any] = {}
    for field, inner, optional in settable(kind):
        name = prefix + key_of(field)
        if field.metadata.get("inline"):
            found |= flags_given(args, inner)
        elif dataclasses.is_dataclass(inner):
            nested = flags_given(args, typing.cast("Any", inner), f"{field.name}_" if optional else "")
            if nested:
                found[key_of(field)] = nested
        elif hasattr(args, name):
            found[key_of(field)] = getattr(args, name)
    return found


def nested(kind: type[Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Keywords that are called as flags, in the shape of `read_settings`.

    Raises:
        InputError: for one that no flag is called; the near name is suggested.
    """
    left = dict(given)
    found = flags_given(argparse.Namespace(**given), kind)
    for name in _names(kind):
        left.pop(name, None)
    for name in left:
        raise InputError(f"{where}: unknown setting '{name}': {near_name(name, _names(kind))}")
    return found


def _names(kind: type[Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for field, inner, optional in settable(kind):
        if dataclasses.is_dataclass(inner):
            apart = optional and not field.metadata.get("inline")
            names += _names(typing.cast("Any", inner), f"{field.name}_" if apart else "")
        else:
            names.append(prefix + key_of(field))
    return names


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config FILE``: settings as YAML, which flags come before."""
    parser.add_argument(
        "--config", type=Path, default=None, metavar="FILE", help="settings as YAML or JSON; flags come before them"
    )


def add_json(parser: argparse.ArgumentParser, told: str = "print one JSON document") -> None:
    """``--json``, which every command that prints a table has."""
    parser.add_argument("--json", action="store_true", help=told)


def settings_of(args: argparse.Namespace, kind: type[Settings], base: Mapping[str, Any] | None = None) -> Settings:
    """The settings of the flags that were given, before those of ``--config``, before ``base``.

    Raises:
        InputError: naming the key that does not fit.
    """
    file: Path | None = getattr(args, "config", None)
    given = merged(base or {}, {} if file is None else read_yaml(file))
    given = merged(given, flags_given(args, kind))
    for key, field in keys(kind).items():
        if required(field) and key not in given:
            name = field.metadata["metavar"] if field.metadata.get("positional") else flag_of(field)
            raise InputError(f"{name} is missing ({field.metadata['help']}): see {speaker(args)} --help")
    return read_settings(kind, given, "the command line" if file is None else str(file))


def speaker(args: argparse.Namespace) -> str:
    """The command that was called, with its sub-command."""
    called = list(getattr(args, "command_line", ["telbench"]))[:2]
    return " ".join([*called, *([args.action] if hasattr(args, "action") else [])])


def flag_of(field: Field, prefix: str = "") -> str:
    """What the setting is called on the command line."""
    return field.metadata.get("flag") or "--" + (prefix + key_of(field)).replace("_", "-")


def number(kind: type[int] | type[float], bounds: Mapping[str, Any], text: str) -> float:
    """The finite number in a text, within the bounds of its field. Raises ArgumentTypeError for another."""
    try:
        value = kind(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no {'whole ' if kind is int else ''}number") from error
    wanted = out_of_bounds(value, bounds)
    if wanted is not None:
        raise argparse.ArgumentTypeError(f"{text} is not {wanted}")
    return value


class _Pairs(argparse.Action):
    """``NAME=VALUE,NAME=VALUE``, several times over: each name once."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Add the pairs to those that earlier words gave."""
        found = dict(getattr(namespace, self.dest, {}))
        try:
            more = read_pairs(values)
            if twice := found.keys() & more.keys():
                raise ValueError(f"'{sorted(twice)[0]}' is given twice")
        except ValueError as error:
            raise InputError(f"{option_string} {error}") from error
        setattr(namespace, self.dest, found | more)


def _add(parser: argparse.ArgumentParser, field: Field, inner: Any, prefix: str) -> None:
    told, key, flag = field.metadata, prefix.replace("-", "_") + key_of(field), flag_of(field, prefix)
    origin = typing.get_origin(inner)
    help_text = (told.get("help", "") + _default(field)).strip().replace("%", "%%")
    if inner is bool:
        if flag.startswith("--no-"):
            parser.add_argument(flag, dest=key, action="store_false", default=argparse.SUPPRESS, help=help_text)
        else:
            action = argparse.BooleanOptionalAction
            parser.add_argument(flag, dest=key, action=action, default=argparse.SUPPRESS, help=help_text)
        return
    extra: dict[str, Any] = {"metavar": told.get("metavar", "PATH" if inner is Path else "X")}
    if origin is Literal:
        extra = {"choices": typing.get_args(inner)}
        if "metavar" in told:
            extra["metavar"] = told["metavar"]
    elif "plugins" in told:
        extra = {"choices": tuple(listed(told["plugins"]))}
    elif inner is int or inner is float:
        extra["type"] = partial(number, inner, told)
    elif inner is Path:
        extra["type"] = Path
    elif origin is tuple and told.get("positional"):
        extra |= {"nargs": told.get("nargs", "+"), "type": typing.get_args(inner)[0]}
    elif origin is tuple:
        extra |= {"action": "extend", "type": partial(_values, typing.get_args(inner)[0], told)}
    elif origin is not None:
        extra["action"] = _Pairs
    if told.get("positional"):
        # A word that a file of settings may give, or that has a default, leaves no trace where it is absent.
        if "nargs" not in extra and (not required(field) or "--config" in parser._option_string_actions):
            # No type: argparse would make one of the mark that says so.
            extra = {"nargs": "?", "metavar": extra["metavar"]}
        parser.add_argument(key, default=argparse.SUPPRESS, help=help_text, **extra)
    else:
        extra["required"] = bool(told.get("required"))
        parser.add_argument(flag, dest=key, default=argparse.SUPPRESS, help=help_text, **extra)


def _values(kind: Any, told: Mapping[str, Any], text: str) -> list[Any]:
    """The value in a text, or several with commas, where the field takes them so."""
    parts = words(text) if told.get("many") == "comma" else [text]
    return [number(kind, told, part) if kind is int or kind is float else kind(part) for part in parts]


def _default(field: Field) -> str:
    if field.default_factory is not dataclasses.MISSING or isinstance(field.default, bool):
        return ""
    if field.default in {dataclasses.MISSING, None, "", ()}:
        return ""
    shown = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else f"{field.default}"
    shown = f"{field.default:g}" if isinstance(field.default, float) else shown
    return f" (default: {shown})"
