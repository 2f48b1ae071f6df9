"""Jobs by submitit, as its processes on this machine: ended, failed, killed, and found again by their handles."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from telbench.harness.executors import slurm
from telbench.harness.executors.contract import Ended, Running, Task
from telbench.harness.executors.slurm import SlurmExecutor, SlurmOptions

pytest.importorskip("submitit", reason="submitit is not installed: the extra slurm brings it")
pytestmark = pytest.mark.slow


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmExecutor:
    monkeypatch.setattr(slurm, "GRACE_SECONDS", 1.0)
    return SlurmExecutor(SlurmOptions(cluster="local"), tmp_path / "jobs")


def task(tmp_path: Path, name: str, code: str) -> Task:
    return Task(name, (), tmp_path / f"{name}.log", program=(sys.executable, "-c", code))


def end_of(running: Running) -> Ended:
    until = time.monotonic() + 120
    while (ended := running.ended()) is None and time.monotonic() < until:
        time.sleep(0.1)
    assert ended is not None
    return ended


def test_an_array_of_jobs_tells_how_each_ended(tmp_path: Path, executor: SlurmExecutor) -> None:
    good, bad = executor.start(
        [task(tmp_path, "good", "print('made')"), task(tmp_path, "bad", "import sys; sys.exit(2)")]
    )
    assert (end_of(good).code, end_of(bad).code) == (0, 2)
    assert not end_of(bad).lost
    assert end_of(good).place == os.uname().nodename
    assert "made" in (tmp_path / "good.log").read_text()


def test_a_job_that_is_killed_is_lost(tmp_path: Path, executor: SlurmExecutor) -> None:
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getppid())); time.sleep(60)"
    (running,) = executor.start([task(tmp_path, "slow", code)])
    while not pid.exists() or not pid.read_text():
        time.sleep(0.05)
    # The process that waits for the command: what a machine that breaks down takes with it.
    os.kill(int(pid.read_text()), signal.SIGKILL)
    ended = end_of(running)
    assert ended.lost
    assert "without a word" in ended.why


def test_a_handle_finds_a_job_that_ended_meanwhile_and_tells_of_one_that_vanished(
    tmp_path: Path, executor: SlurmExecutor
) -> None:
    (running,) = executor.start([task(tmp_path, "quick", "print('made')")])
    end_of(running)
    again = SlurmExecutor(SlurmOptions(cluster="local"), tmp_path / "jobs").find(running.handle)
    assert again is not None
    assert end_of(again) == end_of(running)
    gone = executor.find({"job": "999999999", "report": str(tmp_path / "none.json")})
    assert gone is not None
    assert end_of(gone).lost
    assert executor.find({}) is None
