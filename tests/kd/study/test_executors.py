"""A study over several machines: killed workers and nodes are made up for, nothing is made twice, the journal is right.

The two machines of the Ray cluster are two nodes of 127.0.0.1. The jobs of SLURM are submitit's local processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.terminal import Reporter
from telbench.harness.executors import slurm
from telbench.harness.executors.contract import Executor, Running, Task
from telbench.harness.executors.ray import RayExecutor, RayOptions
from telbench.harness.executors.slurm import SlurmExecutor, SlurmOptions
from telbench.harness.storage import RecordStore
from telbench.kd.study.folder import JOURNAL, StudyFolder
from telbench.kd.study.run import Opened, Outcome, StudyRun, is_done, records_of

from ...ray_cluster import add_node, cluster
from .small_study import FOUND, small_graph

__all__ = ["cluster"]

pytestmark = pytest.mark.slow

PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_telbench.py")))


class Faked:
    """An executor whose tasks are made by the stand-in for telbench."""

    def __init__(self, executor: Executor, environment: Mapping[str, str]) -> None:
        self._executor, self._environment = executor, environment
        self.places, self.notes = executor.places, executor.notes
        self.find, self.close = executor.find, executor.close

    def start(self, tasks: Sequence[Task]) -> list[Running]:
        return self._executor.start([replace(each, program=PROGRAM, environment=self._environment) for each in tasks])


def make(root: Path, executor: Executor, tries: int = 3) -> Outcome:
    graph = small_graph()
    folder = StudyFolder(root, graph)
    folder.create()
    with RecordStore(root / JOURNAL) as journal:
        return StudyRun(Opened(graph, folder, FOUND, journal), Reporter(), executor, tries).make()


def environment(tmp_path: Path, seconds: float) -> dict[str, str]:
    (tmp_path / "calls").touch()
    names = {"FAKE_CALLS": tmp_path / "calls", "FAKE_PIDS": tmp_path / "pids", "FAKE_SECONDS": seconds}
    return {name: str(value) for name, value in names.items()}


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def labels(names: Sequence[str]) -> list[str]:
    return [name.rpartition("-")[0] for name in names]


def journal_of(root: Path) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """The last word on each artefact by label, and every line."""
    with RecordStore(root / JOURNAL) as journal:
        last = {record["label"]: record for record in records_of(journal).values()}
    return last, [json.loads(line) for line in lines(root / JOURNAL)]


def require_whole(tmp_path: Path, root: Path, outcome: Outcome) -> None:
    """All is made, each artefact once, and the journal says so."""
    graph = small_graph()
    wanted = {each.label for each in graph.to_make()}
    assert outcome.failures == ()
    assert Counter(labels(lines(tmp_path / "made"))) == Counter(wanted)
    last, every = journal_of(root)
    assert {label for label, record in last.items() if record["status"] == "done"} == wanted
    assert Counter(line["label"] for line in every if line["status"] == "done") == Counter(wanted)
    assert len(list((root / "runs").iterdir())) == sum(each.kind == "run" for each in graph)


@contextlib.contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Do something beside the study; what goes wrong there is told here."""
    wrong: list[BaseException] = []

    def watched() -> None:
        try:
            act()
        except BaseException as error:
            wrong.append(error)

    thread = threading.Thread(target=watched)
    thread.start()
    yield
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert wrong == []


def wait_for(found: Callable[[], Any], seconds: float = 300) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (value := found()) is not None:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def test_a_study_on_two_ray_nodes_loses_a_worker_and_a_node_and_makes_each_artefact_once(
    tmp_path: Path, cluster: Any
) -> None:
    second = add_node(cluster)
    root, own = tmp_path / "study", environment(tmp_path, 2.0)
    executor = RayExecutor(RayOptions(address=cluster.address))

    def break_things() -> None:
        # The worker process of the first artefact.
        first = wait_for(lambda: lines(tmp_path / "pids") or None)[0].split()
        os.kill(int(first[1]), signal.SIGKILL)
        # Then a whole machine, with what it makes at that moment.
        both = wait_for(lambda: _pair(lines(tmp_path / "pids")[1:]))
        assert len(both) == 2
        cluster.remove_node(second, allow_graceful=False)

    def _pair(started: list[str]) -> list[str] | None:
        alive = [line for line in started if Path("/proc", line.split()[2]).exists()]
        return alive if len(alive) == 2 else None

    try:
        with meanwhile(break_things):
            outcome = make(root, Faked(executor, own))
        require_whole(tmp_path, root, outcome)
        last, every = journal_of(root)
        lost = [line for line in every if line["status"] == "lost"]
        assert len(lost) == 2, lost
        assert all("Ray lost it" in line["why"] for line in lost)
        assert Counter(record["tries"] for record in last.values()) == {1: len(last) - 2, 2: 2}
        again = make(root, Faked(executor, own))
        assert (again.made, again.found) == (0, outcome.made)
    finally:
        executor.close()


