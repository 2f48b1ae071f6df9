"""A study in a logger: trainings are told where to show themselves, finished runs are shown, hashes do not change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import telbench
from telbench.config import read_settings
from telbench.harness.cli.terminal import Reporter
from telbench.harness.loggers import contract, settings
from telbench.harness.loggers.contract import LoggedRun, LoggerSpec, Result
from telbench.kd.settings import TrainingSettings
from telbench.kd.study.folder import StudyFolder
from telbench.kd.study.graph import Sources, build_graph
from telbench.kd.study.settings import StudySettings
from telbench.kd.study.showing import Shown

SETTINGS = {
    "name": "small",
    "models": {"student": {"both": "scratch:s"}, "teacher": {"both": "scratch:t"}},
    "scratch": {"s": {"hidden": 32, "heads": 2}, "t": {"hidden": 64}},
    "factors": {"vocabulary": ["same"], "algorithm": ["dskd"], "student_sft": [False]},
    "training": {"keeping": {"save_every": 5}},
    "anchors": [],
}


class Kept:
    """A logger that keeps what it is given."""

    def __init__(self, run: LoggedRun) -> None:
        self.run, self.result_shown, self.finished = run, Result({}), False

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        raise AssertionError("a finished run is no step")

    def result(self, result: Result) -> None:
        if "broken" in self.run.name:
            raise ValueError("no room")
        self.result_shown = result

    def close(self, *, finished: bool) -> None:
        self.finished = finished


def test_trainings_are_told_to_show_themselves_in_the_studys_folder(tmp_path: Path) -> None:
    graph = build_graph(read_settings(StudySettings, SETTINGS, "study"), Sources({}, "d", "e"))
    folder = StudyFolder(tmp_path, graph, Shown(["mlflow"], tmp_path / "shown", "small"))
    folder.create()
    for each in graph:
        folder.write_settings(each)
        told = json.loads(folder.settings_file(each).read_text())
        if each.kind in {"sft", "student"}:
            keeping = read_settings(TrainingSettings, told, each.label).keeping
            assert (keeping.log, keeping.log_dir, keeping.log_project) == (("mlflow",), tmp_path / "shown", "small")
            assert keeping.save_every == 5
            assert "log" not in each.settings["keeping"]
        else:
            assert "keeping" not in told
    StudyFolder(tmp_path, graph).write_settings(each := next(each for each in graph if each.kind == "sft"))
    assert "log" not in json.loads(folder.settings_file(each).read_text())["keeping"]


def test_a_finished_run_is_shown_with_its_intervals_and_a_broken_logger_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    opened: list[Kept] = []

    def open_kept(run: LoggedRun) -> Kept:
        opened.append(Kept(run))
        return opened[-1]

    for module in (contract, settings):
        monkeypatch.setattr(module, "logger_named", lambda name: LoggerSpec("kept", "json", open_kept))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answers.jsonl").write_text('{"id": "a", "prediction": "one"}\n{"id": "b", "prediction": "two"}\n')
    (tmp_path / "data.jsonl").write_text(
        '{"id": "a", "question": "?", "references": ["one"]}\n{"id": "b", "question": "!", "references": ["one"]}\n'
    )
    run = telbench.score("answers.jsonl", "data.jsonl", metrics="exact_match", factors={"algorithm": "dskd"}, out="run")
    graph = build_graph(read_settings(StudySettings, SETTINGS, "study"), Sources({}, "d", "e"))
    shown = Shown(["kept"], tmp_path / "shown", "small")
    runs: list[Any] = [each for each in graph if each.kind == "run"]
    capfd.readouterr()
    for each in graph:
        shown.show(each, run.path, Reporter())
    assert [one.run.name for one in opened] == [each.label for each in runs]
    first = opened[0]
    assert first.result_shown.values == {
        "run/exact_match": 0.5,
        "run/exact_match_ci_low": 0.0,
        "run/exact_match_ci_high": 1.0,
        "run/exact_match_n": 2.0,
    }
    assert first.finished
    assert (first.run.project, first.run.folder) == ("small", tmp_path / "shown")
    assert first.run.settings["factors"] == {"algorithm": "dskd"}
    assert capfd.readouterr().err == ""
    broken = type(runs[0])("broken", "run", {}, {}, "0" * 64)
    shown.show(broken, run.path, Reporter())
    assert "broken is not shown: --log kept failed (ValueError: no room)" in " ".join(capfd.readouterr().err.split())
    Shown((), tmp_path, "small").show(runs[0], run.path, Reporter())
    assert len(opened) == len(runs) + 1
