"""A third party's logger and executor, each by the command line's own settings."""

from __future__ import annotations

import sys
from pathlib import Path

from telbench.config import read_settings
from telbench.harness.executors.contract import Task
from telbench.harness.executors.settings import PlaceSettings
from telbench.harness.loggers.contract import LoggedRun, Logs, Result


def test_a_third_partys_executor_runs_tasks_by_name(installed_plugins: Path, tmp_path: Path) -> None:
    given = {"executor": "backwards", "executor_options": {"width": "3"}}
    executor = read_settings(PlaceSettings, given, "where").opened(tmp_path / "jobs")
    assert executor.places == 3
    program = (sys.executable, "-c", "import sys; sys.exit(int(sys.argv[1]))")
    tasks = [Task(code, (code,), tmp_path / f"{code}.log", program=program) for code in ("0", "3")]
    running = executor.start(tasks)
    while any(each.ended() is None for each in running):
        pass
    assert [ended.code for each in running if (ended := each.ended()) is not None] == [0, 3]
    executor.close()


def test_a_third_partys_logger_is_shown_every_number(installed_plugins: Path, tmp_path: Path) -> None:
    logs = Logs(["csv"], LoggedRun("made", tmp_path, "0" * 64))
    logs.record({"step": 1, "epoch": 0, "loss": 2.5, "tokens": 7, "seconds": 0.1})
    logs.record({"step": 1, "dev_loss": 3.0})
    # It was written before finished runs were shown, and has no method for them.
    assert logs.result(Result({"run/token_f1": 0.5}, {"run_id": "x"})) == ["csv"]
    logs.close(finished=True)
    lines = (tmp_path / "csv" / "made.csv").read_text().splitlines()
    assert lines == ["1,training/loss,2.5", "1,training/dev_loss,3.0", "1,run/token_f1,0.5"]
