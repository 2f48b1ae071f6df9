"""Formats of other tools, each opened by the tool itself where it is installed, and by telbench's own reader."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import telbench
from telbench.errors import InputError
from telbench.leaderboard.exchange.inspect import _member_name as member_name
from telbench.leaderboard.runs.foreign import Reading
from telbench.leaderboard.runs.inspect_logs import read_inspect
from telbench.leaderboard.runs.lm_eval_logs import read_lm_eval

from .conftest import COUNT, exported

ITEM_METRICS = ("exact_match", "token_f1", "quantity_agreement")


def column(run: telbench.Run, name: str) -> dict[str, float | None]:
    return {sample["item_id"]: sample["scores"][name] for sample in run.samples()}


def test_lm_eval_files_are_read_back_with_the_same_numbers(scored: telbench.Run, tmp_path: Path) -> None:
    results, samples = exported(scored, "lm-eval", tmp_path, model_id="org/student")
    assert results.parent.name == samples.parent.name == "org__student"
    back = read_lm_eval(results.parent, Reading(cluster="cluster_id", texts=True))
    assert set(back.header["metrics"]) == set(ITEM_METRICS)
    assert "bleu, ter: the log has no statistics" in back.notes[0]
    for name in ITEM_METRICS:
        assert {item: score.value for item, score in back.scores[name].items()} == column(scored, name)
        assert back.header["metrics"][name]["value"] == pytest.approx(scored.value(name), abs=1e-12)
    assert back.clusters["q/3"] == "d1"
    assert back.texts["q/1"].prediction == "10 ms"


def test_lm_evals_own_table_shows_the_values(scored: telbench.Run, tmp_path: Path) -> None:
    utils = pytest.importorskip("lm_eval.utils", reason="lm-eval, whose table maker is asked, is not installed")
    pytest.importorskip("pytablewriter")
    results, _ = exported(scored, "lm-eval", tmp_path)
    table = utils.make_table(json.loads(results.read_text()))
    for name in scored.header["metrics"]:
        (line,) = [line for line in table.splitlines() if name in map(str.strip, line.split("|"))]
        assert f"{scored.value(name):.4f}" in line
        assert ("↓" in line) == (name == "ter")


@pytest.mark.parametrize("name", ["inspect", "inspect-json"])
def test_inspect_logs_are_read_back_with_the_same_numbers(name: str, scored: telbench.Run, tmp_path: Path) -> None:
    (file,) = exported(scored, name, tmp_path)
    assert exported(scored, name, tmp_path / "again")[0].read_bytes() == file.read_bytes()
    back = read_inspect(file, Reading(cluster="cluster_id", texts=True))
    assert set(back.header["metrics"]) == set(ITEM_METRICS)
    assert [note.partition(": ")[2][:20] for note in back.notes] == ["bleu is left out: it", "ter is left out: it "]
    for metric in ITEM_METRICS:
        assert {item: score.value for item, score in back.scores[metric].items()} == column(scored, metric)
        assert back.header["metrics"][metric]["higher_is_better"] is True
    assert (back.texts["q/1"].question, back.texts["q/1"].prediction) == ("Frage 1: how long?", "10 ms")
    assert back.texts["q/1"].references == ("10 ms", "other 1")


@pytest.mark.parametrize("name", ["inspect", "inspect-json"])
@pytest.mark.parametrize("which", ["scored", "chosen"])
def test_inspects_own_reader_opens_them(name: str, which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    log_module: Any = pytest.importorskip("inspect_ai.log", reason="no inspect_ai, whose reader is asked")
    run: telbench.Run = request.getfixturevalue(which)
    (file,) = exported(run, name, tmp_path)
    log = log_module.read_eval_log(str(file))
    assert (log.status, len(log.samples)) == ("success", run.header["data"]["n"])
    assert {each.name: each.metrics["mean"].value for each in log.results.scores} == {
        metric: entry["value"] for metric, entry in run.header["metrics"].items()
    }
    # The reader of archives sorts samples by their names.
    read = {sample.id: sample for sample in log.samples}
    for ours in run.samples():
        sample = read[ours["item_id"]]
        assert sample.output.completion == ours["prediction"]
        assert sample.scores.keys() == {metric for metric, value in ours["scores"].items() if value is not None}
    assert len(log_module.read_eval_log_sample_summaries(str(file))) == run.header["data"]["n"]


def test_inspects_viewer_lists_answers_intervals_tokens_and_time(scored: telbench.Run, tmp_path: Path) -> None:
    """What its pages read: the list of samples is that of the summaries, the table of scores that of the header."""
    (file,) = exported(scored, "inspect", tmp_path, model_id="lab/student")
    with zipfile.ZipFile(file) as archive:
        summaries, header = (json.loads(archive.read(f"{name}.json")) for name in ("summaries", "header"))
    answers = {sample["item_id"]: sample["prediction"] for sample in scored.samples()}
    assert {each["id"]: each["scores"]["token_f1"]["answer"] for each in summaries if each["scores"]} == {
        item: answer for item, answer in answers.items() if answer
    }
    assert header["eval"]["model"] == "lab/student"
    shown = {each["name"]: each["metrics"] for each in header["results"]["scores"]}
    for name, entry in scored.header["metrics"].items():
        told = {key: metric["value"] for key, metric in shown[name].items()}
        assert told == {"mean": entry["value"], "ci_low": entry["ci_low"], "ci_high": entry["ci_high"]}
    begun, ended = (datetime.fromisoformat(header["stats"][key]) for key in ("started_at", "completed_at"))
    assert (ended - begun).total_seconds() == pytest.approx(scored.header["seconds"]["total"])
    # A score of the corpus is no more than its scale has, whatever the last digit says.
    assert max(each["scores"]["bleu"]["value"] for each in summaries if each["scores"]) == 100


def test_members_of_an_archive_stay_apart_whatever_ids_hold(scored: telbench.Run, tmp_path: Path) -> None:
    assert len({member_name(item) for item in ("a/b", "a\\b", "a-b", "../a", "")}) == 5
    (file,) = exported(scored, "inspect", tmp_path)
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names)) == COUNT + 3
    assert not [name for name in names if ".." in name or "\\" in name]


def test_the_hubs_own_parsers_read_both_of_its_formats(scored: telbench.Run, tmp_path: Path) -> None:
    hub: Any = pytest.importorskip("huggingface_hub", reason="no huggingface_hub, whose parsers are asked")
    told = {"model_id": "org/student", "data_id": "org/data", "url": "https://example.org/run", "organization": "org"}
    (file,) = exported(scored, "hf", tmp_path, **told)
    assert file.relative_to(tmp_path).parts[:2] == ("org__student", ".eval_results")
    entries = hub.parse_eval_result_entries(yaml.safe_load(file.read_text()))
    assert {entry.task_id: entry.value for entry in entries} == {
        f"all_{name}": entry["value"] for name, entry in scored.header["metrics"].items()
    }
    assert {(entry.dataset_id, entry.source_org) for entry in entries} == {("org/data", "org")}
    assert "lower is better" in next(entry.notes for entry in entries if entry.task_id == "all_ter")
    (card,) = exported(scored, "model-index", tmp_path, **told)
    results = hub.ModelCard(card.read_text()).data.eval_results
    assert {each.metric_type: each.metric_value for each in results} == {
        name: entry["value"] for name, entry in scored.header["metrics"].items()
    }
    assert {(each.dataset_type, each.dataset_split) for each in results} == {("org/data", "all")}


def test_an_entry_of_the_hub_names_a_data_set_of_the_hub(scored: telbench.Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass --data-id ORGANISATION/NAME"):
        exported(scored, "hf", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_small_numbers_of_yaml_stay_numbers(tmp_path: Path) -> None:
    from telbench.leaderboard.exchange.hub import _yaml as write_yaml

    values = [1e-05, -2.5e-300, 0.1 + 0.2, 1.0, 12345678.9]
    read = yaml.safe_load(write_yaml(tmp_path / "a.yaml", values).read_text())
    assert read == values
    assert all(isinstance(value, float) for value in read)


def test_events_are_log_data_of_opentelemetry_and_name_its_attributes(scored: telbench.Run, tmp_path: Path) -> None:
    logs: Any = pytest.importorskip(
        "opentelemetry.proto.logs.v1.logs_pb2", reason="opentelemetry-proto is not installed"
    )
    names: Any = pytest.importorskip("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    json_format: Any = pytest.importorskip("google.protobuf.json_format")
    (file,) = exported(scored, "otel", tmp_path)
    records = [
        record
        for line in file.read_text().splitlines()
        for record in json_format.Parse(line, logs.LogsData()).resource_logs[0].scope_logs[0].log_records
    ]
    assert len(records) == COUNT * len(scored.header["metrics"])
    found: dict[str, dict[str, float]] = {}
    lacking = 0
    for record in records:
        told = {each.key: each.value for each in record.attributes}
        metric, item = told[names.GEN_AI_EVALUATION_NAME].string_value, told["telbench.item_id"].string_value
        assert (record.event_name, len(record.trace_id), len(record.span_id)) == ("gen_ai.evaluation.result", 24, 12)
        if names.GEN_AI_EVALUATION_SCORE_VALUE in told:
            found.setdefault(metric, {})[item] = told[names.GEN_AI_EVALUATION_SCORE_VALUE].double_value
        else:
            lacking += 1
            assert told[names.GEN_AI_EVALUATION_EXPLANATION].string_value
    assert lacking == sum(entry["n_missing"] for entry in scored.header["metrics"].values()) > 0
    for name, values in found.items():
        assert values == {item: value for item, value in column(scored, name).items() if value is not None}
