"""The demo: order of its commands, what it refuses, the story it tells. The slice of the study is stood in for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import install_command
from telbench.harness.cli import main as cli
from telbench.harness.datasets.items import DataSet
from telbench.kd.commands import demo
from telbench.kd.commands.demo import SliceRun
from telbench.kd.study.folder import JOURNAL
from telbench.kd.tiny.encoder import ContrastSettings, EncoderRecipe, EncoderShape

NAMES = ("base-student", "alone-student-seed0", "same-vanilla_kd-seed0", "sft-teacher-same")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, facts: DataSet) -> list[list[str]]:
    """A demo of a micro encoder on eight facts and of a slice that is stood in for; commands are kept, not run."""
    called: list[list[str]] = []

    def main(words: Sequence[str]) -> int:
        called.append(list(words))
        sys.stdout.write(f'{{"of": "{words[0]}"}}\n' if "--json" in words else f"table of {words[0]}\n")
        return 3 if words[0] == "check" else 0

    def make_slice(out: Path, reporter: object, **asked: Any) -> list[SliceRun]:
        called.append(["slice", *(f"{name}={value}" for name, value in sorted(asked.items()))])
        fresh = not (out / JOURNAL).exists()
        out.mkdir(parents=True, exist_ok=True)
        (out / JOURNAL).touch()
        # The one before the last is the best, and the first has no value.
        for place, name in enumerate(NAMES):
            (out / "runs" / name).mkdir(parents=True, exist_ok=True)
            value = None if not place else 0.9 if place == len(NAMES) - 2 else 0.5
            header = {"schema_version": 1, "metrics": {"token_f1": {"value": value}}}
            (out / "runs" / name / "run.json").write_text(json.dumps(header))
        return [SliceRun(name, f"{out}/store/{name}", f"{out}/runs/{name}", fresh) for name in NAMES]

    def encoder_recipe(training: ContrastSettings) -> EncoderRecipe:
        shape = EncoderShape(hidden=32, layers=1, heads=2, inner=48, window=64)
        return EncoderRecipe(shape, ContrastSettings(epochs=1, batch_size=8, seed=training.seed), vocabulary=400)

    monkeypatch.setattr(demo, "main", main)
    monkeypatch.setattr(demo, "make_slice", make_slice)
    monkeypatch.setattr(demo, "EncoderRecipe", encoder_recipe)
    monkeypatch.setattr("telbench.harness.datasets.loading.load_dataset", lambda name, split: facts)
    monkeypatch.setattr(demo, "usable_engine", lambda name: "vllm" if name == "auto" else name)
    return called


def test_it_makes_candidates_a_board_and_a_comparison_with_the_student_that_had_no_teacher(
    commands: list[list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert cli.main(["demo", "--out", str(out), "--json"]) == 0
    made, board, compare, *checks, again = commands
    assert [made[0], board[0], compare[0], again[0]] == ["slice", "leaderboard", "compare", "compare"]
    assert {"engine=vllm", "metrics=ngram,embedding", "seed=0", f"encoder={out / 'demo-encoder'}"} <= set(made)
    assert (out / "demo-encoder" / "modules.json").is_file()
    runs = [f"{out}/study/runs/{name}" for name in NAMES]
    assert board[1:6] == ["build", *runs]
    assert board[board.index("--baseline") + 1] == runs[1]
    assert compare[1:] == [runs[1], runs[0], *runs[2:], "--primary", "token_f1", "--wide"]
    # The best student that had a teacher, then the one that was taught nothing; as text and as a document.
    held = [runs[2], runs[2], runs[0], runs[0]]
    assert [(words[0], words[words.index("--candidate") + 1]) for words in checks] == [("check", run) for run in held]
    tables = (out / "tables.txt").read_text()
    assert tables.startswith(f"$ telbench compare {runs[1]} ")
    assert tables.count("\ntable of ") == 3
    printed = capfd.readouterr()
    assert "a demonstration encoder" in printed.err
    assert "table of" not in printed.err


def test_a_second_time_makes_nothing_and_fresh_makes_all_anew(
    commands: list[list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "--out", str(tmp_path), "--json"]
    made = []
    for more in ([], [], ["--fresh"]):
        assert cli.main([*words, *more]) == 0
        document = json.loads(capfd.readouterr().out)
        made.append([*(one["made_now"] for one in document["checkpoints"]), document["encoder"]["trained_now"]])
    assert made == [[True] * 5, [False] * 5, [True] * 5]


def test_fresh_leaves_a_folder_that_is_no_study_alone(commands: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "thesis.txt").write_text("mine")
    assert cli.main(["demo", "--out", str(tmp_path), "--fresh", "--json"]) == 0
    assert (tmp_path / "study" / "thesis.txt").read_text() == "mine"


def test_json_is_one_document_with_the_comparison_inside(
    commands: list[list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--out", str(tmp_path), "--json", "--engine", "transformers"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["comparison"] == {"of": "compare"}
    assert document["gates"] == [{"of": "check"}] * 2
    assert (document["board"], document["tables"]) == (str(tmp_path / "board"), str(tmp_path / "tables.txt"))
    # Every metric, not only the one that the story is told with.
    assert "--metrics" not in commands[-1]
    assert [one["name"] for one in document["checkpoints"]] == list(NAMES)
    assert "engine=transformers" in commands[0]


def test_a_command_that_fails_ends_the_demo_with_its_exit_code(
    commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "main", lambda words: commands.append(list(words)) or 5)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 5
    assert [words[0] for words in commands] == ["slice", "leaderboard"]


def test_out_that_is_a_file_is_refused_before_training(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    assert cli.main(["demo", "--out", str(file), "--engine", "transformers"]) == 2
    assert "is a file: --out takes a folder" in capfd.readouterr().err


def test_out_below_a_file_is_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    assert cli.main(["demo", "--out", str(file / "below"), "--engine", "transformers"]) == 2
    message = capfd.readouterr().err
    assert "cannot write in" in message
    assert message.count("\n") == 1


def test_a_missing_package_is_said_with_the_command_that_installs_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 2
    assert install_command("hf") in capfd.readouterr().err
