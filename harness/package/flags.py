"""The command line's options, made of the dataclasses that `telbench.config` describes."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from telbench.config import (
    Field,
    key_of,
    merged,
    out_of_bounds,
    read_pairs,
    read_settings,
    read_yaml,
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


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config FILE``: settings as YAML, which flags come before."""
    parser.add_argument(
        "--config", type=Path, default=None, metavar="FILE", help="settings as YAML or JSON; flags come before them"
    )


def settings_of(args: argparse.Namespace, kind: type[Settings], base: Mapping[str, Any] | None = None) -> Settings:
    """The settings of the flags that were given, before those of ``--config``, before ``base``.

    Raises:
        InputError: naming the key that does not fit.
    """
    file: Path | None = getattr(args, "config", None)
    given = merged(base or {}, {} if file is None else read_yaml(file))
    where = "the command line" if file is None else str(file)
    return read_settings(kind, merged(given, flags_given(args, kind)), where)


def number(kind: type[int] | type[float], bounds: Mapping[str, Any]) -> Callable[[str], float]:
    """An argparse type: a finite number within the bounds of its field."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"'{text}' is no {'whole ' if kind is int else ''}number") from error
        wanted = out_of_bounds(value, bounds)
        if wanted is not None:
            raise argparse.ArgumentTypeError(f"{text} is not {wanted}")
        return value

    return parse


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
    told, key = field.metadata, prefix.replace("-", "_") + key_of(field)
    flag = told.get("flag") or "--" + key.replace("_", "-")
    origin = typing.get_origin(inner)
    help_text = (told.get("help", "") + _default(field)).strip().replace("%", "%%")
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
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
        extra["type"] = number(inner, told)
    elif inner is Path:
        extra["type"] = Path
    elif origin is tuple and told.get("positional"):
        extra |= {"nargs": told.get("nargs", "+"), "type": typing.get_args(inner)[0]}
    elif origin is tuple:
        parse = words if told.get("many") == "comma" else _alone
        extra |= {"action": "extend", "type": parse}
    elif origin is not None:
        extra["action"] = _Pairs
    if told.get("positional"):
        if not required and "nargs" not in extra:
            extra["nargs"] = "?"
        # A positional word that may be absent leaves no trace either.
        parser.add_argument(key, default=argparse.SUPPRESS, help=help_text, **extra)
    else:
        extra["required"] = bool(told.get("required"))
        parser.add_argument(flag, dest=key, default=argparse.SUPPRESS, help=help_text, **extra)


def _alone(text: str) -> list[str]:
    return [text]


def _default(field: Field) -> str:
    if field.default_factory is not dataclasses.MISSING or isinstance(field.default, bool):
        return ""
    if field.default in {dataclasses.MISSING, None, "", ()}:
        return ""
    shown = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else f"{field.default}"
    shown = f"{field.default:g}" if isinstance(field.default, float) else shown
    return f" (default: {shown})"
