"""The demo: order of its commands, what it refuses, what it prints. Training and evaluation are stood in for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from telbench.harness import cli
from telbench.harness.items import DataSet
from telbench.kd import demo
from telbench.kd.encoder import EncoderShape
from telbench.kd.encoder_recipe import EncoderRecipe
from telbench.kd.encoder_training import ContrastSettings
from telbench.kd.recipe import Recipe


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, facts: DataSet, micro_recipe) -> list[list[str]]:
    """A demo of two micro models and a micro encoder on eight facts; the commands it calls are kept, not run."""
    called: list[list[str]] = []

    def main(words: Sequence[str]) -> int:
        called.append(list(words))
        sys.stdout.write('{"runs": 2}\n' if "--json" in words else f"table of {words[0]}\n")
        return 0

    def recipe(training) -> Recipe:
        return micro_recipe(epochs=min(training.epochs, 5) - 3, seed=training.seed)

    def encoder_recipe(training: ContrastSettings) -> EncoderRecipe:
        shape = EncoderShape(hidden=32, layers=1, heads=2, inner=48, window=64)
        return EncoderRecipe(shape, ContrastSettings(epochs=1, batch_size=8, seed=training.seed), vocabulary=400)

    monkeypatch.setattr(demo, "main", main)
    monkeypatch.setattr(demo, "Recipe", recipe)
    monkeypatch.setattr(demo, "EncoderRecipe", encoder_recipe)
    monkeypatch.setattr("telbench.harness.datasets.loading.load_dataset", lambda name, split: facts)
    monkeypatch.setattr(demo, "usable_engine", lambda name: "vllm" if name == "auto" else name)
    return called


def test_it_trains_two_evaluates_both_on_test_and_compares(
    commands: list[list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--out", str(tmp_path / "demo")]) == 0
    assert [words[0] for words in commands] == ["eval", "eval", "leaderboard", "compare"]
    for words in commands[:2]:
        assert words[words.index("--split") + 1] == "test"
        assert (Path(words[words.index("--model") + 1]) / "model.safetensors").is_file()
        assert (Path(words[words.index("--encoder") + 1]) / "modules.json").is_file()
        assert words[words.index("--metrics") + 1] == "ngram,embedding"
    runs = [words[words.index("--out") + 1] for words in commands[:2]]
    assert commands[2][:4] == ["leaderboard", "build", *runs]
    assert commands[3][1:] == runs
    printed = capfd.readouterr()
    assert "table of compare" in printed.out
    assert f"{tmp_path / 'demo' / 'board' / 'index.html'}  the board" in printed.out
    assert "table of eval" in printed.err
    assert "tiny-undertrained" in printed.out
    assert "a demonstration encoder" in printed.out
    assert "a demonstration encoder" in printed.err


def test_a_second_time_trains_nothing_and_another_seed_trains_anew(
    commands: list[list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "--out", str(tmp_path), "--json"]
    trained = []
    for more in ([], [], ["--seed", "1"], ["--seed", "1", "--fresh"]):
        assert cli.main([*words, *more]) == 0
        document = json.loads(capfd.readouterr().out)
        trained.append([one["trained_now"] for one in (*document["checkpoints"], document["encoder"])])
    assert trained == [[True] * 3, [False] * 3, [True] * 3, [True] * 3]
    assert ["--fresh" in words for words in commands if words[0] == "eval"] == [False] * 6 + [True] * 2
    runs = [words[words.index("--out") + 1] for words in commands if words[0] == "eval"]
    assert runs[:2] == runs[2:4]
    assert not set(runs[:2]) & set(runs[4:])


def test_json_is_one_document_with_the_comparison_inside(
    commands: list[list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--out", str(tmp_path), "--json", "--engine", "transformers"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["comparison"] == {"runs": 2}
    assert document["board"] == str(tmp_path / "board")
    assert [one["name"] for one in document["checkpoints"]] == ["tiny-undertrained", "tiny-trained"]
    assert commands[0][commands[0].index("--engine") + 1] == "transformers"


def test_an_evaluation_that_fails_ends_the_demo_with_its_exit_code(
    commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "main", lambda words: commands.append(list(words)) or 5)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 5
    assert [words[0] for words in commands] == ["eval"]


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
    assert "pip install 'telbench[hf]'" in capfd.readouterr().err
