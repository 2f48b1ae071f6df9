"""Waiting before a repetition, and the adaptive limit."""

from __future__ import annotations

import asyncio
import random

import pytest

from telbench.judges.server.pacing import CUT, GAIN, LOSS, AdaptiveLimit, full_jitter, retry_after


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


def test_requests_that_were_open_together_cut_once():
    async def scenario() -> None:
        limit = AdaptiveLimit(16)
        episode = [await limit.acquire() for _ in range(8)]
        for cuts in episode:
            limit.release()
            limit.overloaded(cuts)
        assert limit.limit == 16 * CUT
        limit.overloaded(await limit.acquire())
        assert limit.limit == 16 * CUT * CUT

    asyncio.run(scenario())


def test_limit_never_falls_below_one_nor_rises_above_its_ceiling():
    async def scenario() -> None:
        limit = AdaptiveLimit(4)
        for _ in range(50):
            limit.overloaded(limit.cuts)
        assert limit.limit == 1.0
        limit.succeeded()
        assert limit.limit == 1.0 + GAIN
        for _ in range(50):
            limit.succeeded()
        assert limit.limit == 4.0

    asyncio.run(scenario())


def test_no_more_slots_than_the_limit_are_given_and_all_wait_their_turn():
    async def scenario() -> None:
        limit, most, served = AdaptiveLimit(3), 0, []

        async def one(number: int) -> None:
            nonlocal most
            await limit.acquire()
            most = max(most, limit.active)
            await asyncio.sleep(0)
            limit.release()
            served.append(number)

        await asyncio.gather(*(one(number) for number in range(50)))
        assert most == 3
        assert sorted(served) == list(range(50))

    asyncio.run(scenario())


def test_nobody_starts_during_a_pause():
    async def scenario() -> None:
        limit, loop = AdaptiveLimit(4), asyncio.get_running_loop()
        limit.overloaded(limit.cuts, pause=0.1)
        began = loop.time()
        await limit.acquire()
        assert loop.time() - began >= 0.09

    asyncio.run(scenario())


def test_single_random_refusals_leave_the_limit_near_its_ceiling():
    async def scenario() -> None:
        limit, limits = AdaptiveLimit(64), []
        for _ in range(200):
            # A window of requests of which one in twenty is refused whatever the load.
            window = [await limit.acquire() for _ in range(int(limit.limit))]
            for number, cuts in enumerate(window):
                limit.release()
                if number % 20 == 7:
                    limit.overloaded(cuts)
                else:
                    limit.succeeded()
            limits.append(limit.limit)
        assert sum(limits) / len(limits) > 48

    asyncio.run(scenario())


def test_a_single_refusal_costs_a_wide_limit_few_slots_and_a_burst_a_share():
    async def scenario() -> None:
        limit = AdaptiveLimit(256)
        burst = [await limit.acquire() for _ in range(256)]
        limit.overloaded(burst[0])
        assert limit.limit == 256 - LOSS
        for cuts in burst[1:]:
            limit.overloaded(cuts)
        assert limit.limit == 256 * CUT

    asyncio.run(scenario())


def test_who_was_refused_goes_before_those_in_line():
    async def scenario() -> list[str]:
        limit, served = AdaptiveLimit(1), []
        await limit.acquire()

        async def one(name: str, again: bool) -> None:
            await limit.acquire(again)
            served.append(name)
            limit.release()

        line = [asyncio.create_task(one(name, False)) for name in ("first", "second")]
        await asyncio.sleep(0)
        line.append(asyncio.create_task(one("refused", True)))
        await asyncio.sleep(0)
        limit.release()
        await asyncio.gather(*line)
        return served

    assert asyncio.run(scenario()) == ["refused", "first", "second"]
