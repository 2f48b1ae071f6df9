"""``telbench suite`` as a user calls it: a dry run, a whole suite with boards, kills in the midst, and bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main
from telbench.harness.loggers import contract
from telbench.harness.loggers import settings as shown_settings
from telbench.harness.loggers.contract import LoggedRun, LoggerSpec
from telbench.harness.runs.folder import read_run
from telbench.harness.runs.settings import eval_settings

from ...scripted_engine import run as evaluated
from ...scripted_engine import write_items
from ...scripted_server import ScriptedServer, Step, completion_body, echo

COUNT = 8


@pytest.fixture
def served(tmp_path: Path, scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite of two models on two sets, answered by a server; every model's answers are its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    write_items(tmp_path / "one.jsonl", COUNT)
    write_items(tmp_path / "two.jsonl", COUNT - 2)
    scripted_server.script = lambda _, asked: Step(body=completion_body(f"answer of {asked['model']}"))
    file = tmp_path / "served.yaml"
    file.write_text(
        "models: {m1: m1, m2: m2}\n"
        "data: {one: one.jsonl, two: two.jsonl}\n"
        f"settings: {{engine: openai, base_url: '{scripted_server.base_url}', metrics: [token_f1], max_tokens: 8, "
        "max_in_flight: 1, cache: false}\n"
    )
    return file


def started(file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "telbench", "suite", str(file)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def test_a_dry_run_makes_nothing_and_asks_nothing(
    served: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suite", str(served), "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["estimate"]["left"] == 4
    assert told["estimate"]["answers"] == 2 * (2 * COUNT - 2)
    assert [entry["state"] for entry in told["entries"]] == ["waiting"] * 4
    assert not (served.parent / "suites").exists()
    assert scripted_server.requests == []
    assert main(["suite", str(served), "--dry-run"]) == 0
    assert "4 of 4 entries to make: 28 answers" in capsys.readouterr().out


def test_a_suite_makes_the_runs_of_single_commands_and_boards(
    served: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suite", str(served), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["state"] for entry in told["entries"]] == ["done"] * 4
    assert len(scripted_server.requests) == 2 * (2 * COUNT - 2)
    for entry in told["entries"]:
        file = served.parent / "suites" / "served" / "entries" / f"{Path(entry['path']).name}.json"
        asked = json.loads(file.read_text())
        alone = evaluated(eval_settings(**asked, out=served.parent / "alone" / entry["label"]))
        assert alone.header["run_id"] == read_run(Path(entry["path"]))["run_id"]
        assert (alone.path / "samples.jsonl").read_bytes() == (Path(entry["path"]) / "samples.jsonl").read_bytes()
    # One board of both sets: its first page has them as columns.
    assert {Path(path).name for path in told["boards"].values()} == {"board"}
    page = (served.parent / "suites" / "served" / "board" / "index.html").read_text()
    assert all(each in page for each in ("All data sets", "one", "two", "m1", "m2"))
    # What is there is not asked again, and the comparison says who is ahead over both sets.
    count = len(scripted_server.requests)
    assert main(["suite", str(served)]) == 0
    assert len(scripted_server.requests) == count
    printed = capsys.readouterr().out
    assert "m2" in printed
    assert printed.count("board: ") == 1


def test_each_way_of_asking_has_a_board_of_its_own_and_one_that_cannot_be_built_is_a_line(
    served: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served.write_text(served.read_text() + "prompts: {plain: {}, 'in one word': {instruction: Answer in one word.}}\n")
    assert main(["suite", str(served), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    root = served.parent / "suites" / "served" / "boards"
    assert told["boards"] == {"plain": str(root / "plain"), "in one word": str(root / "in_one_word")}
    assert all(len(list(Path(path).glob("sets/*/index.html"))) == 2 for path in told["boards"].values())
    served.write_text(served.read_text() + "primary: [exact_match]\nweights: one=1,three=2\n")
    assert main(["suite", str(served)]) == 0
    assert "no board of plain: --weights one=1,three=2: there is no data set 'three'" in capsys.readouterr().err


def test_the_runs_and_the_board_of_a_suite_are_shown_in_loggers(
    served: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[tuple[str, bool]] = []

    class Kept:
        def __init__(self, run: LoggedRun) -> None:
            self.run = run

        def scalars(self, step: int, values: object) -> None:
            shown.append((self.run.name, not values))

        def close(self, *, finished: bool) -> None:
            assert finished

    for module in (contract, shown_settings):
        monkeypatch.setattr(module, "logger_named", lambda name: LoggerSpec(name, "json", Kept))
    assert main(["suite", str(served), "--log", "kept"]) == 0
    runs = {path.name for path in (served.parent / "suites" / "served" / "runs").iterdir()}
    # A board has no numbers of its own.
    assert sorted(shown) == sorted([*((name, False) for name in runs), ("board", True)])
    told = capsys.readouterr().err
    assert "--log kept shows the numbers of board alone: it has no method 'result' for the rest" in told
    served.write_text(served.read_text().replace("settings: {", "settings: {log: kept, "))
    assert main(["suite", str(served)]) == 2
    assert "log (line 3) is decided by the suite: it is a flag of telbench suite" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 5, 11, 20])
def test_a_killed_suite_goes_on_and_asks_nothing_twice(
    served: Path, scripted_server: ScriptedServer, after: int
) -> None:
    def script(_: int, asked: dict[str, Any]) -> Step:
        return Step(body=completion_body(f"answer of {asked['model']}"), delay=0.05)

    scripted_server.script = script
    process = started(served)
    deadline = time.monotonic() + 120
    while len(scripted_server.requests) <= after and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # Its child ends with it.
    time.sleep(1)
    asked = len(scripted_server.requests)
    time.sleep(1)
    assert len(scripted_server.requests) == asked
    assert main(["suite", str(served)]) == 0
    # The one that was on its way when the process died is asked again.
    assert len(scripted_server.requests) - 2 * (2 * COUNT - 2) in (0, 1)
    runs = served.parent / "suites" / "served" / "runs"
    assert [read_run(folder)["counts"]["ok"] for folder in sorted(runs.iterdir())] == [COUNT, COUNT - 2] * 2


def test_an_entry_that_fails_is_told_and_the_others_are_made(
    served: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(_: int, asked: dict[str, Any]) -> Step:
        if asked["model"] == "m1":
            return Step(404, b'{"error": {"message": "no model m1"}}')
        return echo(_, asked)

    scripted_server.script = script
    assert main(["suite", str(served)]) in (2, 5)
    told = capsys.readouterr()
    assert "FAILED m1-one" in told.err
    assert "Traceback" not in told.err
    made = (served.parent / "suites" / "served").glob("runs/*/run.json")
    assert sorted(file.parent.name[:6] for file in made) == ["m2-one", "m2-two"]


def test_answers_made_elsewhere_need_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_items(tmp_path / "one.jsonl", COUNT)
    for name in ("a", "b"):
        lines = (json.dumps({"id": f"q{place}", "prediction": name}) for place in range(COUNT))
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    (tmp_path / "s.yaml").write_text(
        "models: {a: {answers: a.jsonl}, b: {answers: b.jsonl}}\ndata: [one.jsonl]\n"
        "settings: {engine: replay, metrics: [token_f1]}\n"
    )
    assert main(["suite", "s.yaml", "--out", "made"]) == 0
    assert "token_f1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("m1: m1", "m1: {model: m1, temprature: 1}"), "unknown key 'temprature'"),
        (("one.jsonl", "none.jsonl"), "m1-one: "),
        (("engine: openai", "engine: opnai"), "m1-one: "),
        (("engine: openai", "engine: transformers, base: ''"), "m1-one: "),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_made(
    served: Path, change: tuple[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    served.write_text(served.read_text().replace(*change))
    assert main(["suite", str(served)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert told in lines[-1]
    assert "served.yaml" in lines[-1]
    assert not (served.parent / "suites").exists()


def test_a_folder_that_holds_something_else_is_left_alone(served: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (served.parent / "mine").mkdir()
    (served.parent / "mine" / "notes.txt").write_text("mine")
    assert main(["suite", str(served), "--out", "mine"]) == 2
    assert "holds no suite" in capsys.readouterr().err
    assert [each.name for each in (served.parent / "mine").iterdir()] == ["notes.txt"]
