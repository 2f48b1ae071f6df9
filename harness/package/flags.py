"""The command line's options, made of the dataclasses that `telbench.config` describes."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from telbench.config import (
    Setting,
    merged,
    near_name,
    out_of_bounds,
    read_pairs,
    read_settings,
    read_yaml,
    settings_in,
    words,
)
from telbench.errors import InputError
from telbench.registry import listed

Settings = TypeVar("Settings")


def add_flags(
    parser: argparse.ArgumentParser,
    kind: type[Any],
    *,
    without: Collection[str] = (),
    config: bool = False,
    prefix: str = "",
) -> None:
    """A flag for each setting of the dataclass and of those in it; absent flags leave no trace.

    Settings of a nested dataclass keep their own names (``optimiser.learning_rate`` is ``--learning-rate``); one that
    can be left out as a whole (``lora``) puts its name before them (``--lora-rank``). ``without``: keys left out.
    ``config``: with ``--config FILE``, a file of settings which flags come before.
    """
    if config:
        told = "settings as YAML or JSON; flags come before them"
        parser.add_argument("--config", type=Path, default=None, metavar="FILE", help=told)
    sections: dict[str, Any] = {"": parser}
    for one in settings_in(kind).values():
        if one.told.get("flag") is False or one.key in without:
            continue
        if one.section not in sections:
            sections[one.section] = parser.add_argument_group(one.section)
        if one.nested:
            add_flags(sections[one.section], one.kind, without=without, prefix=_prefix(one))
        else:
            _add(sections[one.section], one, prefix, config)


def flags_given(args: argparse.Namespace, kind: type[Any], prefix: str = "") -> dict[str, Any]:
    """The mapping of the flags that were given, in the shape of `read_settings`."""
    found: dict[str, Any] = {}
    for key, one in settings_in(kind).items():
        if one.nested:
            inner = flags_given(args, one.kind, _prefix(one))
            if inner:
                found[key] = inner
        elif hasattr(args, prefix + key):
            found[key] = getattr(args, prefix + key)
    return found


def nested(kind: type[Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Keywords that are called as flags, in the shape of `read_settings`.

    Raises:
        InputError: for one that no flag is called; the near name is suggested.
    """
    names = list(_names(kind))
    for name in given:
        if name not in names:
            raise InputError(f"{where}: unknown setting '{name}': {near_name(name, names)}")
    return flags_given(argparse.Namespace(**given), kind)


def _names(kind: type[Any], prefix: str = "") -> Iterator[str]:
    """What flags are called as keywords."""
    for key, one in settings_in(kind).items():
        if one.nested:
            yield from _names(one.kind, _prefix(one))
        else:
            yield prefix + key


def _prefix(one: Setting) -> str:
    """What stands before the names of nested settings: that of their dataclass, where it can be left out."""
    return f"{one.key}_" if one.optional else ""


def add_json(parser: argparse.ArgumentParser, told: str = "print one JSON document") -> None:
    """``--json``, which every command that prints a table has."""
    parser.add_argument("--json", action="store_true", help=told)


def settings_of(args: argparse.Namespace, kind: type[Settings], base: Mapping[str, Any] | None = None) -> Settings:
    """The settings of the flags that were given, before those of ``--config``, before ``base``.

    Raises:
        InputError: naming the key that does not fit.
    """
    given = flags_given(args, kind)
    file: Path | None = getattr(args, "config", None)
    for below in ({} if file is None else read_yaml(file), base):
        if below:
            given = merged(below, given)
    for key, one in settings_in(kind).items():
        if one.required and key not in given:
            name = one.told["metavar"] if one.told.get("positional") else one.flag
            raise InputError(f"{name} is missing ({one.told['help']}): see {speaker(args)} --help")
    return read_settings(kind, given, "the command line" if file is None else str(file))


def speaker(args: argparse.Namespace) -> str:
    """The command that was called, with its sub-command."""
    called = list(getattr(args, "command_line", ["telbench"]))[:2]
    return " ".join([*called, *([args.action] if hasattr(args, "action") else [])])


def _parsed(kind: Any, told: Mapping[str, Any], text: str) -> Any:
    """What the text of a flag says; a list where it may be given several times, or with commas.

    Raises:
        ArgumentTypeError: for what is no number, or is out of the setting's bounds.
    """
    if typing.get_origin(kind) is tuple:
        parts = words(text) if told.get("many") == "comma" else [text]
        return [_parsed(typing.get_args(kind)[0], told, part) for part in parts]
    if kind is not int and kind is not float:
        return Path(text) if kind is Path else text
    named: Mapping[str, Any] = told.get("words", {})
    if text in named:
        return named[text]
    try:
        value = kind(text)
    except ValueError as error:
        wanted = " or ".join([*named, f"{'whole ' if kind is int else ''}number"])
        raise argparse.ArgumentTypeError(f"'{text}' is no {wanted}") from error
    wanted = out_of_bounds(value, told)
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


def _add(parser: argparse.ArgumentParser, one: Setting, prefix: str, config: bool) -> None:
    """The flag of one setting, or its word without a dash."""
    told, kind, origin, default = one.told, one.kind, typing.get_origin(one.kind), one.default()
    positional = bool(told.get("positional"))
    options: dict[str, Any]
    if kind is bool:
        options = {"action": "store_false" if one.flag.startswith("--no-") else argparse.BooleanOptionalAction}
    elif origin is Literal or "plugins" in told:
        choices = typing.get_args(kind) or tuple(listed(told["plugins"]))
        options = {"choices": choices, "metavar": told.get("metavar")}
    else:
        metavar = told.get("metavar", "PATH" if kind is Path else "X")
        options = {"metavar": metavar, "type": partial(_parsed, kind, told)}
        if origin is tuple and positional:
            options |= {"nargs": "+" if one.required else "*", "type": typing.get_args(kind)[0]}
        elif origin is tuple:
            options["action"] = "extend"
        elif origin is not None:
            options["action"] = _Pairs
        elif positional and (config or not one.required):
            # A word that a file of settings may give, or that has a default, leaves no trace where it is absent.
            # No type: argparse would make one of the mark that says so.
            options |= {"nargs": "?", "type": None}
    text = told.get("help", "")
    if isinstance(default, int | float | str | tuple | Path) and kind is not bool and default not in {"", ()}:
        parts = default if isinstance(default, tuple) else (default,)
        text += f" (default: {','.join(f'{part:g}' if kind is float else str(part) for part in parts)})"
    options |= {"default": argparse.SUPPRESS, "help": text.strip().replace("%", "%%")}
    if positional:
        parser.add_argument(one.key, **options)
    else:
        flag, word = "--" + prefix.replace("_", "-") + one.flag.removeprefix("--"), prefix + one.key
        parser.add_argument(flag, dest=word, required=bool(told.get("required")), **options)
