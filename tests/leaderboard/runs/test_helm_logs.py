"""Run folders of HELM, in the shape of its public ones: the means are those that HELM writes into stats.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.leaderboard.runs.foreign import Reading
from telbench.leaderboard.runs.sources import open_run, open_runs


def stat(name: str, value: float | None, split: str = "test") -> dict[str, Any]:
    if value is None:
        return {"name": {"name": name, "split": split}, "count": 0, "sum": 0, "sum_squared": 0}
    named = {"name": {"name": name, "split": split}, "count": 1, "sum": value, "sum_squared": value**2}
    return named | {"min": value, "max": value, "mean": value, "variance": 0.0, "stddev": 0.0}


def entry(item: str, trial: int = 0, **scores: float | None) -> dict[str, Any]:
    stats = [stat("num_prompt_tokens", 333), stat("training_co2_cost", None), stat("inference_runtime", 0.7)]
    stats += [stat("finish_reason_unknown", 1), stat("logprob", -3.0)]
    stats += [stat(name, value) for name, value in scores.items()]
    return {"instance_id": item, "train_trial_index": trial, "stats": stats}


def helm_run(folder: Path, entries: list[Any], model: str = "openai/gpt2", question: str = "Which port") -> Path:
    folder.mkdir()
    (folder / "per_instance_stats.json").write_text(json.dumps(entries))
    spec = {"name": f"mmlu:subject=philosophy,model={model}", "adapter_spec": {"model": model}}
    (folder / "run_spec.json").write_text(json.dumps(spec))
    states = [
        {
            "instance": {
                "input": {"text": f"{question} {one['instance_id']}?"},
                "references": [{"output": {"text": "38412"}, "tags": ["correct"]}],
                "split": "test",
                "id": one["instance_id"],
            }
        }
        for one in entries
        if isinstance(one, dict)
    ]
    (folder / "scenario_state.json").write_text(json.dumps({"request_states": states}))
    return folder


def test_scores_are_read_and_what_is_counted_beside_them_is_not(tmp_path: Path) -> None:
    entries = [entry("id1", exact_match=1, f1_score=0.5), entry("id2", exact_match=0, f1_score=None)]
    run = open_run(helm_run(tmp_path / "run", entries))
    assert run.header["model"]["name"] == "openai/gpt2"
    assert (run.header["data"]["name"], run.header["generation"]["engine"]) == ("mmlu", "helm")
    assert set(run.scores) == {"exact_match", "f1_score"}
    assert {item: score.value for item, score in run.scores["exact_match"].items()} == {"id1": 1.0, "id2": 0.0}
    assert run.scores["f1_score"]["id2"].value is None
    assert run.categories == {"id1": "test", "id2": "test"}
    # The file itself names the run, too.
    assert open_run(tmp_path / "run" / "per_instance_stats.json").scores == run.scores


def test_trials_are_averaged_and_perturbed_forms_belong_to_their_instance(tmp_path: Path) -> None:
    typos = entry("id1", exact_match=0) | {"perturbation": {"name": "misspelling"}}
    run = open_run(helm_run(tmp_path / "run", [entry("id1", 0, exact_match=1), entry("id1", 1, exact_match=0), typos]))
    values = {item: score.value for item, score in run.scores["exact_match"].items()}
    assert values == {"id1": 0.5, 'id1 {"name": "misspelling"}': 0.0}
    assert set(run.clusters.values()) == {"id1"}


def test_two_runs_are_compared_and_other_questions_under_the_same_ids_are_not(tmp_path: Path) -> None:
    rows = [entry(f"id{i}", exact_match=i % 2) for i in range(20)]
    better = [entry(f"id{i}", exact_match=1) for i in range(20)]
    first, second = helm_run(tmp_path / "a", rows), helm_run(tmp_path / "b", better, "openai/gpt4")
    other = helm_run(tmp_path / "c", better, question="Which protocol")
    assert main(["compare", str(first), str(second)]) == 0
    assert main(["compare", str(first), str(other)]) == 4
    assert [run.header["model"]["name"] for run in open_runs([first, second])] == ["openai/gpt2", "openai/gpt4"]


def test_a_field_of_the_instance_names_the_document(tmp_path: Path) -> None:
    path = helm_run(tmp_path / "run", [entry("id1", exact_match=1), entry("id2", exact_match=1)])
    assert open_run(path, Reading(cluster="split")).clusters == {"id1": "test", "id2": "test"}
    with pytest.raises(InputError, match="--cluster spilt"):
        open_run(path, Reading(cluster="spilt"))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ([], "holds no scored items"),
        ([entry("id1", exact_match=1)] * 2, "entry 2: trial 0 of instance 'id1' occurs twice"),
        ([{"stats": []}], "entry 1: no instance of HELM"),
        ([5], "entry 1: an object is expected"),
        ([entry("id1", exact_match=500)], "entry 1: exact_match"),
        ([entry("id1") | {"stats": [{"count": 1}]}], "entry 1: a statistic without a name"),
    ],
)
def test_damage_is_one_line_with_its_place(tmp_path: Path, damage: list[Any], told: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "per_instance_stats.json").write_text(json.dumps(damage))
    (folder / "run_spec.json").write_text("{}")
    with pytest.raises(InputError, match=told):
        open_run(folder)


def test_a_file_that_is_no_json_or_lacks_its_specification_is_refused(tmp_path: Path) -> None:
    folder = helm_run(tmp_path / "run", [entry("id1", exact_match=1)])
    (folder / "per_instance_stats.json").write_text("[{")
    with pytest.raises(InputError, match="is not JSON"):
        open_run(folder)
    (folder / "run_spec.json").unlink()
    with pytest.raises(InputError, match="name a finished run folder of HELM"):
        open_run(folder)
