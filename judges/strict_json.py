"""JSON that holds nothing but JSON: what a judge replies, a server answers and a user's files say."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def read_strict_json(text: str | bytes, *, unique_keys: bool = False, control_characters: bool = False) -> Any:
    r"""The value, NaN and infinities refused; ``unique_keys`` refuses an object that has a key twice.

    ``control_characters`` lets line breaks and tabs stand in strings as they are. Raises ValueError, and RecursionError
    for what is nested too deeply.

    >>> read_strict_json('{"reason": "a\nb"}', control_characters=True)
    {'reason': 'a\nb'}
    """
    pairs = _unique if unique_keys else None
    return json.loads(text, strict=not control_characters, parse_constant=_refuse, object_pairs_hook=pairs)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice")
    return value
