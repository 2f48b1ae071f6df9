"""Replicas on a Ray cluster of a head and two nodes: a killed node or process costs what was open, and nothing else."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import EngineError, InputError
from telbench.harness.engines.contract import (
    Completion,
    Continuation,
    Engine,
    EngineSettings,
    EngineSpec,
    Request,
    Sampling,
)
from telbench.harness.engines.replicas.pool import AHEAD

from ....ray_cluster import add_node
from .calls import asked_twice, calls

pytestmark = pytest.mark.slow


def settings(
    cluster: Any, replicas: int = 2, *, replica: dict[str, str] | None = None, **options: Any
) -> EngineSettings:
    own = {"address": cluster.address, **(replica or {})}
    return EngineSettings(options=options, replicas=replicas, replica_options=own)


def requests(count: int) -> list[Request]:
    """Prompts of one to nine tokens, so that their order is another than that of their keys."""
    return [Request(f"k{index}", f"q{index}", (), tuple(range(1 + index % 9))) for index in range(count)]


def require_each_once(found: Sequence[Completion], count: int) -> None:
    assert Counter(each.key for each in found) == Counter(f"k{index}" for index in range(count))
    assert all(each.text == f"answer to q{each.key[1:]}" for each in found)


def generated(engine: Engine, asked: Sequence[Request]) -> list[Completion]:
    return list(engine.generate(asked, Sampling()))


def test_two_nodes_answer_each_prompt_once_and_share_the_work(
    tmp_path: Path, two_nodes: Any, stand_in: EngineSpec
) -> None:
    asked = settings(two_nodes, calls=str(tmp_path / "calls"))
    with closing(stand_in.open(asked)) as engine:
        assert engine.info.name == "stand_in"
        assert engine.info.settings == {"device": "cpu", "replicas": 2}
        require_each_once(generated(engine, requests(20_000)), 20_000)
        # The same replicas answer again.
        require_each_once(generated(engine, requests(10)), 10)
        texts = [Continuation(f"c{index}", tuple(range(1 + index % 30)), 0) for index in range(500)]
        found = dict(engine.log_likelihoods(texts))
        assert found == {each.key: -float(len(each.token_ids)) for each in texts if len(each.token_ids) % 10}
    assert asked_twice(tmp_path) == 10
    by_node = Counter(line[2] for line in calls(tmp_path) if line[0].startswith("k"))
    assert len(by_node) == 2
    # An engine that takes no time is never waited for: neither has next to nothing.
    assert min(by_node.values()) > 1000
    assert sum(line[0] == "opened" for line in calls(tmp_path)) == 2
    assert sum(line[0] == "closed" for line in calls(tmp_path)) == 2


def test_a_node_that_is_killed_midway_costs_the_chunks_that_were_open_there(
    tmp_path: Path, broken_up: Any, stand_in: EngineSpec
) -> None:
    second = [add_node(broken_up) for _ in range(2)][1]
    count, chunk = 3000, 64
    asked = settings(broken_up, replica={"chunk": str(chunk)}, calls=str(tmp_path / "calls"), seconds=0.002)
    found: list[Completion] = []
    with closing(stand_in.open(asked)) as engine:
        for each in engine.generate(requests(count), Sampling()):
            found.append(each)
            if len(found) == count // 3:
                broken_up.remove_node(second, allow_graceful=False)
    require_each_once(found, count)
    assert asked_twice(tmp_path) <= AHEAD * chunk


def test_a_replica_whose_process_is_killed_is_put_up_again(
    tmp_path: Path, two_nodes: Any, stand_in: EngineSpec
) -> None:
    asked = settings(two_nodes, replica={"chunk": "50"}, calls=str(tmp_path / "calls"), seconds=0.005)
    killed: list[int] = []
    found: list[Completion] = []
    with closing(stand_in.open(asked)) as engine:
        for each in engine.generate(requests(2000), Sampling()):
            found.append(each)
            if len(found) in (300, 1000):
                pid = int(calls(tmp_path)[-1][1])
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
    require_each_once(found, 2000)
    assert asked_twice(tmp_path) <= 2 * AHEAD * 50
    assert sum(line[0] == "opened" for line in calls(tmp_path)) == 4


def test_a_prompt_that_kills_its_replica_is_asked_four_times_named_and_the_others_are_answered(
    tmp_path: Path, two_nodes: Any, stand_in: EngineSpec
) -> None:
    asked = settings(two_nodes, replica={"chunk": "32"}, calls=str(tmp_path / "calls"), poison="q77")
    with closing(stand_in.open(asked)) as engine:
        found = generated(engine, requests(400))
    assert Counter(each.key for each in found) == Counter(f"k{index}" for index in range(400))
    failed = [each for each in found if each.finish_reason == "error"]
    assert "k77" in {each.key for each in failed}
    assert len(failed) <= 4
    assert {each.error for each in failed} == {failed[0].error}
    assert "a replica died 4 times over it" in (failed[0].error or "")
    assert "'q77'" in (failed[0].error or "") or len(failed) > 3
    assert Counter(line[0] for line in calls(tmp_path))["k77"] == 4


def test_replicas_that_die_again_and_again_end_the_work_with_one_line(
    tmp_path: Path, two_nodes: Any, stand_in: EngineSpec
) -> None:
    asked = settings(two_nodes, replica={"max_restarts": "0"}, wrong="engine", at="q3")
    with closing(stand_in.open(asked)) as engine:
        found: list[Completion] = []
        with pytest.raises(EngineError, match=r"no replica of 2 is left: they died 2 times, .*the core died"):
            found.extend(engine.generate(requests(5), Sampling()))


@pytest.mark.parametrize(
    ("options", "replica", "told"),
    [
        ({"wrong": "open"}, {}, "replica on .*: the stand-in does not like this checkpoint: take another"),
        ({"other": True}, {}, "it runs stand_in .* another stand_in .* install the same|replicas' version is"),
        ({}, {"num_gpus": "2"}, r"has room for a replica \(1 CPU and 2 GPU\); its machines have 1 CPU; nothing: ask"),
        ({}, {"num_cpus": "64"}, r"has room for a replica \(64 CPU\)"),
        ({}, {"chunk": "0"}, "chunk"),
        ({}, {"chunks": "5"}, "did you mean .*chunk"),
        ({}, {"address": "127.0.0.1:1"}, "no Ray cluster at 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_had_is_told_in_one_line(
    options: dict[str, Any], replica: dict[str, str], told: str, two_nodes: Any, stand_in: EngineSpec
) -> None:
    with pytest.raises(InputError, match=told) as raised:
        stand_in.open(settings(two_nodes, replica=replica, **options))
    assert "\n" not in str(raised.value)


def test_what_an_engine_cannot_and_what_it_does_wrong_is_told_as_without_replicas(
    two_nodes: Any, stand_in: EngineSpec
) -> None:
    engine = stand_in.open(settings(two_nodes, 1, wrong="likelihoods"))
    with closing(engine), pytest.raises(NotImplementedError, match="it has none"):
        list(engine.log_likelihoods([Continuation("c", (1, 2), 1)]))
    engine = stand_in.open(settings(two_nodes, 1, wrong="bug"))
    with closing(engine), pytest.raises(EngineError, match=r"the stand_in engine failed on .*: TypeError: no such"):
        generated(engine, requests(3))


def test_replicas_beyond_the_room_start_when_there_is_more(
    tmp_path: Path, broken_up: Any, stand_in: EngineSpec
) -> None:
    add_node(broken_up)
    asked = settings(broken_up, 2, replica={"chunk": "20"}, calls=str(tmp_path / "calls"), seconds=0.01)
    with closing(stand_in.open(asked)) as engine:
        assert getattr(engine, "notes", []) == [
            "the cluster has room for 1 of 2 replicas: the others start when it has more"
        ]
        require_each_once(generated(engine, requests(200)), 200)
        assert len({line[2] for line in calls(tmp_path)}) == 1
        add_node(broken_up)
        until = time.monotonic() + 300
        while len({line[2] for line in calls(tmp_path)}) < 2:
            assert time.monotonic() < until
            require_each_once(generated(engine, requests(200)), 200)
