"""Logs become run folders that the schemas know and that compare, check and the board take."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import telbench
from telbench.harness.cli.main import main

from ..runs.logs import inspect_log, lm_eval_row, write_json, write_samples
from .conftest import exported

COUNT = 40
RUN, SAMPLE = (
    Draft202012Validator(json.loads((files("telbench.harness") / name).read_text(encoding="utf-8")))
    for name in ("run.schema.json", "sample.schema.json")
)


def lm_eval(folder: Path, name: str, right: int) -> Path:
    rows = [lm_eval_row(k, {"acc": float(k % 10 < right)}) for k in range(COUNT)]
    return write_samples(folder / name, "tele", rows)


def inspect(folder: Path, name: str, right: int) -> Path:
    values = {"match": [["C" if k % 10 < right else "I"] for k in range(COUNT)]}
    return write_json(folder / f"{name}.json", inspect_log(values))


def helm(folder: Path, name: str, right: int) -> Path:
    place = folder / name
    place.mkdir()
    write_json(place / "run_spec.json", {"name": "tele:model=m", "adapter_spec": {"model": f"org/{name}"}})
    instances = [
        {
            "id": f"i{k}",
            "input": {"text": f"q{k}"},
            "references": [{"output": {"text": "right"}, "tags": ["correct"]}],
            "split": "test",
        }
        for k in range(COUNT)
    ]
    states = [{"instance": each, "result": {"completions": [{"text": "said"}]}} for each in instances]
    write_json(place / "scenario_state.json", {"request_states": states})
    stats = [
        {
            "instance_id": f"i{k}",
            "train_trial_index": 0,
            "stats": [{"name": {"name": "exact_match"}, "count": 1, "mean": float(k % 10 < right)}],
        }
        for k in range(COUNT)
    ]
    (place / "per_instance_stats.json").write_text(json.dumps(stats))
    return place


def evalscope(folder: Path, name: str, right: int) -> Path:
    place = folder / name / "reviews" / name
    place.mkdir(parents=True)
    rows = [
        {
            "index": k,
            "input": f"q{k}",
            "target": "A",
            "sample_score": {
                "sample_id": k,
                "sample_metadata": {"subject": f"s{k // 2}"},
                "score": {"value": {"acc": float(k % 10 < right)}, "prediction": "A"},
            },
        }
        for k in range(COUNT)
    ]
    (place / "tele_default.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def scores(folder: Path, name: str, right: int) -> Path:
    rows = [{"id": f"i{k}", "question": f"q{k}", "prediction": "a", "acc": float(k % 10 < right)} for k in range(COUNT)]
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize("make", [lm_eval, inspect, helm, evalscope, scores])
def test_every_log_becomes_a_run_folder_that_all_readers_take(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = [make(tmp_path, name, right) for name, right in (("today", 9), ("worse", 3))]
    out = tmp_path / "runs"
    for log, name in zip(logs, ("today", "worse"), strict=True):
        assert main(["import", str(log), "--out", str(out), "--name", name]) == 0
    runs = sorted(out.iterdir())
    assert [telbench.Run.read(run).header["model"]["name"] for run in runs] == ["today", "worse"]
    for run in runs:
        assert list(RUN.iter_errors(json.loads((run / "run.json").read_text()))) == []
        samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
        assert [error.message for sample in samples for error in SAMPLE.iter_errors(sample)] == []
        assert len(samples) == COUNT
        assert samples[1]["question"]
    (name,) = telbench.Run.read(runs[0]).header["metrics"]
    assert telbench.Run.read(runs[0]).value(name) == pytest.approx(0.9, abs=1e-12)
    entry = telbench.Run.read(runs[0]).metric(name)
    assert entry["ci_low"] < 0.9 < entry["ci_high"]
    (found,) = telbench.compare(*runs)
    assert (found.verdict, found.delta) == ("worse", pytest.approx(-0.6))
    # The folder and the log that it was made of are the same run; a table of scores is for import alone.
    if make is not scores:
        (same,) = telbench.compare(runs[0], logs[0])
        assert same.verdict == "identical"
    assert telbench.check(runs[1], runs[0], {name: 0.05}, guardrails=False).verdict == "fail"
    page = telbench.board(runs, tmp_path / "site")
    assert name in page.read_text("utf-8")
    assert main(["baseline", "pin", str(runs[0]), "--out", str(tmp_path / "anchor.json")]) == 0
    assert telbench.compare(tmp_path / "anchor.json", runs[1])[0].verdict == "worse"
    capsys.readouterr()


def test_texts_come_along_where_the_log_has_them(tmp_path: Path) -> None:
    for make, answer, right in ((lm_eval, "-0.25", "B"), (helm, "said", "right"), (evalscope, "A", "A")):
        log = make(tmp_path, make.__name__, 5)
        assert main(["import", str(log), "--out", str(tmp_path / "runs" / make.__name__)]) == 0
        (run,) = (tmp_path / "runs" / make.__name__).iterdir()
        sample = telbench.Run.read(run).samples()[3]
        assert sample["question"].startswith("q3")
        assert (sample["prediction"], sample["references"]) == (answer, [right])


def test_the_same_log_is_found_imported_and_another_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words = str(tmp_path / "runs"), ["--name", "m", "--out", str(tmp_path / "runs")]
    assert main(["import", str(scores(tmp_path, "a", 5)), *words]) == 0
    (run,) = Path(out).iterdir()
    before = (run / "run.json").read_bytes()
    assert main(["import", str(tmp_path / "a.jsonl"), *words]) == 0
    assert (run / "run.json").read_bytes() == before
    assert "already there" in capsys.readouterr().err
    scores(tmp_path, "a", 6)
    assert main(["import", str(tmp_path / "a.jsonl"), *words]) == 2
    assert "holds another run" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "a.jsonl"), *words, "--fresh"]) == 0
    assert telbench.Run.read(run).value("acc") == pytest.approx(0.6)


def test_a_killed_import_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from telbench.harness.runs.folder import RunFolder

    log, out = scores(tmp_path, "a", 5), tmp_path / "runs"
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(["import", str(log), "--out", str(out)]) == 130
    (run,) = out.iterdir()
    with pytest.raises(telbench.InputError, match="is not finished"):
        telbench.Run.read(run)
    assert main(["import", str(log), "--out", str(out)]) == 0
    assert telbench.Run.read(run).value("acc") == 0.5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl is not there"),
        (["notes.txt"], "notes.txt is of no format that is imported (csv, eee, evalscope, helm, inspect, lm-eval)"),
        (["a.jsonl", "--from", "hell"], "--from hell: there are csv, eee"),
        (["a.jsonl", "--metrics", "ac"], "has no such metric: did you mean 'acc'?"),
        (["a.jsonl", "--higher-is-better", "glossary"], "--higher-is-better glossary: no log of another harness has"),
        (["glossary.jsonl"], "pass --higher-is-better glossary or --lower-is-better glossary"),
        (["a.jsonl", "--cluster", "doc"], "--cluster doc: no such column"),
        (["a.jsonl", "b.jsonl", "--name", "m"], "import them one by one, each with its --name"),
        (["a.jsonl", "nan.jsonl"], "no number"),
    ],
)
def test_what_is_no_log_is_refused_in_one_line_and_nothing_is_written(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scores(tmp_path, "a", 5)
    b = scores(tmp_path, "b", 6)
    b.write_text(b.read_text())
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "glossary.jsonl").write_text('{"id": "a", "glossary": 0.5}\n{"id": "b", "glossary": 0.7}\n')
    (tmp_path / "nan.jsonl").write_text('{"id": "a", "acc": "x"}\n')
    if words[:2] == ["a.jsonl", "b.jsonl"]:
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "a.jsonl").write_text(b.read_text())
        words = ["a.jsonl", "c/a.jsonl", *words[2:]]
    assert main(["import", *words]) == 2
    error = capsys.readouterr().err
    assert told in error or "is of no format" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_export_lists_its_formats_and_refuses_the_rest(
    scored: telbench.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--list"]) == 0
    listing = capsys.readouterr().out
    assert [line.split()[0] for line in listing.splitlines()[1:]] == [
        "csv", "eee", "hf", "inspect", "inspect-json", "lm-eval", "model-index", "otel", "parquet",
    ]  # fmt: skip
    run, out = str(scored.path), ["--out", str(tmp_path / "out")]
    for words, told in (
        ([run, "--to", "ee"], "--to: invalid choice: 'ee'"),
        ([run], "--to FORMAT is missing"),
        (["--to", "csv"], "RUN is missing (run folders)"),
        ([str(tmp_path), "--to", "csv"], "no run in"),
        ([run, "--to", "csv", "--model-id", "student"], "--model-id student: write ORGANISATION/NAME"),
        ([run, "--to", "csv", "--items", "none"], "--items: invalid choice: 'none'"),
    ):
        assert main(["export", *words, *out]) == 2
        assert told in capsys.readouterr().err, words
    assert not (tmp_path / "out").exists()
    assert main(["export", run, "--to", "csv", *out, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(Path(file).is_file() for file in document["files"])


def test_a_place_that_cannot_be_written_is_one_line(
    scored: telbench.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file")
    assert main(["export", str(scored.path), "--to", "eee", "--out", str(tmp_path / "out")]) == 2
    assert re.search(r"cannot write \(.*\): .*out", capsys.readouterr().err)


def test_texts_of_a_protected_set_are_left_out_unless_asked_for(scored: telbench.Run, tmp_path: Path) -> None:
    from telbench.leaderboard.exchange.contract import Exported, Told

    header = {**scored.header, "data": {**scored.header["data"], "name": "teleqna"}}
    assert Exported(scored.path, header, Told()).withheld
    assert not Exported(scored.path, header, Told(items="all")).withheld
    assert not Exported(scored.path, scored.header, Told()).withheld
    first = next(Exported(scored.path, header, Told()).samples())
    assert (first["question"], first["references"], first["prediction"], first["item_id"]) == ("", [], "", "q/0")
    assert exported(scored, "csv", tmp_path)
