"""Output folders of EvalScope, in the shape that versions 1.4 and 1.14.1 write: means are those of their reports."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.leaderboard.runs.foreign import Reading
from telbench.leaderboard.runs.sources import open_run, open_runs

BLEU: dict[str, Any] = {"bleu-1": 0.0}
ROUGE: dict[str, Any] = {"Rouge-L-R": 0.5}


def message(role: str, text: str, name: str) -> dict[str, Any]:
    return {"id": name, "content": text, "source": None, "metadata": None, "role": role, "tool_call_id": None}


def review(
    index: int, repeats: int = 1, *, question: str = "Which port", chance: str = "a", **values: Any
) -> dict[str, Any]:
    """A line of a file of reviews; sample ``index`` is one of ``repeats`` of its group."""
    item = index // repeats
    score = {"value": values, "status": "success", "judge_summary": None, "extracted_prediction": "A"}
    score |= {
        "prediction": "ANSWER: A",
        "explanation": None,
        "metadata": {},
        "main_score_name": next(iter(values), None),
    }
    sample = {"score": score, "sample_id": index, "group_id": item, "generation_index": index % repeats}
    asked = message("user", f"{question} has service {item}?", f"{chance}{index}")
    answered = message("assistant", f"ANSWER: A {chance}", f"{chance}b{index}")
    return {
        "index": index,
        "target": ["A"],
        "messages": [asked, answered],
        "agent_trace": None,
        "sample_score": sample | {"sample_metadata": {"id": str(item), "document": f"d{item // 2}"}},
    }


def metric(name: str, score: float, way: str = "higher_is_better", **dimensions: Any) -> dict[str, Any]:
    identity = {"name": name, "aggregation": "mean", "dimensions": dimensions}
    return {"identity": identity, "legacy_name": None, "score": score, "semantics": {"direction": way}}


def output(
    folder: Path,
    files: Mapping[str, Sequence[Any]],
    reports: Mapping[str, Sequence[Mapping[str, Any]]],
    model: str = "today",
) -> Path:
    """An output folder with the files of reviews by name, and the metrics of each data set's report."""
    for name, rows in files.items():
        path = folder / "reviews" / model / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    for name, metrics in reports.items():
        path = folder / "reports" / model / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema_version": 2, "dataset_name": name, "metrics": metrics}))
    return folder


def values(run: Any, name: str) -> dict[str, float | None]:
    return {item: score.value for item, score in run.scores[name].items()}


def test_one_data_set_of_several_subsets_is_one_metric_with_the_reports_mean(tmp_path: Path) -> None:
    core = [review(k, accuracy=float(k % 3 == 0)) for k in range(12)]
    ran = [review(k, accuracy=float(k == 1)) for k in range(9)]
    files = {"general_mcq_core": core, "general_mcq_ran": ran}
    run = open_run(output(tmp_path / "run", files, {"general_mcq": [metric("accuracy", 0.2381)]}))
    assert (run.header["model"]["name"], run.header["data"]["name"]) == ("today", "general_mcq")
    assert round(run.header["metrics"]["accuracy"]["value"], 4) == 0.2381
    assert run.header["metrics"]["accuracy"]["higher_is_better"] is True
    assert values(run, "accuracy")["general_mcq_core:3"] == 1.0
    assert run.categories["general_mcq_ran:1"] == "general_mcq_ran"
    assert len(run.clusters) == 21


def test_repeated_answers_to_an_item_are_averaged(tmp_path: Path) -> None:
    rows = [review(k, 3, accuracy=float(k in (0, 1, 5))) for k in range(6)]
    run = open_run(output(tmp_path / "run", {"general_mcq_core": rows}, {"general_mcq": [metric("accuracy", 0.5)]}))
    assert values(run, "accuracy") == {"0": pytest.approx(2 / 3), "1": pytest.approx(1 / 3)}
    assert run.notes == ()


def test_several_data_sets_are_kept_apart_and_their_reports_say_which_way_is_better(tmp_path: Path) -> None:
    files = {
        "general_mcq_core": [review(k, accuracy=1) for k in range(3)],
        "general_qa_terms": [review(k, strictness=0.25, **ROUGE) for k in range(3)],
    }
    told = {"general_mcq": [metric("accuracy", 1.0)], "general_qa": [metric("strictness", 0.25, "lower_is_better")]}
    run = open_run(output(tmp_path / "run", files, told))
    assert set(run.scores) == {"general_mcq/accuracy", "general_qa/strictness", "general_qa/Rouge-L-R"}
    assert values(run, "general_qa/strictness")["general_mcq_core:0"] is None
    assert run.header["metrics"]["general_qa/strictness"]["higher_is_better"] is False
    assert run.header["metrics"]["general_qa/Rouge-L-R"]["higher_is_better"] is True
    assert run.header["data"]["name"] == "general_mcq general_qa"


def test_reports_of_the_first_versions_name_the_mean(tmp_path: Path) -> None:
    rows = [review(k, acc=float(k < 2)) | {"target": "A"} for k in range(3)]
    for number, told in ((0, 0.6667), (1, 0.5)):
        folder = output(tmp_path / str(number), {"gsm8k_main": rows}, {"gsm8k": [{"name": "mean_acc", "score": told}]})
        if told == 0.5:
            with pytest.raises(InputError, match="holds no scored items"):
                open_run(folder)
        else:
            assert math.isclose(open_run(folder).header["metrics"]["acc"]["value"], 2 / 3)


