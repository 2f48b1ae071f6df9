"""How prompts are dealt out: each once, smaller towards the end, in halves after a death, given up after three more."""

from __future__ import annotations

import random

import pytest

from telbench.harness.engines.contract import Request
from telbench.harness.engines.replicas.work import Chunk, Work


def requests(count: int) -> list[Request]:
    return [Request(f"k{index}", f"q{index}", ()) for index in range(count)]


@pytest.mark.parametrize(("count", "size", "replicas"), [(0, 5, 2), (1, 512, 8), (1000, 64, 3), (20_000, 512, 2)])
def test_all_is_dealt_out_once_and_no_chunk_is_larger_than_asked(count: int, size: int, replicas: int) -> None:
    work = Work(requests(count), size, replicas)
    chunks: list[Chunk[Request]] = []
    while (chunk := work.take()) is not None:
        chunks.append(chunk)
        assert work.left == count - sum(len(each.left) for each in chunks)
    assert [key for chunk in chunks for key in chunk.left] == [f"k{index}" for index in range(count)]
    assert all(len(chunk.left) <= size for chunk in chunks)


def test_the_last_chunks_are_small() -> None:
    work = Work(requests(20_000), 512, 2)
    sizes = [len(chunk.left) for chunk in iter(work.take, None)]
    assert sizes[0] == 512
    assert sizes[-1] <= 16
    assert sizes == sorted(sizes, reverse=True)


def test_an_answer_counts_once_and_one_that_was_not_asked_for_never() -> None:
    chunk = Work(requests(3), 3, 1).take()
    assert chunk is not None
    assert [chunk.answered(key) for key in ("k1", "k1", "k9")] == [True, False, False]
    assert list(chunk.left) == ["k0", "k2"]


def test_what_only_waited_comes_back_as_it_was_and_first() -> None:
    work = Work(requests(40), 16, 1)
    first, second = work.take(), work.take()
    assert first is not None
    assert second is not None
    assert work.give_back(second, died=False) == []
    assert work.give_back(first, died=True) == []
    again = list(iter(work.take, None))
    assert [(len(chunk.left), chunk.tries) for chunk in again] == [(8, 1), (8, 1), (16, 0), (8, 0)]
    assert [key for chunk in again for key in chunk.left] == [f"k{index}" for index in range(40)]


def test_one_prompt_that_kills_costs_four_deaths_and_few_prompts_beside_it() -> None:
    work, answered, deaths, lost = Work(requests(300), 64, 2), list[str](), 0, list[str]()
    while (chunk := work.take()) is not None:
        for key in list(chunk.left):
            if key == "k77":
                deaths += 1
                lost += [each.key for each in work.give_back(chunk, died=True)]
                break
            assert chunk.answered(key)
            answered.append(key)
    assert deaths == 4
    assert "k77" in lost
    assert len(lost) <= 64 / 2**3
    assert sorted(answered + lost) == sorted(f"k{index}" for index in range(300))


def test_whatever_dies_nothing_is_lost_and_nothing_is_answered_twice() -> None:
    for seed in range(200):
        draw = random.Random(seed)
        work = Work(requests(draw.randrange(1, 400)), draw.choice([1, 7, 64, 512]), draw.randrange(1, 5))
        answered, given_up, asked = set[str](), set[str](), dict[str, int]()
        while (chunk := work.take()) is not None:
            lives = draw.random() < 0.7
            done = len(chunk.left) if lives else draw.randrange(len(chunk.left))
            for key in list(chunk.left)[:done]:
                asked[key] = asked.get(key, 0) + 1
                assert chunk.answered(key)
                assert key not in answered
                answered.add(key)
            if not lives:
                given_up |= {each.key for each in work.give_back(chunk, died=True)}
        assert answered | given_up == {each.key for each in work.asked}
        assert not answered & given_up
        assert set(asked.values()) <= {1}
