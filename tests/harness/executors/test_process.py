"""One task as a process: its log, its place, its claim, and its end with the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.executors.contract import Task
from telbench.harness.executors.local import LocalExecutor
from telbench.harness.executors.process import Process, run_to_end
from telbench.harness.storage import waiting_lock

# Tells when it begins and when it ends, each in a line of the file that it is given.
CLAIMED = """
import sys, time
from pathlib import Path
from telbench.harness.executors.process import claimed, die_with_parent
die_with_parent()
with claimed():
    for word in ("begun", "ended"):
        with Path(sys.argv[1]).open("a") as told:
            told.write(word + "\\n")
        time.sleep(0.5 if word == "begun" else 0)
"""


def task(tmp_path: Path, code: str, *words: str, claim: Path | None = None) -> Task:
    return Task("t", words, tmp_path / "log", claim, program=(sys.executable, "-c", code))


def test_a_task_runs_in_its_folder_and_environment_and_tells_its_end(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    code = "import os, sys; print(os.getcwd(), os.environ['TELBENCH_X'], sys.argv[1:]); sys.exit(3)"
    asked = Task(
        "t", ("a", "b"), Path("log"), None, tmp_path / "there", {"TELBENCH_X": "7"}, (sys.executable, "-c", code)
    )
    ended = run_to_end(asked)
    assert (ended.code, ended.lost) == (3, False)
    assert ended.place == os.uname().nodename
    assert ended.seconds > 0 < ended.cpu_seconds
    said = (tmp_path / "there" / "log").read_text().splitlines()
    assert said == ["$ telbench a b", f"{tmp_path / 'there'} 7 ['a', 'b']"]


def test_a_machine_without_the_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must share the folders"):
        run_to_end(Task("t", (), Path("log"), folder=tmp_path / "nowhere"))


def test_a_killed_task_is_lost_and_a_failed_one_is_not(tmp_path: Path) -> None:
    running = Process(task(tmp_path, "import time; time.sleep(60)"))
    running.kill()
    while (ended := running.ended()) is None:
        time.sleep(0.01)
    assert (ended.code, ended.lost) == (-signal.SIGKILL, True)
    assert running.ended() == ended


def test_two_tasks_with_one_claim_never_run_at_once(tmp_path: Path) -> None:
    told, claim = tmp_path / "told", tmp_path / "claim"
    executor = LocalExecutor([{}] * 2)
    running = executor.start([task(tmp_path, CLAIMED, str(told), claim=claim)] * 2)
    while any(each.ended() is None for each in running):
        time.sleep(0.01)
    assert [ended.code for each in running if (ended := each.ended()) is not None] == [0, 0]
    assert told.read_text().split() == ["begun", "ended", "begun", "ended"]
    assert "another process holds" in (tmp_path / "log").read_text()


def test_the_claim_of_a_killed_task_is_free(tmp_path: Path) -> None:
    told, claim = tmp_path / "told", tmp_path / "claim"
    first = Process(task(tmp_path, CLAIMED, str(told), claim=claim))
    while not told.exists():
        time.sleep(0.01)
    first.kill()
    assert run_to_end(task(tmp_path, CLAIMED, str(told), claim=claim)).code == 0
    assert told.read_text().split() == ["begun", "begun", "ended"]


def test_a_task_ends_with_the_process_that_waits_for_it(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
import sys
from telbench.harness.executors.contract import Task
from telbench.harness.executors.process import run_to_end
program = (sys.executable, "-c", {CLAIMED!r})
run_to_end(Task("t", ({str(tmp_path / "told")!r},), Path({str(tmp_path / "log")!r}), program=program))
"""
    parent = subprocess.Popen([sys.executable, "-c", program])
    until = time.monotonic() + 60
    while not (tmp_path / "told").exists() and time.monotonic() < until:
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    time.sleep(1)
    assert (tmp_path / "told").read_text() == "begun\n"


def test_telbench_itself_waits_for_its_claim(tmp_path: Path) -> None:
    asked = Task("t", ("plugins", "--json"), tmp_path / "log", tmp_path / "claim")
    with waiting_lock(tmp_path / "claim"):
        running = Process(asked)
        until = time.monotonic() + 60
        while "waiting until it has ended" not in (tmp_path / "log").read_text() and time.monotonic() < until:
            time.sleep(0.05)
        assert running.ended() is None
        assert '"plugins"' not in (tmp_path / "log").read_text()
    while (ended := running.ended()) is None:
        time.sleep(0.05)
    assert ended.code == 0
    assert '"plugins"' in (tmp_path / "log").read_text()
    # A claim is no trace: nothing of it stays.
    assert not (tmp_path / "claim").exists()


def test_a_task_whose_parent_had_ended_before_it_began_does_nothing(tmp_path: Path) -> None:
    orphan = {**os.environ, "TELBENCH_PARENT_PID": "1"}
    ended = subprocess.run([sys.executable, "-c", CLAIMED, str(tmp_path / "told")], env=orphan)
    assert ended.returncode == 1
    assert not (tmp_path / "told").exists()
