"""The JSON Schemas of a run's files, held against runs of every kind: they are the contract for scripts."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from telbench.config import changed
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.folder import Run
from telbench.harness.runs.settings import eval_settings

from ...scripted_engine import NotedReporter, Script, use, write_items

CHOICES = ["the AMF", "the SMF", "the UPF", "the NRF"]
# Section by section what scripts may count on; the schema must require all of it.
HEADER_FIELDS = (
    "schema_version run_id status created command telbench packages machine model factors data generation judge "
    "metrics counts tokens seconds"
)
MODEL_FIELDS = "name path weights_sha256 tokenizer_sha256 chat_template_sha256 parameters"
DATA_FIELDS = "name split n items_sha256 prompts_sha256 dropped"
METRIC_FIELDS = "value ci_low ci_high ci_method n n_missing missing signature family higher_is_better range level"
SAMPLE_FIELDS = (
    "item_id cluster_id category question context_sha256 references prediction finish_reason status scores stats"
)


def schema(name: str) -> dict[str, Any]:
    return json.loads((files("telbench.harness") / name).read_text(encoding="utf-8"))


RUN, SAMPLE = (Draft202012Validator(schema(name)) for name in ("run.schema.json", "sample.schema.json"))


@pytest.fixture(scope="module")
def made(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of open questions, one of multiple choice, and one in which an item failed and one has no value."""
    folder = tmp_path_factory.mktemp("runs")
    choices = folder / "choices.jsonl"
    with choices.open("w") as stream:
        for index in range(6):
            record = {
                "id": f"c{index}",
                "question": f"Who serves slice {index}?",
                "choices": CHOICES,
                "answer": index % 4,
            }
            stream.write(json.dumps(record) + "\n")
    runs = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELBENCH_CACHE", str(folder / "cache"))
        questions = eval_settings(
            model=str(tiny_checkpoint),
            engine="transformers",
            data=str(write_items(folder / "open.jsonl", 6)),
            metrics=("ngram",),
            max_tokens=6,
            out=folder / "open",
        )
        runs["open"] = evaluate(questions, NotedReporter(), ["telbench", "eval", "--name", "caf\udce9"])
        of_choice = changed(questions, data=str(choices), metrics=("choice",), out=folder / "choice")
        runs["choice"] = evaluate(of_choice, NotedReporter())
        own = {
            "system": "Be brief.",
            "few_shot_file": questions.data.data,
            "samples": 3,
            "temperature": 0.9,
            "top_k": 9,
        }
        runs["own"] = evaluate(changed(questions, metrics=("exact_match",), out=folder / "own", **own), NotedReporter())
        use(patch, Script(errors=frozenset({"q1"})))
        failing = changed(questions, model="m", metrics=("ngram", "choice_accuracy"), out=folder / "errors")
        runs["errors"] = evaluate(failing, NotedReporter())
    return runs


def not_a_number(name: str) -> float:
    raise AssertionError(f"{name} was written")


def samples_of(run: Run) -> list[dict[str, Any]]:
    lines = (run.path / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line, parse_constant=not_a_number) for line in lines]


@pytest.mark.parametrize("name", ["run.schema.json", "sample.schema.json"])
def test_the_schemas_are_valid_and_shipped(name: str):
    Draft202012Validator.check_schema(schema(name))


def test_the_schemas_require_what_the_contract_promises():
    header, sample = schema("run.schema.json"), schema("sample.schema.json")
    assert set(HEADER_FIELDS.split()) <= set(header["required"])
    assert set(MODEL_FIELDS.split()) <= set(header["properties"]["model"]["required"])
    assert set(DATA_FIELDS.split()) <= set(header["properties"]["data"]["required"])
    assert set(METRIC_FIELDS.split()) <= set(header["$defs"]["metric"]["required"])
    assert {"ok", "error", "truncated", "empty"} <= set(header["properties"]["counts"]["required"])
    assert {"load", "generate", "score"} <= set(header["properties"]["seconds"]["required"])
    assert set(SAMPLE_FIELDS.split()) <= set(sample["required"])


@pytest.mark.parametrize("kind", ["open", "choice", "own", "errors"])
def test_a_run_of_each_kind_keeps_the_schemas(made: dict[str, Run], kind: str):
    text = (made[kind].path / "run.json").read_text(encoding="utf-8")
    RUN.validate(json.loads(text, parse_constant=not_a_number))
    samples = samples_of(made[kind])
    assert samples
    for sample in samples:
        SAMPLE.validate(sample)


def test_open_questions_have_corpus_statistics_and_choices_their_likelihoods(made: dict[str, Run]):
    assert all({"bleu", "chrf", "ter"} <= set(sample["stats"]) for sample in samples_of(made["open"]))
    for sample in samples_of(made["choice"]):
        assert sorted(sample["shown_choices"]) == [0, 1, 2, 3]
        assert all(value < 0 for value in sample["option_scores"])
    assert made["choice"].header["metrics"]["choice_likelihood"]["n"] == 6


def test_an_error_and_a_metric_that_does_not_apply_are_null_with_reasons(made: dict[str, Run]):
    (failed,) = [sample for sample in samples_of(made["errors"]) if sample["status"] == "error"]
    assert failed["error"] == "scripted failure"
    assert set(failed["scores"].values()) == {None}
    entry = made["errors"].header["metrics"]["choice_accuracy"]
    assert (entry["value"], entry["n"], entry["missing"]) == (None, 0, {"generation failed": 1, "no choices": 5})
    for entry in made["errors"].header["metrics"].values():
        assert sum(entry["missing"].values()) == entry["n_missing"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("status",), "partial"),
        (("metrics",), {}),
        (("metrics", "bleu", "value"), "12"),
        (("metrics", "bleu", "ci_low"), None),
        (("metrics", "bleu", "value"), None),
        (("counts", "ok"), -1),
        (("data", "items_sha256"), "x"),
        (("seconds",), {}),
    ],
)
def test_a_header_that_breaks_the_contract_is_refused(made: dict[str, Run], path: tuple[str, ...], value: Any):
    header = json.loads(json.dumps(made["open"].header))
    inner = header
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    assert not RUN.is_valid(header)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "error"),
        ("error", "told but ok"),
        ("scores", {"bleu": "1"}),
        ("item_id", ""),
        ("choices", ["a", "b"]),
    ],
)
def test_a_sample_that_breaks_the_contract_is_refused(made: dict[str, Run], field: str, value: Any):
    assert not SAMPLE.is_valid({**samples_of(made["open"])[0], field: value})
