"""How many requests may be open at once: found by adding on success and cutting when the server is overloaded."""

from __future__ import annotations

import asyncio
from collections import deque

# A cut per overload and this gain a success hold the limit at its ceiling when single requests are refused at random,
# and near the capacity when the capacity is why they are refused.
GAIN = 0.5
CUT = 0.75


class AdaptiveLimit:
    """Slots for open requests, between 1 and ``ceiling``; for one event loop at a time.

    `acquire` gives the number of cuts made so far. A request hands it back with `overloaded`, so that requests that
    were open together are cut for once.
    """

    def __init__(self, ceiling: int, start: float | None = None) -> None:
        self.ceiling = ceiling
        self.limit = float(ceiling if start is None else start)
        self.active = 0
        self.cuts = 0
        self._paused_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> int:
        """Wait for a slot, and for the end of a pause; the number of cuts so far."""
        loop = asyncio.get_running_loop()
        while True:
            if (pause := self._paused_until - loop.time()) > 0:
                await asyncio.sleep(pause)
            elif self.active < int(self.limit):
                self.active += 1
                return self.cuts
            else:
                turn = loop.create_future()
                self._waiting.append(turn)
                await turn

    def release(self) -> None:
        """Give the slot back."""
        self.active -= 1
        self._wake()

    def succeeded(self) -> None:
        """Additive increase."""
        self.limit = min(float(self.ceiling), self.limit + GAIN)
        self._wake()

    def overloaded(self, cuts: int, pause: float = 0.0) -> None:
        """Multiplicative cut, if none was made since the request got its slot; nobody starts for ``pause`` seconds."""
        if cuts == self.cuts:
            self.limit = max(1.0, self.limit * CUT)
            self.cuts += 1
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + pause)

    def _wake(self) -> None:
        free = int(self.limit) - self.active
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
