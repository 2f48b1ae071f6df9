"""Every Eval Ever: both levels hold to the published schemas, and a run comes back as it was."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

import telbench
from telbench.errors import InputError
from telbench.harness.cli.main import main

from .conftest import COUNT, exported

SCHEMAS = Path(__file__).parent / "every_eval_ever"
AGGREGATE, INSTANCE = (
    Draft7Validator(json.loads((SCHEMAS / name).read_text()))
    for name in ("eval.schema.json", "instance_level_eval.schema.json")
)


def documents(files: list[Path]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    aggregate, samples = files
    return json.loads(aggregate.read_text()), [json.loads(line) for line in samples.read_text().splitlines()]


@pytest.mark.parametrize("name", ["scored", "chosen"])
def test_both_levels_hold_to_the_schemas(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run: telbench.Run = request.getfixturevalue(name)
    for told in ({}, {"model_id": "org/student", "data_id": "org/data", "weights": "open_weights", "items": "ids"}):
        files = exported(run, "eee", tmp_path / str(len(told)), **told)
        document, rows = documents(files)
        assert [error.message for error in AGGREGATE.iter_errors(document)] == []
        assert [error.message for row in rows for error in INSTANCE.iter_errors(row)] == []
        assert document["detailed_evaluation_results"]["total_rows"] == len(rows) > 0
        assert document["detailed_evaluation_results"]["checksum"] == hashlib.sha256(files[1].read_bytes()).hexdigest()
        assert files[1] == tmp_path / str(len(told)) / document["detailed_evaluation_results"]["file_path"]


def test_the_schemas_see_what_is_wrong(scored: telbench.Run, tmp_path: Path) -> None:
    document, rows = documents(exported(scored, "eee", tmp_path))
    ter = next(each for each in document["evaluation_results"] if each["metric_config"]["metric_id"] == "ter")
    ter["metric_config"]["score_type"] = "continuous"
    document["model_info"]["additional_details"]["deployment_type"] = "local"
    told = " ".join(error.message for error in AGGREGATE.iter_errors(document))
    assert "'max_score' is a required property" in told
    assert "'local' is not one of" in told
    rows[0]["evaluation"]["score"] = None
    assert not INSTANCE.is_valid(rows[0])


def test_what_readers_join_and_look_for_is_there(scored: telbench.Run, tmp_path: Path) -> None:
    files = exported(scored, "eee", tmp_path, model_id="org/student")
    document, rows = documents(files)
    identity = uuid.UUID(files[0].stem)
    assert (identity.version, identity.variant) == (4, uuid.RFC_4122)
    assert exported(scored, "eee", tmp_path, model_id="org/student") == files
    results = {each["metric_config"]["metric_id"]: each for each in document["evaluation_results"]}
    assert set(results) == {"exact_match", "token_f1", "bleu", "ter", "quantity_agreement"}
    assert "score_type" not in results["ter"]["metric_config"]
    assert results["ter"]["metric_config"]["lower_is_better"] is True
    assert results["bleu"]["metric_config"]["max_score"] == 100
    for name, each in results.items():
        entry = scored.metric(name)
        assert each["score_details"]["score"] == pytest.approx(entry["value"], abs=1e-12)
        interval = each["score_details"]["uncertainty"]["confidence_interval"]
        assert (interval["lower"], interval["upper"]) == (entry["ci_low"], entry["ci_high"])
        own = [row for row in rows if row["evaluation_result_id"] == each["evaluation_result_id"]]
        # What has no score has no row: it is counted beside the value, and is no 0.
        assert len(own) == entry["n"] == COUNT - entry["n_missing"]
    assert results["quantity_agreement"]["score_details"]["details"]["n_missing"] != "0"
    traces = {row["sample_id"]: row["output"].get("reasoning_trace") for row in rows}
    assert traces["q/1"] == ["step 1"]
    assert traces["q/0"] is None
    right = {
        row["sample_id"] for row in rows if row["evaluation"]["is_correct"] and "exact" in row["evaluation_result_id"]
    }
    assert right == {s["item_id"] for s in scored.samples() if s["scores"]["exact_match"] == 1}


def test_a_run_comes_back_as_it_was(scored: telbench.Run, tmp_path: Path) -> None:
    exported(scored, "eee", tmp_path / "out")
    assert main(["import", str(tmp_path / "out"), "--out", str(tmp_path / "runs")]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    back = telbench.Run.read(folder)
    kept = {sample["item_id"]: sample for sample in scored.samples() if sample["status"] == "ok"}
    assert [sample["item_id"] for sample in back.samples()] == list(kept)
    for sample in back.samples():
        before = kept[sample["item_id"]]
        for key in ("cluster_id", "category", "question", "references", "prediction", "scores", "stats"):
            assert sample[key] == before[key], key
    for name, entry in scored.header["metrics"].items():
        for key in ("value", "ci_low", "ci_high"):
            assert back.metric(name)[key] == pytest.approx(entry[key], abs=1e-12)
        for key in ("signature", "family", "level", "range", "higher_is_better", "n"):
            assert back.metric(name)[key] == entry[key]


def test_a_whole_run_that_came_back_is_compared_with_where_it_came_from(tmp_path: Path, chosen: telbench.Run) -> None:
    exported(chosen, "eee", tmp_path / "out")
    assert main(["import", str(tmp_path / "out"), "--out", str(tmp_path / "runs")]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    (found,) = telbench.compare(chosen, folder)
    assert (found.verdict, found.delta) == ("identical", 0)


def test_ids_alone_hold_no_word_of_the_texts(scored: telbench.Run, tmp_path: Path) -> None:
    files = exported(scored, "eee", tmp_path, items="ids")
    told = "".join(file.read_text() for file in files)
    assert [word for word in ("Frage", "no idea", "the AMF", "step 1") if word in told] == []
    assert "q/3" in told


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda rows: rows[0]["evaluation"].update(score="high"), r"line 1: exact_match is 'high' and no number"),
        (lambda rows: rows.append(rows[0]), r"sample 'q/0' has two scores of exact_match"),
        (lambda rows: rows[1].update(evaluation_result_id="other"), r"line 2: no row of these results"),
        (lambda rows: rows[1]["input"].update(choices=["A"]), r"line 2: sample 'q/0' has another input"),
        (lambda rows: rows[2]["metadata"].update(statistics="[1, x"), r"line 3: metadata.statistics"),
        (lambda rows: rows.__setitem__(0, ["a"]), r"line 1: an object is expected"),
        (lambda rows: rows.clear(), r"holds no scored items"),
    ],
)
def test_damaged_files_are_refused_by_line(fault: Any, told: str, scored: telbench.Run, tmp_path: Path) -> None:
    aggregate, samples = exported(scored, "eee", tmp_path)
    rows = documents([aggregate, samples])[1]
    fault(rows)
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    from telbench.leaderboard.exchange.eee_reading import read_eee
    from telbench.leaderboard.runs.foreign import Reading

    with pytest.raises(InputError, match=told):
        read_eee(aggregate, Reading())
    samples.unlink()
    with pytest.raises(InputError, match=re.escape(f"has no {samples.name} beside it")):
        read_eee(aggregate, Reading())


def test_files_of_other_libraries_are_read_with_their_own_names(tmp_path: Path) -> None:
    document = {
        "schema_version": "0.3.0",
        "evaluation_id": "x",
        "retrieved_timestamp": "1",
        "source_metadata": {},
        "eval_library": {"name": "lighteval", "version": "1"},
        "model_info": {"name": "m", "id": "o/m", "additional_details": {}},
        "evaluation_results": [
            {"evaluation_name": name, "metric_config": {"lower_is_better": False, "metric_name": "extent"}}
            for name in ("one", "two")
        ],
    }  # fmt: skip
    rows = [
        {"evaluation_name": name, "sample_id": str(k), "input": {"raw": f"{name} {k}", "reference": []},
         "output": {"raw": ["a"]}, "evaluation": {"score": k / 2, "is_correct": False}}
        for name in ("one", "two") for k in range(3)
    ]  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(document))
    (tmp_path / "a_samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["import", str(tmp_path / "a_samples.jsonl"), "--out", str(tmp_path / "runs")]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    run = telbench.Run.read(folder)
    assert set(run.header["metrics"]) == {"one/extent", "two/extent"}
    assert run.metric("one/extent")["signature"] == "one/extent|harness:lighteval|v1"
    assert (run.value("two/extent"), run.metric("two/extent")["n_missing"]) == (0.5, 3)