def test_a_metric_whose_report_is_no_mean_of_its_answers_is_left_out_and_named(tmp_path: Path) -> None:
    rows = [review(k, accuracy=float(k < 2), f1=0.5) for k in range(4)]
    run = open_run(output(tmp_path / "run", {"mine_all": rows}, {"mine": [metric("accuracy", 0.9), metric("f1", 0.5)]}))
    assert set(run.scores) == {"f1"}
    assert "accuracy is left out" in run.notes[0]


def test_a_zero_in_the_place_of_a_failed_metric_is_no_score(tmp_path: Path) -> None:
    rows = [review(k, **BLEU, **ROUGE) for k in range(3)]
    for row in rows:
        row["sample_score"]["score"]["metadata"] = {"metric_errors": {"BLEU": "LookupError: punkt_tab not found"}}
    run = open_run(output(tmp_path / "run", {"general_qa_terms": rows}, {}))
    assert set(run.scores) == {"Rouge-L-R"}


def test_a_sample_without_a_usable_score_is_missing(tmp_path: Path) -> None:
    rows = [review(0, accuracy=1.0), review(1)]
    rows[1]["sample_score"]["score"]["status"] = "judge_failed"
    run = open_run(output(tmp_path / "run", {"mine_all": rows}, {}))
    assert values(run, "accuracy") == {"0": 1.0, "1": None}


def test_two_models_are_compared_and_other_questions_or_targets_are_not(tmp_path: Path) -> None:
    def made(name: str, model: str, change: dict[str, Any], **more: Any) -> Path:
        rows = [review(k, accuracy=float(k % 2), chance=model, **more) | change for k in range(20)]
        return output(tmp_path / name, {"general_mcq_core": rows}, {}, model)

    first, second = made("a", "today", {}), made("b", "candidate", {})
    assert main(["compare", str(first), str(second)]) == 0
    assert main(["compare", str(first), str(made("c", "other", {}, question="Which protocol"))]) == 4
    assert main(["compare", str(first), str(made("d", "other", {"target": ["B"]}))]) == 4
    assert main(["check", "--baseline", str(first), "--candidate", str(second), "--margin", "accuracy=0.5"]) == 0
    assert [run.header["model"]["name"] for run in open_runs([first, second])] == ["today", "candidate"]


def test_a_folder_of_reviews_and_a_file_wherever_it_lies_are_read(tmp_path: Path) -> None:
    rows = [review(k, accuracy=float(k % 2)) for k in range(4)]
    folder = output(tmp_path / "run", {"general_mcq_core": rows}, {})
    expected = open_run(folder).scores
    copied = tmp_path / "core.jsonl"
    copied.write_bytes((folder / "reviews" / "today" / "general_mcq_core.jsonl").read_bytes())
    assert open_run(folder / "reviews" / "today").scores == expected
    assert open_run(folder / "reviews").scores == expected
    assert [run.scores for run in open_runs([copied, folder])] == [expected, expected]


def test_documents_are_those_of_the_field_that_is_named(tmp_path: Path) -> None:
    rows = [review(k, accuracy=float(k % 2)) for k in range(4)]
    folder = output(tmp_path / "run", {"general_mcq_core": rows}, {})
    assert open_run(folder, Reading(cluster="document")).clusters == {"0": "d0", "1": "d0", "2": "d1", "3": "d1"}
    with pytest.raises(InputError, match="did you mean 'document'"):
        open_run(folder, Reading(cluster="documents"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sample_score": {"score": None}}, "line 2: no review of EvalScope 1.0 or later"),
        ({"index": 0}, "line 2: sample 0 occurs twice"),
        ({"index": "1"}, "line 2: no review of EvalScope"),
        ({"target": ["B"], "sample_score": review(0, accuracy=1.0)["sample_score"]}, "another target"),
        ({"sample_score": {"score": {"value": {"accuracy": 7}}}}, "line 2: accuracy"),
        ({"sample_score": {"score": {"value": {"accuracy": float("nan")}}}}, "line 2: accuracy"),
    ],
)
def test_what_is_no_review_is_refused_by_its_line(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    rows = [review(0, accuracy=1.0), review(1, accuracy=0.0) | change]
    with pytest.raises(InputError, match=told) as refused:
        open_run(output(tmp_path / "run", {"mine_all": rows}, {}))
    assert "\n" not in str(refused.value)


def test_several_models_and_no_reviews_are_refused_with_what_to_name(tmp_path: Path) -> None:
    rows = [review(0, accuracy=1.0)]
    for model in ("one", "two"):
        output(tmp_path / "run", {"mine_all": rows}, {}, model)
    with pytest.raises(InputError, match=r"reviews of 2 models: name one folder, such as .*reviews/one"):
        open_run(tmp_path / "run")
    (tmp_path / "empty" / "reviews").mkdir(parents=True)
    with pytest.raises(InputError, match="name an output folder whose run has ended"):
        open_run(tmp_path / "empty")
