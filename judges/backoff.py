"""How long to wait before a request is repeated."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


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
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000.0
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None or value is None:
        return seconds
    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return max(0.0, moment - (time.time() if now is None else now))


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0.0 else None
