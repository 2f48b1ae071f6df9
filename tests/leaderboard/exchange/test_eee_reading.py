"""One reader of Every Eval Ever for imports and boards, by the words of the schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

import telbench
from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.leaderboard.exchange.eee_reading import read_eee, reported_in
from telbench.leaderboard.runs.foreign import AS_IT_IS
from telbench.leaderboard.site.elsewhere.rows import rows_from

from .conftest import exported

SCHEMAS = Path(__file__).parent / "every_eval_ever"
COUNT = 8
OTHER = "0b9f5bd4-2c53-4a0e-9c5e-0f6d3a0f6f11_samples.jsonl"


def result(evaluation: str, metric: str = "", identity: str = "", **config: Any) -> dict[str, Any]:
    ids = {"evaluation_result_id": identity} if identity else {}
    named = {"metric_id": metric} if metric else {}
    return {
        **ids,
        "evaluation_name": evaluation,
        "source_data": {"dataset_name": "set", "source_type": "other"},
        "metric_config": {"lower_is_better": False, **named, **config},
        "score_details": {"score": 0.5},
    }


def row(
    evaluation: str, item: int, score: float, identity: str = "", question: str = "", **more: Any
) -> dict[str, Any]:
    ids = {"evaluation_result_id": identity} if identity else {}
    return {
        **ids,
        "schema_version": "0.3.0",
        "evaluation_id": "e",
        "model_id": "dev/m",
        "evaluation_name": evaluation,
        "sample_id": f"q{item}",
        "interaction_type": "single_turn",
        "input": {"raw": question or f"Question {item}?", "reference": ["A"]},
        "output": {"raw": ["A"]},
        "answer_attribution": [],
        "evaluation": {"score": score, "is_correct": score == 1},
        **more,
    }


def write(folder: Path, results: list[dict[str, Any]], rows: list[dict[str, Any]], **more: Any) -> Path:
    """Both files, which hold to the schemas."""
    document = {
        "schema_version": "0.3.0",
        "evaluation_id": "e",
        "retrieved_timestamp": "1",
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_organization_name": "x",
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": "lighteval", "version": "1"},
        "model_info": {
            "name": "m",
            "id": "dev/m",
            "additional_details": {"deployment_type": "unknown", "model_availability": "unknown"},
        },
        "evaluation_results": results,
        **more,
    }
    for name, values in (("eval.schema.json", [document]), ("instance_level_eval.schema.json", rows)):
        validator = Draft7Validator(json.loads((SCHEMAS / name).read_text()))
        assert [error.message for value in values for error in validator.iter_errors(value)] == []
    folder.mkdir(exist_ok=True)
    (folder / "a.json").write_text(json.dumps(document))
    if rows:
        (folder / "a_samples.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    return folder / "a.json"


def imported(file: Path, out: Path) -> dict[str, dict[str, float | None]]:
    assert main(["import", str(file), "--out", str(out)]) == 0
    (folder,) = out.iterdir()
    run = telbench.Run.read(folder)
    return {
        name: {sample["item_id"]: sample["scores"][name] for sample in run.samples()} for name in run.header["metrics"]
    }


def on_board(file: Path) -> dict[str, dict[str, float | None]]:
    (run,) = rows_from([file]).runs
    return {
        name: {item: None if value != value else value for item, value in zip(run.items, column, strict=True)}
        for name, column in run.values.items()
    }


def test_import_and_board_read_the_same_names_and_scores(tmp_path: Path) -> None:
    results = [result("set", "accuracy", "set:acc"), result("set", "extent", "set:ext", lower_is_better=True)]
    rows = [row("set", k, k % 2, "set:acc") for k in range(COUNT)] + [row("set", k, k, "set:ext") for k in range(COUNT)]
    # Answered again, and failed.
    rows += [row("set", 0, 1, "set:acc")]
    rows[3]["error"] = "timeout"
    file = write(tmp_path / "in", results, rows)
    found = imported(file, tmp_path / "runs")
    assert found == on_board(file)
    assert found["accuracy"] == {"q0": 0.5, "q1": 1, "q2": 0, "q3": None, "q4": 0, "q5": 1, "q6": 0, "q7": 1}
    assert found["extent"] == {f"q{k}": k for k in range(COUNT)}
    (run,) = read_eee(file, AS_IT_IS)
    assert {name: entry["higher_is_better"] for name, entry in run.header["metrics"].items()} == {
        "accuracy": True,
        "extent": False,
    }


def test_several_evaluations_of_one_question_are_looks_at_one_item(tmp_path: Path) -> None:
    rows = [row(name, k, k % 2) for name in ("brief", "polite") for k in range(COUNT)]
    # That one has no row is no reason to take the questions for others.
    del rows[-1]
    (run,) = read_eee(write(tmp_path, [result("brief"), result("polite")], rows), AS_IT_IS)
    assert list(run.clusters) == [f"q{k}" for k in range(COUNT)]
    assert set(run.categories.values()) == {None}
    assert run.scores["polite"]["q7"].value is None


def test_evaluations_of_other_questions_are_subjects_with_items_of_their_own(tmp_path: Path) -> None:
    results = [result("law", "accuracy"), result("radio", "accuracy")]
    rows = [row(name, k, 1, question=f"{name} {k}?") for name in ("law", "radio") for k in range(COUNT)]
    (run,) = read_eee(write(tmp_path, results, rows), AS_IT_IS)
    assert set(run.scores) == {"law/accuracy", "radio/accuracy"}
    assert run.categories["law:q0"] == "law"
    assert len(run.clusters) == 2 * COUNT


def test_an_unknown_level_is_no_score(tmp_path: Path) -> None:
    levels = {"score_type": "levels", "level_names": ["bad", "good"], "has_unknown_level": True}
    rows = [row("set", k, -1 if k == 2 else 1) for k in range(COUNT)]
    (run,) = read_eee(write(tmp_path, [result("set", "grade", **levels)], rows), AS_IT_IS)
    assert [item for item, score in run.scores["grade"].items() if score.value is None] == ["q2"]
    assert run.header["metrics"]["grade"]["value"] == 1


def test_metrics_of_one_id_are_told_apart_by_their_results(tmp_path: Path) -> None:
    results = [result("set", "pass_at_k", f"pass@{k}") for k in (1, 5)]
    rows = [row("set", k, n / 5, f"pass@{n}") for n in (1, 5) for k in range(COUNT)]
    (run,) = read_eee(write(tmp_path, results, rows), AS_IT_IS)
    assert set(run.scores) == {"pass_at_k", "pass_at_k pass@5"}
    rows = [row("set", 0, 1)]
    with pytest.raises(InputError, match="line 1: set has 2 results, and no evaluation_result_id says which"):
        read_eee(write(tmp_path, results, rows), AS_IT_IS)


def test_instances_without_their_aggregate_keep_metrics_apart(scored: telbench.Run, tmp_path: Path) -> None:
    aggregate, samples = exported(scored, "eee", tmp_path)
    aggregate.unlink()
    (run,) = read_eee(samples, AS_IT_IS)
    assert len(run.scores) == len(scored.header["metrics"])
    found = run.scores["data:all:token_f1"]
    assert {item: score.value for item, score in found.items()} == {
        sample["item_id"]: sample["scores"]["token_f1"] for sample in scored.samples() if sample["status"] == "ok"
    }


def test_the_file_of_instances_is_the_one_that_the_aggregate_names(tmp_path: Path) -> None:
    told = {"format": "jsonl", "file_path": f"data/set/dev/m/{OTHER}"}
    file = write(tmp_path, [result("set")], [row("set", 0, 1)], detailed_evaluation_results=told)
    (tmp_path / "a_samples.jsonl").rename(tmp_path / OTHER)
    (run,) = read_eee(file, AS_IT_IS)
    assert run.header["metrics"]["set"]["value"] == 1
    assert reported_in(file) == []
    (tmp_path / OTHER).unlink()
    (number,) = reported_in(file)
    assert (number.evaluation, number.value, number.lower_is_better) == ("set", 0.5, False)
    with pytest.raises(InputError, match="values alone cannot be compared"):
        read_eee(file, AS_IT_IS)


def test_reported_numbers_name_their_metric(tmp_path: Path) -> None:
    file = write(tmp_path, [result("set", "accuracy"), result("set", "extent", "x")], [])
    assert [each.evaluation for each in reported_in(file)] == ["set: accuracy", "set: extent"]
