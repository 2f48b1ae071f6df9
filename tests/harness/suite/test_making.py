"""Entries made by an executor that does as a test says: what is lost, what fails, and what is found again."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.executors.contract import Ended, Running, Task
from telbench.harness.fleet.entries import read_entries
from telbench.harness.storage import RecordStore
from telbench.harness.suite.checking import Checked
from telbench.harness.suite.entries import Entry
from telbench.harness.suite.folder import TOLD, Standing, SuiteFolder
from telbench.harness.suite.making import SuiteRun

from ...scripted_engine import NotedReporter

HEADER = {"run_id": "r", "schema_version": 1, "data": {"n": 2}, "counts": {"error": 0}, "metrics": {}, "model": {}}
Act = Callable[[list[Path]], int]


class Scripted:
    """Runs each task at once, as the next act of the script says: it gets the run folders and gives an exit code."""

    places = 1
    notes = ("a note",)

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.given: list[list[str]] = []
        self.stopped = False

    def start(self, tasks: Sequence[Task]) -> list[Running]:
        return [self._run(task) for task in tasks]

    def _run(self, task: Task) -> Running:
        entries = read_entries(Path(task.words[-1]))
        self.given.append([each.label for each in entries])
        for each in entries:
            each.out.mkdir(parents=True, exist_ok=True)
        return AtOnce(Ended(self.acts.pop(0)([each.out for each in entries]), 1.0, 1.0))

    def find(self, handle: Mapping[str, str]) -> Running | None:
        return None

    def close(self) -> None:
        pass


class AtOnce:
    handle: Mapping[str, str] = {}

    def __init__(self, ended: Ended) -> None:
        self._ended = ended

    def ended(self) -> Ended | None:
        return self._ended

    def interrupt(self) -> None:
        pass

    def kill(self) -> None:
        pass


def finish(folder: Path, **more: Any) -> None:
    (folder / "run.json").write_text(json.dumps({**HEADER, **more}))


def makes(count: int, code: int = 0) -> Act:
    """The first ``count`` of its entries are made."""

    def act(folders: list[Path]) -> int:
        for folder in folders[:count]:
            finish(folder)
        return code

    return act


def suite(tmp_path: Path, executor: Any, names: str = "abc", tries: int = 1) -> tuple[SuiteRun, SuiteFolder]:
    folder = SuiteFolder(tmp_path / "suite")
    folder.create()
    entries = [Entry(name, "telequad", "", {"model": name}) for name in names]
    checked = [Checked(entry, 2, 1, 8, "one", "telequad") for entry in entries]
    return SuiteRun(checked, folder, NotedReporter(), executor, tries), folder


def states(standings: Mapping[str, Standing]) -> str:
    return " ".join(f"{label[0]}:{each.state}" for label, each in standings.items())


def heard(entry: Entry, before: Standing, after: Standing) -> None:
    pass


def test_all_entries_are_given_to_one_process_and_found_made_later(tmp_path: Path) -> None:
    executor = Scripted(makes(3))
    run, _ = suite(tmp_path, executor)
    assert states(run.make(heard)) == "a:done b:done c:done"
    again, _ = suite(tmp_path, executor)
    assert states(again.make(heard)) == "a:done b:done c:done"
    assert executor.given == [["a-telequad", "b-telequad", "c-telequad"]]


def test_what_a_killed_process_left_is_given_again(tmp_path: Path) -> None:
    executor = Scripted(makes(1, -signal.SIGKILL), makes(2))
    run, _ = suite(tmp_path, executor, tries=2)
    assert states(run.make(heard)) == "a:done b:done c:done"
    assert [len(labels) for labels in executor.given] == [3, 2]


def test_an_entry_that_ends_its_process_every_time_does_not_stop_the_others(tmp_path: Path) -> None:
    crash = -signal.SIGSEGV
    executor = Scripted(makes(1, crash), makes(0, crash), makes(1))
    run, _ = suite(tmp_path, executor)
    standings = run.make(heard)
    assert states(standings) == "a:done b:failed c:done"
    assert "killed by signal 11" in standings["b-telequad"].reason
    assert standings["b-telequad"].code == 5


def test_a_process_that_is_always_killed_is_given_up_entry_by_entry(tmp_path: Path) -> None:
    executor = Scripted(*[makes(0, -signal.SIGKILL)] * 6)
    run, _ = suite(tmp_path, executor, names="ab", tries=3)
    assert states(run.make(heard)) == "a:failed b:failed"
    assert [len(labels) for labels in executor.given] == [2, 2, 2, 1]


def test_a_failure_is_told_by_its_entry_and_tried_again_next_time(tmp_path: Path) -> None:
    def act(folders: list[Path]) -> int:
        finish(folders[0])
        failures = tmp_path / "suite" / "failures"
        (failures / f"{folders[1].name}.json").write_text(json.dumps({"code": 2, "reason": "no such layer"}))
        return 2

    executor = Scripted(act, makes(1))
    run, _ = suite(tmp_path, executor, names="ab")
    standings = run.make(heard)
    assert (standings["b-telequad"].reason, standings["b-telequad"].code) == ("no such layer", 2)
    again, _ = suite(tmp_path, executor, names="ab")
    assert states(again.make(heard)) == "a:done b:done"
    assert executor.given[1] == ["b-telequad"]


def test_a_run_with_failed_prompts_is_made_again(tmp_path: Path) -> None:
    executor = Scripted(makes(1), makes(1))
    run, folder = suite(tmp_path, executor, names="a")
    run.make(heard)
    (made,) = (folder.root / "runs").iterdir()
    finish(made, counts={"error": 1})
    again, _ = suite(tmp_path, executor, names="a")
    header = again.make(heard)["a-telequad"].header
    assert header is not None
    assert header["counts"] == {"error": 0}
    assert len(executor.given) == 2


def test_a_job_that_outlived_its_suite_is_waited_for(tmp_path: Path) -> None:
    class Queue(Scripted):
        def find(self, handle: Mapping[str, str]) -> Running | None:
            assert handle == {"job": "7"}
            finish(made)
            return AtOnce(Ended(0, 1.0, 1.0))

    run, folder = suite(tmp_path, executor := Queue(makes(1)), names="ab")
    made = folder.root / "runs" / Entry("a", "telequad", "", {"model": "a"}).folder
    made.mkdir()
    with RecordStore(folder.root / TOLD) as journal:
        journal.put("all", {"status": "begun", "handle": {"job": "7"}, "entries": [made.name]})
    assert states(run.make(heard)) == "a:done b:done"
    assert executor.given == [["b-telequad"]]


def test_standings_are_read_from_what_a_run_leaves(tmp_path: Path) -> None:
    _, folder = suite(tmp_path, Scripted(), names="a")
    entry = Entry("a", "telequad", "", {"model": "a"})
    assert folder.standing(entry).state == "waiting"
    made = folder.run(entry)
    made.mkdir()
    (made / "run.partial.json").write_text(json.dumps(HEADER))
    (made / "completions.jsonl").write_text('{"key": "engine"}\n{"key": "one"}\n{"key": ')
    assert (folder.standing(entry).state, folder.standing(entry).made) == ("answering", 1)
    with (made / "completions.jsonl").open("a") as stream:
        stream.write('"two"}\n')
    assert folder.standing(entry).state == "scoring"
    (made / "judgements.jsonl").write_text("{}\n")
    assert (folder.standing(entry).state, folder.standing(entry).made) == ("judging", 1)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Exception, match="holds no suite"):
        SuiteFolder(tmp_path).create()
