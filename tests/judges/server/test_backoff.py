"""Waiting before a repetition."""

from __future__ import annotations

import random

import pytest

from telbench.judges.server.pacing import full_jitter, retry_after


def test_full_jitter_fills_the_interval_that_doubles_up_to_the_ceiling():
    source = random.Random(1)
    for attempt, top in ((0, 0.5), (1, 1.0), (3, 4.0), (6, 20.0), (5000, 20.0)):
        waits = [full_jitter(attempt, 0.5, 20.0, source) for _ in range(2000)]
        assert 0.0 <= min(waits) < 0.02 * top
        assert 0.98 * top < max(waits) <= top
        assert sum(waits) / 2000 == pytest.approx(top / 2, rel=0.1)


def test_full_jitter_repeats_with_the_seed():
    assert full_jitter(2, 1.0, 9.0, random.Random(5)) == full_jitter(2, 1.0, 9.0, random.Random(5))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 37.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:48:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after_reads_seconds_milliseconds_and_dates(headers: dict[str, str], seconds: float | None):
    # 784111777 is the moment of RFC 9110's example date.
    assert retry_after(headers, now=784111777.0 - 37.0) == seconds
