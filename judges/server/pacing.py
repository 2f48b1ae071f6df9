"""When to ask again, and how many requests may be open at once.

Repetitions wait with full jitter, or as long as the server says. The number in flight is found by adding on success and
cutting when the server is overloaded.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

# Slots gained by a success and lost by a refusal: while fewer than one in nine is refused, at random, the limit stays
# at its ceiling; where the capacity is the reason, it settles where about one in nine is.
GAIN = 0.5
LOSS = 4.0
# What requests that were open together leave of the limit at least, however many of them are refused.
CUT = 0.75


def full_jitter(attempt: int, base: float, ceiling: float, random_source: random.Random) -> float:
    """Seconds before repetition ``attempt`` (from 0): uniform between 0 and min(ceiling, base * 2**attempt).

    Spreading over the whole interval keeps clients that failed together from coming back together.
    """
    return random_source.uniform(0.0, min(ceiling, base * 2.0 ** min(attempt, 32)))


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a response asks to wait: ``retry-after-ms``, else ``retry-after`` (seconds or HTTP-date); None if
    it does not say or says nonsense. ``now`` is in seconds since the epoch. Source: RFC 9110, section 10.2.3.

    >>> retry_after({"retry-after": "2"})
    2.0
    >>> retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=50.0)
    10.0
    """
    milliseconds = _waiting_seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000.0
    value = headers.get("retry-after")
    seconds = _waiting_seconds(value)
    if seconds is not None or value is None:
        return seconds
    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return max(0.0, moment - (time.time() if now is None else now))


class AdaptiveLimit:
    """Slots for open requests, between 1 and ``ceiling``; for one event loop at a time.

    `acquire` gives the number of cuts begun so far. A request hands it back with `overloaded`, so that requests that
    were open together are cut for as one.
    """

    def __init__(self, ceiling: int, start: float | None = None) -> None:
        self.ceiling = ceiling
        self.limit = float(ceiling if start is None else start)
        self.active = 0
        self.cuts = 0
        self._floor = 0.0
        self._paused_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self, again: bool = False) -> int:
        """Wait for a slot, and for the end of a pause; the number of cuts so far.

        ``again`` goes before those who have not been served yet.
        """
        loop = asyncio.get_running_loop()
        while True:
            if (pause := self._paused_until - loop.time()) > 0:
                await asyncio.sleep(pause)
            elif self.active < int(self.limit):
                self.active += 1
                return self.cuts
            else:
                turn = loop.create_future()
                (self._waiting.appendleft if again else self._waiting.append)(turn)
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
        """A loss of slots, for requests that were open together to `CUT` of the limit at most; nobody starts for
        ``pause`` seconds.
        """
        if cuts == self.cuts:
            self._floor = max(1.0, self.limit * CUT)
            self.cuts += 1
        self.limit = max(min(self.limit, self._floor), self.limit - LOSS)
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + pause)

    def _wake(self) -> None:
        free = int(self.limit) - self.active
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1


def _waiting_seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0.0 else None
