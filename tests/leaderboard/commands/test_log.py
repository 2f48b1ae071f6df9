"""Finished runs and boards in W&B, MLflow and TensorBoard, read back with these packages; no network is used."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import telbench
from telbench.harness.cli.main import main
from telbench.harness.datasets import loading
from telbench.harness.loggers import contract
from telbench.harness.loggers import settings as shown_settings
from telbench.harness.loggers.contract import LoggedRun, LoggerSpec, Result
from telbench.harness.runs.folder import read_run, read_samples
from telbench.leaderboard.commands import log as command

from ...logger_files import only_this_machine, wandb_records
from ..scored_runs import scored_run, write_answers, write_questions

__all__ = ["only_this_machine"]

COUNT = 12
HOSTILE = "<script>alert(1)</script> | **x**"
LOGGERS = ("mlflow", "wandb", "tensorboard")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return scored_run(tmp_path, "today", "set", COUNT, 0.5, "token_f1,exact_match,bleu")


def numbers_of(run: Path) -> dict[str, Any]:
    """What a reader of ``run.json`` would type into a logger."""
    return {
        f"run/{name}{end}": pytest.approx(entry[key], abs=1e-6)
        for name, entry in read_run(run)["metrics"].items()
        for end, key in (("", "value"), ("_ci_low", "ci_low"), ("_ci_high", "ci_high"), ("_n", "n"))
    }


def in_mlflow(folder: Path) -> tuple[dict[str, float], dict[str, Any], list[list[Any]], str]:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: the extra mlflow brings it")
    client = mlflow.MlflowClient(tracking_uri=(folder / "mlflow").as_uri())
    (found,) = client.search_runs([client.get_experiment_by_name("nightly").experiment_id])
    assert (found.info.status, found.info.run_name) == ("FINISHED", "set")
    place = Path(client.download_artifacts(found.info.run_id, ""))
    told = json.loads((place / "samples.json").read_text("utf-8"))
    assert {"path": "samples.json", "type": "table"} in json.loads(found.data.tags["mlflow.loggedArtifacts"])
    rows = [told["columns"], *told["data"]]
    page = (place / "report.html").read_text("utf-8")
    return found.data.metrics, {**found.data.params, **found.data.tags}, rows, page


def in_wandb(folder: Path) -> tuple[dict[str, float], dict[str, Any], list[list[Any]], str]:
    (records,) = wandb_records(folder)
    history: dict[str, Any] = {}
    config: dict[str, Any] = {}
    artefacts = []
    for record in records:
        if record.HasField("run"):
            assert (record.run.display_name, record.run.project) == ("set", "nightly")
        for each in (*record.run.config.update, *record.config.update):
            config[each.key or ".".join(each.nested_key)] = json.loads(each.value_json)
        for each in record.history.item:
            history[each.key or ".".join(each.nested_key)] = json.loads(each.value_json)
        if record.HasField("artifact"):
            artefacts += [entry.path for entry in record.artifact.manifest.contents]
    assert "report.html" in artefacts
    (files,) = (folder / "wandb").glob("offline-run-*/files")
    table = json.loads((files / history["samples.path"]).read_text("utf-8"))
    numbers = {name: value for name, value in history.items() if name.startswith("run/")}
    page = (files / history["report.path"]).read_text("utf-8")
    return numbers, config, [table["columns"], *table["data"]], page


def in_tensorboard(folder: Path) -> tuple[dict[str, float], dict[str, Any], list[list[Any]], str]:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard is not installed"
    )
    numbers, rows, config = {}, [], {}
    place = folder / "tensorboard" / "set"
    events = accumulator.EventAccumulator(str(place))
    events.Reload()
    for name in events.Tags()["scalars"]:
        numbers[name] = events.Scalars(name)[-1].value
    for name in events.Tags()["tensors"]:
        (text,) = events.Tensors(name)[-1].tensor_proto.string_val
        if name.startswith("samples"):
            lines = text.decode().splitlines()
            rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if "---" not in line]
    hparams = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    for metadata in events._plugin_to_tag_to_content["hparams"].values():
        told = hparams.HParamsPluginData.FromString(metadata)
        for name, value in told.session_start_info.hparams.items():
            config[name] = value.string_value or value.number_value
    return numbers, config, rows, (place / "report.html").read_text("utf-8")


READERS: dict[str, Callable[[Path], Any]] = {"mlflow": in_mlflow, "wandb": in_wandb, "tensorboard": in_tensorboard}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOGGERS)
def test_a_run_has_its_intervals_identity_samples_and_report_in_each_logger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed: the extra {name} brings it")
    monkeypatch.chdir(tmp_path)
    questions = write_questions(tmp_path / "set.jsonl", COUNT)
    answers = write_answers(tmp_path / "a.jsonl", COUNT, 0.5)
    answers.write_text(answers.read_text().replace("no idea", HOSTILE))
    words = ["score", str(answers), "--data", str(questions), "--metrics", "token_f1,exact_match,bleu"]
    words += ["--out", "runs/set", "--log", name, "--log-project", "nightly"]
    assert main(words) == 0
    run = tmp_path / "runs" / "set"
    header = read_run(run)
    numbers, config, rows, page = READERS[name](tmp_path / "shown")
    assert {key: value for key, value in numbers.items() if key.startswith("run/")} == numbers_of(run)
    assert config["telbench.run_id"] == header["run_id"]
    assert config["data.items_sha256"] == header["data"]["items_sha256"]
    assert config["signature.token_f1"] == header["metrics"]["token_f1"]["signature"]
    assert not any(str(tmp_path) in str(value) for value in config.values())
    heads, *items = rows
    assert [row[heads.index("item\\_id" if name == "tensorboard" else "item_id")] for row in items] == [
        sample["item_id"] for sample in read_samples(run)
    ]
    said = [str(row[heads.index("prediction")]) for row in items]
    if name == "tensorboard":
        # What Markdown and HTML would do is taken from it.
        assert not any("<script" in cell or " **x" in cell for cell in said)
        assert any("&lt;script&gt;" in cell for cell in said)
    else:
        assert HOSTILE in said
    assert "<script" not in page
    assert header["run_id"][:12] in page


@pytest.mark.slow
def test_a_run_that_is_shown_again_is_no_second_run(run: Path, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: the extra mlflow brings it")
    assert main(["log", str(run), "--to", "mlflow"]) == 0
    assert main(["log", str(run), "--to", "mlflow"]) == 0
    assert main(["score", "answers/today/set.jsonl", "--data", "questions/set.jsonl", "--metrics", "token_f1",
                 "--out", "other", "--log", "mlflow"]) == 0  # fmt: skip
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "shown" / "mlflow").as_uri())
    found = client.search_runs([client.get_experiment_by_name("telbench").experiment_id])
    assert sorted(each.info.run_name for each in found) == ["other", "set"]


class Kept:
    """A logger that keeps what it is given."""

    every: list[Kept] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, run: LoggedRun) -> None:
        self.run, self.finished = run, False
        Kept.every.append(self)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        raise AssertionError("the result has the numbers")

    def result(self, result: Result) -> None:
        if (self.run.folder / "broken").exists():
            raise ValueError("the server is gone")
        self.result_shown = result
        self.pages = {path.name: path.read_text("utf-8") for path in result.files if path.is_file()}
        self.folders = {path.name for path in result.files if (path / "index.html").is_file()}

    def close(self, *, finished: bool) -> None:
        self.finished = finished


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Kept]:
    Kept.every = []
    spec = LoggerSpec("kept", "json", Kept)
    for module in (contract, shown_settings):
        monkeypatch.setattr(module, "logger_named", lambda name: spec)
    return Kept.every


def samples_of(one: Kept) -> tuple[tuple[str, ...], int]:
    (table,) = (table for table in one.result_shown.tables if table.name == "samples")
    return table.columns, len(table.rows)


def test_texts_of_protected_data_are_shown_where_they_are_asked_for(
    run: Path, kept: list[Kept], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def texts() -> bool:
        (page,) = kept[-1].pages.values()
        told = {"question", "reference", "prediction"} <= set(samples_of(kept[-1])[0])
        assert ("the answer 7" in page) == told
        return told

    assert main(["log", str(run), "--to", "kept"]) == 0
    assert texts()
    assert main(["log", str(run), "--to", "kept", "--log-items", "ids"]) == 0
    assert not texts()
    # As the data sets say whose publishers protect them.
    for module in (loading, command):
        monkeypatch.setattr(module, "protects_texts", lambda name: name == "set")
    capsys.readouterr()
    assert main(["log", str(run), "--to", "kept"]) == 0
    assert not texts()
    assert "texts are left out: their publisher keeps them from being crawled" in capsys.readouterr().err
    assert main(["log", str(run), "--to", "kept", "--log-items", "all"]) == 0
    assert texts()


def test_protection_is_that_of_the_board_and_of_exports() -> None:
    assert loading.protects_texts("teleqna")
    assert not loading.protects_texts("telequad")
    assert not loading.protects_texts("my-own-file")


def test_the_table_of_samples_is_bounded_and_can_be_left_out(
    run: Path, kept: list[Kept], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", str(run), "--to", "kept", "--log-samples", "5"]) == 0
    assert samples_of(kept[-1])[1] == 5
    assert "the first 5 of 12 items" in capsys.readouterr().err
    assert main(["log", str(run), "--to", "kept", "--log-samples", "0"]) == 0
    assert [table.name for table in kept[-1].result_shown.tables] == ["metrics"]


def test_a_metric_without_a_value_is_no_number(run: Path, kept: list[Kept]) -> None:
    header = json.loads((run / "run.json").read_text())
    lacking = {
        "value": None,
        "ci_low": None,
        "ci_high": None,
        "n": 0,
        "n_missing": COUNT,
        "missing": {"no judge": COUNT},
    }
    header["metrics"]["bleu"] |= lacking
    (run / "run.json").write_text(json.dumps(header))
    assert main(["log", str(run), "--to", "kept"]) == 0
    assert not any(name.startswith("run/bleu") for name in kept[0].result_shown.values)
    (table,) = (table for table in kept[0].result_shown.tables if table.name == "metrics")
    (row,) = (dict(zip(table.columns, row, strict=True)) for row in table.rows if row[0] == "bleu")
    assert (row["value"], row["n_missing"], row["missing"]) == (None, COUNT, f"no judge: {COUNT}")


def test_a_logger_that_fails_loses_no_run(
    tmp_path: Path, kept: list[Kept], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "broken").touch()
    write_questions(tmp_path / "set.jsonl", COUNT)
    write_answers(tmp_path / "a.jsonl", COUNT, 0.5)
    words = ["score", "a.jsonl", "--data", "set.jsonl", "--metrics", "token_f1", "--out", "made", "--log", "kept"]
    assert main([*words, "--json"]) == 5
    told = capsys.readouterr()
    assert json.loads(told.out)["status"] == "complete"
    assert "telbench log: --log kept failed (ValueError: the server is gone): made is whole, and" in told.err
    assert "Traceback" not in told.err
    assert [each.finished for each in kept] == [False]
    assert read_run(tmp_path / "made")["status"] == "complete"
    # In Python too, where the run is what is wanted.
    found = telbench.score("a.jsonl", "set.jsonl", metrics="token_f1", out="made", log="kept")
    assert found.value("token_f1") == read_run(tmp_path / "made")["metrics"]["token_f1"]["value"]
    assert "the server is gone" in capsys.readouterr().err
    (tmp_path / "shown" / "broken").unlink()
    assert telbench.score("a.jsonl", "set.jsonl", metrics="token_f1", out="made", log=["kept"]).reused
    assert kept[-1].finished


def test_where_a_run_is_shown_is_no_part_of_what_repeats_it(run: Path, kept: list[Kept]) -> None:
    before = (run / "run.yaml").read_text()
    words = ["score", "answers/today/set.jsonl", "--data", "questions/set.jsonl", "--name", "today"]
    words += ["--metrics", "token_f1,exact_match,bleu", "--out", str(run), "--fresh"]
    identity = read_run(run)["run_id"]
    assert main([*words, "--log", "kept", "--log-items", "ids"]) == 0
    assert read_run(run)["run_id"] == identity
    assert (run / "run.yaml").read_text() == before


def test_a_board_is_shown_whole(run: Path, tmp_path: Path, kept: list[Kept]) -> None:
    other = scored_run(tmp_path, "other", "set", COUNT, 0.8, "token_f1")
    assert main(["leaderboard", "build", str(run), str(other), "--out", "site", "--log", "kept"]) == 0
    assert kept[0].folders == {"site"}
    assert kept[0].finished
    key = kept[0].run.key
    # An unchanged board is the same there.
    telbench.board([run, other], "site", log="kept")
    assert kept[1].run.key == key
    assert main(["log", "site", str(run), "--to", "kept"]) == 0
    assert [each.run.name for each in kept[2:]] == ["site", "set"]


def test_what_cannot_be_shown_is_told_before_anything_is(
    run: Path, kept: list[Kept], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", str(run), "nowhere", "--to", "kept"]) == 2
    assert "no run in nowhere" in capsys.readouterr().err
    assert main(["log", str(run), str(run), "--to", "kept", "--name", "x"]) == 2
    assert "--name x cannot be the name of 2 runs" in capsys.readouterr().err
    assert kept == []
