"""JSON that holds nothing but JSON: what a judge replies, a server answers and a user's files say."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

# A brace that begins an object, as against one of a formula or a set: a key follows, or nothing.
_OBJECT = re.compile(r"\{\s*[\"}]")


def read_strict_json(text: str | bytes, *, unique_keys: bool = False, control_characters: bool = False) -> Any:
    r"""The value, NaN and infinities refused; ``unique_keys`` refuses an object that has a key twice.

    ``control_characters`` lets line breaks and tabs stand in strings as they are. Raises ValueError, and RecursionError
    for what is nested too deeply.

    >>> read_strict_json('{"reason": "a\nb"}', control_characters=True)
    {'reason': 'a\nb'}
    """
    pairs = _unique if unique_keys else None
    return json.loads(text, strict=not control_characters, parse_constant=_refuse, object_pairs_hook=pairs)


def objects_in(text: str) -> list[tuple[int, int, dict[str, Any]]]:
    """The JSON objects that stand in a text, each with its start and end; none stands in another.

    Keys must be unique, and control characters may stand in strings. Raises ValueError where one begins and is no
    strict JSON, and RecursionError for what is nested too deeply.

    >>> objects_in('Of {a, b} I take {"score": 4}.')
    [(17, 29, {'score': 4})]
    """
    decoder = json.JSONDecoder(strict=False, parse_constant=_refuse, object_pairs_hook=_unique)
    found, place = list[tuple[int, int, dict[str, Any]]](), 0
    while begun := _OBJECT.search(text, place):
        value, place = decoder.raw_decode(text, begun.start())
        found.append((begun.start(), place, value))
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice")
    return value
