"""``telbench data subset`` from run folders to a file that ``telbench eval`` takes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from telbench.harness.cli.main import main
from telbench.harness.cli.terminal import Reporter
from telbench.harness.datasets.loading import load_dataset
from telbench.harness.engines.contract import Request
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.settings import eval_settings

from ...scripted_engine import NotedReporter, Script, use, write_items

N = 120


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    script = Script()
    use(monkeypatch, script)
    data = write_items(tmp_path / "data.jsonl", N)
    hardness = np.random.default_rng(0).random(N)
    made = []
    for number, ability in enumerate((0.2, 0.4, 0.6, 0.8, 0.9)):

        def answer(request: Request, ability: float = ability) -> str:
            return f"answer to {request.item_id}" if hardness[int(request.item_id[1:])] < ability else "no idea"

        script.answer = answer
        settings = eval_settings(
            model=f"m{number}", data=str(data), metrics=("exact_match",), out=tmp_path / f"m{number}"
        )
        made.append(str(evaluate(settings, NotedReporter()).path))
    return made


def test_the_file_holds_whole_items_that_eval_takes(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "part.jsonl"
    assert main(["data", "subset", *runs, "--n", "30", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "30 of 120 items" in told
    assert "chosen: exact_match off by" in told
    whole = {item.id: item for item in load_dataset(str(tmp_path / "data.jsonl")).items}
    part = load_dataset(str(out)).items
    assert len(part) == 30
    for item in part:
        assert (item.question, item.references, item.context, item.source_document) == (
            whole[item.id].question,
            whole[item.id].references,
            whole[item.id].context,
            whole[item.id].source_document,
        )
    run = evaluate(
        eval_settings(model="new", data=str(out), metrics=("exact_match",), out=tmp_path / "new"), Reporter()
    )
    assert run.header["data"]["n"] == 30


def test_the_same_runs_and_seed_give_the_same_file(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, third = (tmp_path / name for name in ("one.jsonl", "other.jsonl", "third.jsonl"))
    for path, seed in ((one, "0"), (other, "0"), (third, "1")):
        assert main(["data", "subset", *runs, "--n", "30", "--out", str(path), "--seed", seed, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["items"] == 30
        assert set(found["left_out"]) == {"chosen", "random"}
    assert one.read_bytes() == other.read_bytes() != third.read_bytes()


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (lambda runs, folder: [*runs[:3], "--n", "30"], 2, "3 runs cannot tell"),
        (lambda runs, folder: [*runs, "--n", "120"], 2, "the runs have 120 items: give fewer"),
        (lambda runs, folder: [*runs, "--n", "30", "--primary", "bleu"], 2, "'bleu' is not in all runs"),
        (lambda runs, folder: [*runs, str(folder / "nowhere"), "--n", "30"], 2, "no run in"),
        (lambda runs, folder: runs, 2, "required: --n"),
    ],
)
def test_what_cannot_be_is_one_line(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], change, code: int, line: str
) -> None:
    assert main(["data", "subset", *change(runs, tmp_path), "--out", str(tmp_path / "part.jsonl")]) == code
    assert line in capsys.readouterr().err
    assert not (tmp_path / "part.jsonl").exists()


def test_a_file_that_is_there_and_data_that_changed_are_refused(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "part.jsonl"
    out.write_text("mine")
    words = ["data", "subset", *runs, "--n", "30", "--out", str(out)]
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main([*words, "--force"]) == 0
    write_items(tmp_path / "data.jsonl", N - 1)
    assert main([*words, "--force"]) == 2
    assert "is not what" in capsys.readouterr().err