def test_ray_tells_failures_as_they_are_and_what_no_machine_has(tmp_path: Path, cluster: Any) -> None:
    executor = RayExecutor(RayOptions(address=cluster.address, num_gpus=1))
    assert "no machine of the Ray cluster has 1 CPU and 1 GPU" in executor.notes[0]
    executor.close()
    executor = RayExecutor(RayOptions(address=cluster.address))
    try:
        own = {**environment(tmp_path, 0), "FAKE_FAIL": "cache-teacher-sft"}
        outcome = make(tmp_path / "study", Faked(executor, own))
        (failure,) = outcome.failures
        assert (failure.code, failure.reason) == (2, "telbench kd: no such data: name another")
        nowhere = Task("t", (), tmp_path / "log", folder=tmp_path / "nowhere")
        (running,) = executor.start([nowhere])
        ended = wait_for(running.ended)
        assert ended.code == 2
        assert "must share the folders" in ended.why
        assert not ended.lost
        # Ctrl-C reaches the command.
        (running,) = executor.start(
            [Task("t", (), tmp_path / "log", program=(sys.executable, "-c", "import time; time.sleep(300)"))]
        )
        wait_for(lambda: len(lines(tmp_path / "log")) or None)
        time.sleep(3)
        running.interrupt()
        assert wait_for(running.ended).code == 130
    finally:
        executor.close()


def test_a_study_by_submitit_whose_worker_is_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: the extra slurm brings it")
    monkeypatch.setattr(slurm, "GRACE_SECONDS", 1.0)
    root, own = tmp_path / "study", environment(tmp_path, 1.0)
    executor = SlurmExecutor(SlurmOptions(cluster="local"), root / "jobs", jobs=2)

    def break_one() -> None:
        first = wait_for(lambda: lines(tmp_path / "pids") or None)[0].split()
        os.kill(int(first[1]), signal.SIGKILL)

    with meanwhile(break_one):
        outcome = make(root, Faked(executor, own))
    require_whole(tmp_path, root, outcome)
    _, every = journal_of(root)
    (lost,) = [line for line in every if line["status"] == "lost"]
    assert "without a word" in lost["why"]


def test_jobs_that_a_killed_study_has_left_in_the_queue_are_waited_for_and_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: the extra slurm brings it")
    monkeypatch.setattr(slurm, "GRACE_SECONDS", 3.0)
    root, own = tmp_path / "study", environment(tmp_path, 3.0)
    program = f"""
        import sys
        sys.path[:0] = [{str(Path(__file__).parents[3])!r}]
        from pathlib import Path
        from tests.kd.study.test_executors import Faked, SlurmExecutor, SlurmOptions, make
        root = Path({str(root)!r})
        make(root, Faked(SlurmExecutor(SlurmOptions(cluster="local"), root / "jobs", 2), {own!r}))
    """
    study = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    wait_for(lambda: lines(tmp_path / "pids") or None)
    study.send_signal(signal.SIGKILL)
    study.wait(timeout=30)
    graph = small_graph()
    with RecordStore(root / JOURNAL) as journal:
        assert not any(is_done(each, StudyFolder(root, graph), journal) for each in graph.to_make())
    executor = SlurmExecutor(SlurmOptions(cluster="local"), root / "jobs", jobs=2)
    require_whole(tmp_path, root, make(root, Faked(executor, own)))
