"""Making a study: once each, again nothing, after kill -9 the rest, and a failure stops only what depends on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from telbench.config import read_settings
from telbench.harness.cli.terminal import Reporter
from telbench.harness.datasets.items import DataSet, Item
from telbench.harness.executors.contract import Executor, Running, Task
from telbench.harness.executors.local import LocalExecutor
from telbench.harness.storage import RecordStore
from telbench.kd.study.estimate import costs, total_seconds
from telbench.kd.study.folder import JOURNAL, StudyFolder
from telbench.kd.study.graph import Graph, build_graph
from telbench.kd.study.run import Opened, Outcome, StudyRun, is_done, records_of
from telbench.kd.study.settings import StudySettings
from telbench.kd.study.sources import Amount, amount_of

from .small_study import FOUND, SETTINGS, small_graph

FAKE = Path(__file__).with_name("fake_telbench.py")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "calls"
    file.touch()
    monkeypatch.setenv("FAKE_CALLS", str(file))
    monkeypatch.setattr("telbench.harness.executors.process.PROGRAM", (sys.executable, str(FAKE)))
    return file


def make(
    root: Path, graph: Graph | None = None, slots: int = 1, executor: Executor | None = None, tries: int = 1
) -> Outcome:
    graph = graph or small_graph()
    folder = StudyFolder(root, graph)
    folder.create()
    with RecordStore(root / JOURNAL) as journal:
        opened = Opened(graph, folder, FOUND, journal)
        return StudyRun(opened, Reporter(), executor or LocalExecutor([{}] * slots), tries).make()


def called(calls: Path) -> list[str]:
    return [line.rpartition("-")[0] for line in calls.read_text().splitlines()]


def test_each_artefact_is_made_once_and_a_second_time_none(tmp_path: Path, calls: Path) -> None:
    graph = small_graph()
    first = make(tmp_path / "study", graph, slots=3)
    assert sorted(called(calls)) == sorted(each.label for each in graph.to_make())
    assert (first.made, first.found, first.failures) == (len(graph.to_make()), 0, ())
    second = make(tmp_path / "study", graph)
    assert (second.made, second.found) == (0, first.made)
    assert len(called(calls)) == first.made
    runs = sorted(link.name for link in (tmp_path / "study" / "runs").iterdir())
    assert runs == sorted(each.settings["name"] for each in graph if each.kind == "run")
    assert all((link / "telbench.json").is_file() for link in (tmp_path / "study" / "runs").iterdir())


def test_what_was_taken_away_is_made_again_alone(tmp_path: Path, calls: Path) -> None:
    graph = small_graph()
    make(tmp_path / "study", graph)
    gone = next(each for each in graph if each.kind == "run")
    place = StudyFolder(tmp_path / "study", graph).path(gone)
    (place / "telbench.json").unlink()
    place.rmdir()
    before = len(called(calls))
    assert make(tmp_path / "study", graph).made == 1
    assert called(calls)[before:] == [gone.label]


def test_a_failure_stops_what_depends_on_it_and_nothing_else(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = small_graph()
    monkeypatch.setenv("FAKE_FAIL", "cache-teacher-sft")
    outcome = make(tmp_path / "study", graph, slots=2)
    (failure,) = outcome.failures
    assert (failure.label, failure.code) == ("cache-teacher-sft", 2)
    assert failure.reason == "telbench kd: no such data: name another"
    behind = {each.label for each in graph.to_make() if "t1" in each.label}
    assert set(failure.blocked) == behind
    assert set(called(calls)) == {each.label for each in graph.to_make()} - behind
    assert sorted(link.name for link in (tmp_path / "study" / "runs").iterdir()) == [
        "same-dskd-t0-s0-seed0",
        "same-vanilla_kd-t0-s0-seed0",
    ]
    monkeypatch.delenv("FAKE_FAIL")
    again = make(tmp_path / "study", graph)
    assert again.failures == ()
    assert again.made == 1 + len(behind)


def test_other_settings_lie_beside_the_old_ones_and_links_follow(tmp_path: Path, calls: Path) -> None:
    make(tmp_path / "study")
    changed = {**SETTINGS, "algorithms": {"dskd": {"method": {"temperature": 3.0}}}}
    graph = build_graph(read_settings(StudySettings, changed, "study"), FOUND.sources)
    outcome = make(tmp_path / "study", graph)
    # Two cells of dskd and their runs; the rest is found.
    assert outcome.made == 4
    for link in (tmp_path / "study" / "runs").iterdir():
        run = next(each for each in graph if each.kind == "run" and each.settings["name"] == link.name)
        assert link.resolve().name == run.folder
    assert make(tmp_path / "study").made == 0


def test_killed_at_any_moment_it_goes_on_and_its_children_do_not(tmp_path: Path, calls: Path) -> None:
    program = f"""
        import sys
        sys.path[:0] = [{str(FAKE.parents[3])!r}]
        from pathlib import Path
        from telbench.harness.executors import process
        from tests.kd.study.test_run import make
        process.PROGRAM = (sys.executable, {str(FAKE)!r})
        make(Path({str(tmp_path / "study")!r}), slots=2)
    """
    environment = {**os.environ, "FAKE_SECONDS": "1"}
    study = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], env=environment)
    until = time.monotonic() + 60
    while len(called(calls)) < 4 and time.monotonic() < until:
        time.sleep(0.05)
    study.send_signal(signal.SIGKILL)
    study.wait(timeout=30)
    time.sleep(1.5)
    store = tmp_path / "study" / "store"
    there = {path.name for path in store.iterdir()}
    time.sleep(1.5)
    # No orphan goes on where its successor will write.
    assert {path.name for path in store.iterdir()} == there
    graph = small_graph()
    assert 0 < len(there) < len(graph.to_make())
    with RecordStore(tmp_path / "study" / JOURNAL) as journal:
        folder = StudyFolder(tmp_path / "study", graph)
        kept = sum(is_done(each, folder, journal) for each in graph.to_make())
    before = len(called(calls))
    outcome = make(tmp_path / "study", graph)
    assert outcome.found == kept
    assert outcome.made == len(graph.to_make()) - kept
    assert len(called(calls)) - before == outcome.made


def test_an_interrupted_study_stops_its_commands(tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "300")
    started: list[Running] = []

    class Interrupted(LocalExecutor):
        def start(self, tasks: Sequence[Task]) -> list[Running]:
            started.extend(super().start(tasks))
            if len(started) == 2:
                # As if the person had pressed Ctrl-C while the second command begins.
                os.kill(os.getpid(), signal.SIGINT)
            return started[-len(tasks) :]

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "study", executor=Interrupted([{}] * 2))
    assert len(started) == 2
    assert all(running.ended() is not None for running in started)


def test_a_killed_command_is_tried_again_and_one_that_is_killed_each_time_has_failed(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = small_graph()
    monkeypatch.setenv("FAKE_KILLED", f"sft-teacher:{tmp_path / 'killed'}")
    outcome = make(tmp_path / "study", graph, tries=2)
    assert outcome.failures == ()
    assert outcome.made == len(graph.to_make())
    assert Counter(called(calls)) == {each.label: 1 + (each.label == "sft-teacher") for each in graph.to_make()}
    with RecordStore(tmp_path / "study" / JOURNAL) as journal:
        records = {record["label"]: record for record in records_of(journal).values()}
    assert {label for label, record in records.items() if record["tries"] == 2} == {"sft-teacher"}
    assert records["sft-teacher"]["resumed"] is True
    lines = [json.loads(line) for line in (tmp_path / "study" / JOURNAL).read_text().splitlines()]
    assert [line["status"] for line in lines if line["label"] == "sft-teacher"] == ["begun", "lost", "begun", "done"]

    (tmp_path / "killed").unlink()
    failures = make(tmp_path / "other", graph, tries=1).failures
    assert [(failure.label, failure.code) for failure in failures] == [("sft-teacher", -signal.SIGKILL)]


def test_times_are_estimated_from_what_was_made(tmp_path: Path, calls: Path) -> None:
    graph = small_graph()
    unknown = costs(graph, FOUND, {})
    assert {cost.seconds for cost in unknown.values()} == {None}
    assert total_seconds(unknown.values(), 2) == (0.0, len(graph.to_make()))
    student = next(each for each in graph if each.kind == "student" and each.settings["method"]["algorithm"] == "dskd")
    epochs = student.settings["optimiser"]["epochs"]
    assert unknown[student.sha256].tokens == round(epochs * (4000 + 8000) / 4)
    record = {"status": "done", "kind": "student", "group": "dskd base-s", "work": 1000, "seconds": 2.0}
    known = costs(graph, FOUND, {"x": record})
    assert known[student.sha256].seconds == pytest.approx(0.002 * unknown[student.sha256].tokens)
    # Another algorithm's student was never made: a student's time is the best guess. A cache's is not.
    assert sum(cost.seconds is not None for cost in known.values()) == sum(each.kind == "student" for each in graph)
    resumed = costs(graph, FOUND, {"x": {**record, "resumed": True}})
    assert {cost.seconds for cost in resumed.values()} == {None}


def test_the_journal_tells_time_tokens_and_size(tmp_path: Path, calls: Path) -> None:
    graph = small_graph()
    make(tmp_path / "study", graph)
    with RecordStore(tmp_path / "study" / JOURNAL) as journal:
        records = records_of(journal)
    assert {record["status"] for record in records.values()} == {"done"}
    assert {record["tokens"] for record in records.values()} == {100}
    assert all(record["cpu_seconds"] > 0 and record["bytes"] > 0 for record in records.values())
    assert not any(record["resumed"] for record in records.values())
    assert json.loads((tmp_path / "study" / JOURNAL).read_text().splitlines()[0])["status"] == "begun"


def test_the_amount_of_data_counts_contexts_that_prompts_show_up_to_their_length() -> None:
    items = (Item("a", "Why?", ("yes",), context="x" * 100), Item("b", "Who?", ("the AMF", "AMF")))
    data = DataSet("facts", "train", items)
    assert amount_of(data) == Amount(2, 8, 10)
    assert amount_of(data, contexts=True) == Amount(2, 108, 10)
    assert amount_of(data, contexts=True, longest=10) == Amount(2, 44, 10)
