"""Runs of other harnesses and files of answers beside telbench's own."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.leaderboard.runs.inspect_logs import read_inspect
from telbench.leaderboard.runs.lm_eval_logs import read_lm_eval
from telbench.leaderboard.runs.sources import open_runs


def lm_eval_row(document: int, value: float, **more: Any) -> dict[str, Any]:
    """A line as lm-eval writes it with --log_samples."""
    return {
        "doc_id": document,
        "doc": {"question": f"q{document}"},
        "target": "B",
        "arguments": {"gen_args_0": {"arg_0": "...", "arg_1": {}}},
        "resps": [["B"]],
        "filtered_resps": ["B"],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": f"hash{document}",
        "acc": value,
        **more,
    }


def write_lm_eval(folder: Path, values: list[float], **more: Any) -> Path:
    folder.mkdir()
    path = folder / "samples_teleqna_2026-01-01T00-00-00.jsonl"
    path.write_text("".join(json.dumps(lm_eval_row(i, value, **more)) + "\n" for i, value in enumerate(values)))
    return path


def inspect_log(values: list[list[str]]) -> dict[str, Any]:
    """A log of inspect, version 2, with the grades of each sample's epochs."""
    return {
        "version": 2,
        "status": "success",
        "eval": {"task": "teleqna", "model": "hf/student", "dataset": {"name": "teleqna"}},
        "samples": [
            {"id": i, "epoch": epoch, "input": f"q{i}", "target": "A", "scores": {"choice": {"value": grade}}}
            for i, grades in enumerate(values)
            for epoch, grade in enumerate(grades, start=1)
        ],
    }


def test_two_lm_eval_logs_are_compared_by_document(tmp_path, capsys):
    one = write_lm_eval(tmp_path / "one", [0.0, 0.0, 1.0] * 20)
    two = write_lm_eval(tmp_path / "two", [1.0, 0.0, 1.0] * 20)
    assert main(["compare", str(one), str(two), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = document["runs"][1]["difference"]["acc"]
    assert (found["delta"], found["items"]["wins"], found["verdict"]) == (pytest.approx(1 / 3), 20, "better")
    assert document["runs"][0]["name"] == "one"


def test_the_order_of_lines_does_not_matter_and_other_documents_are_refused(tmp_path, capsys):
    one = write_lm_eval(tmp_path / "one", [0.0, 1.0, 1.0])
    two = write_lm_eval(tmp_path / "two", [0.0, 1.0, 1.0])
    two.write_text("".join(reversed(two.read_text().splitlines(keepends=True))))
    assert read_lm_eval(one).header["data"] == read_lm_eval(two).header["data"]
    other = write_lm_eval(tmp_path / "other", [0.0, 1.0, 1.0], doc_hash="changed")
    assert main(["compare", str(one), str(other)]) == 4


def test_filters_of_one_document_are_metrics_of_their_own(tmp_path):
    path = write_lm_eval(tmp_path / "one", [0.0])
    path.write_text(path.read_text() + json.dumps(lm_eval_row(0, 1.0, filter="strict")) + "\n")
    assert set(read_lm_eval(path).scores) == {"acc@none", "acc@strict"}


def test_metrics_that_are_better_lower_are_known_by_their_names(tmp_path):
    path = tmp_path / "samples_x_1.jsonl"
    path.write_text(json.dumps(lm_eval_row(0, 0.0, metrics=["word_perplexity"], word_perplexity=9.5)) + "\n")
    assert read_lm_eval(path).header["metrics"]["word_perplexity"]["higher_is_better"] is False


@pytest.mark.parametrize("kind", ["json", "eval"])
def test_inspect_logs_are_read_epochs_averaged(tmp_path, kind):
    log = inspect_log([["C", "I"], ["C", "C"], ["I", "N"]])
    path = tmp_path / f"log.{kind}"
    if kind == "json":
        path.write_text(json.dumps(log))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("header.json", json.dumps({key: log[key] for key in ("version", "status", "eval")}))
            for number, sample in enumerate(log["samples"]):
                archive.writestr(f"samples/{number}.json", json.dumps(sample))
    run = read_inspect(path)
    assert [score.value for score in run.scores["choice"].values()] == [0.5, 1.0, 0.0]
    assert run.name == "hf/student"


def test_an_unscored_sample_is_missing_and_not_zero(tmp_path):
    log = inspect_log([["C"], ["C"]])
    log["samples"][1]["scores"] = {}
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log))
    scores = read_inspect(path).scores["choice"]
    assert (scores["1"].value, scores["1"].reason) == (None, "unscored in the log")


def test_answers_are_scored_against_the_references_of_the_run_beside_them(tmp_path, capsys):
    data, base, answers = (tmp_path / name for name in ("data.jsonl", "base.jsonl", "mine.csv"))
    items = [{"id": f"i{i}", "question": "?", "references": [f"answer {i}"]} for i in range(30)]
    data.write_text("".join(json.dumps(item) + "\n" for item in items))
    base.write_text("".join(json.dumps({"id": f"i{i}", "prediction": "no"}) + "\n" for i in range(30)))
    words = ["--data", str(data), "--metrics", "token_f1,bleu", "--out", str(tmp_path / "run")]
    assert main(["score", str(base), *words]) == 0
    answers.write_text("id,prediction\n" + "".join(f"i{i},answer {i}\n" for i in range(30)))
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "run"), str(answers), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["runs"][1]["difference"]["token_f1"]
    assert (found["delta"], found["n"], found["verdict"]) == (1.0, 30, "better")
    assert main(["compare", str(answers), str(answers)]) == 2
    assert "name a run folder too" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("samples_a.jsonl", '{"metrics": ["acc"], "resps": []}\n', "line 1: no sample of lm-eval"),
        ("samples_a.jsonl", '{"doc_id": 1, "metrics": ["acc"], "acc": 1}\n{', "line 2 is not JSON"),
        ("log.json", '{"eval": 3}', "is no inspect log"),
        ("log.eval", "not a zip", "cannot be read as an inspect log"),
        ("run.yaml", "a: 1", "is no run"),
    ],
)
def test_what_is_no_run_is_told_in_one_line(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        open_runs([path])
    assert "\n" not in str(caught.value)
