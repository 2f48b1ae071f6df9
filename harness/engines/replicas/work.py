"""What is still to be asked, in chunks: dealt out, given back by the dead, given up after too many deaths."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

# A chunk on which a replica died is asked again so often.
AGAIN = 3
# Chunks become smaller towards the end, so that all replicas end at once; below this they would only cost calls.
_LEAST = 16
# The last chunks are a share of what is left: one for each replica and two that wait.
_SHARES = 3


class Keyed(Protocol):
    """What is asked: a request, or a continuation."""

    @property
    def key(self) -> str:
        """By what its answer is known."""
        ...


Asked = TypeVar("Asked", bound=Keyed)


@dataclass
class Chunk(Generic[Asked]):
    """What a replica is handed at once. ``left``: what is not answered yet, by key; ``tries``: deaths over it."""

    left: dict[str, Asked]
    tries: int = 0

    def answered(self, key: str) -> bool:
        """Take note of an answer; False where it has come before, or was not asked for."""
        return self.left.pop(key, None) is not None


@dataclass
class Work(Generic[Asked]):
    """All that is to be asked, longest first, dealt out to ``replicas`` in chunks of at most ``size``."""

    asked: Sequence[Asked]
    size: int
    replicas: int
    _next: int = 0
    _again: deque[Chunk[Asked]] = field(default_factory=deque)

    @property
    def left(self) -> int:
        """What has not been dealt out, or was given back."""
        return len(self.asked) - self._next + sum(len(chunk.left) for chunk in self._again)

    def take(self) -> Chunk[Asked] | None:
        """The next chunk; None where nothing is left."""
        if self._again:
            return self._again.popleft()
        rest = len(self.asked) - self._next
        if not rest:
            return None
        share = max(_LEAST, -(-rest // (_SHARES * self.replicas)))
        first, self._next = self._next, self._next + min(rest, share, self.size)
        return Chunk({each.key: each for each in self.asked[first : self._next]})

    def give_back(self, chunk: Chunk[Asked], *, died: bool) -> list[Asked]:
        """What is left of a chunk that its replica did not finish is asked again; what is given up is returned.

        ``died``: was the replica at work on it? Then it is asked again in halves: the prompt that kills is soon alone,
        and those beside it are answered.
        """
        left = list(chunk.left.items())
        if not left:
            return []
        if not died:
            self._again.appendleft(chunk)
            return []
        if chunk.tries == AGAIN:
            return [each for _, each in left]
        half = -(-len(left) // 2)
        for part in (left[half:], left[:half]):
            if part:
                self._again.appendleft(Chunk(dict(part), chunk.tries + 1))
        return []
