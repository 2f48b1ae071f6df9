"""Work done once a text: fifty checkpoints answer one test set, so its references come back fifty times."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")

# A million characters are some ten thousand references, or all answers that are scored together; what is kept of a
# character costs one to fifteen bytes.
DEFAULT_BUDGET = 6_000_000


class TextCache(Generic[Value]):
    """A function of one text that remembers its results, oldest forgotten first.

    The memory is bounded in characters, not in texts, so that a few very long answers cannot fill it. What the function
    returns is shared by every caller: it must not be changed.

    >>> cache = TextCache(str.split, budget=10)
    >>> cache("one two"), cache("three"), len(cache)
    (['one', 'two'], ['three'], 1)
    """

    def __init__(self, compute: Callable[[str], Value], budget: int = DEFAULT_BUDGET) -> None:
        """Remember results of ``compute`` for texts of at most ``budget`` characters together."""
        self._compute = compute
        self._budget = budget
        self._spent = 0
        self._kept: dict[str, Value] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def __call__(self, text: str) -> Value:
        """The value for this text, computed or remembered."""
        try:
            return self._kept[text]
        except KeyError:
            value = self._compute(text)
        with self._lock:
            if text not in self._kept:
                self._kept[text] = value
                self._spent += len(text) + 1
                while self._spent > self._budget:
                    oldest = next(iter(self._kept))
                    del self._kept[oldest]
                    self._spent -= len(oldest) + 1
        return value


_MADE: dict[Callable[[str], Any], TextCache[Any]] = {}


def remembered(compute: Callable[[str], Value]) -> TextCache[Value]:
    """The function with its memory, which is made when it is first asked for.

    >>> remembered(str.split) is remembered(str.split)
    True
    """
    if compute not in _MADE:
        _MADE[compute] = TextCache(compute)
    return _MADE[compute]
