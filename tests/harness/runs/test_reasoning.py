"""Answers of models that think: no metric sees a trace, and what a cut-off trace hides is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.datasets.loading import load_dataset
from telbench.harness.engines.contract import Request
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.folder import read_run, read_samples
from telbench.harness.runs.settings import eval_settings
from telbench.reasoning import FORMATS, Reasoning

from ...scripted_engine import NotedReporter, Script, use, write_items

TRACE = "The answer is A. Paging? No: answer to q3, entity 3, (B), \\boxed{C}. 3GPP."


def scored(folder: Path, name: str, predictions: dict[str, str], *more: str) -> list[dict]:
    rows = [{"id": item_id, "prediction": text} for item_id, text in predictions.items()]
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    out = folder / name
    assert main(["score", str(file), "--out", str(out), *more]) == 0
    return list(read_samples(out))


@pytest.mark.parametrize("name", ["qwen3", "mistral", "openai_gptoss"])
def test_an_injected_trace_moves_no_metric(tmp_path: Path, name: str) -> None:
    items = load_dataset("telecom-nano").items[:40]
    plain = {item.id: item.references[0] if place % 2 else "It uses UDP." for place, item in enumerate(items)}
    markers = FORMATS[name]
    thought = {item_id: f"{markers.start}\n{TRACE}\n{markers.end}\n\n{text}" for item_id, text in plain.items()}
    asked = ("--data", "telecom-nano", "--metrics", "ngram,refusal", "--missing-cap", "1")
    before, after = (scored(tmp_path, label, given, *asked) for label, given in (("a", plain), ("b", thought)))
    for one, other in zip(before, after, strict=True):
        assert (one["prediction"], one["scores"], one["stats"]) == (
            other["prediction"],
            other["scores"],
            other["stats"],
        )
    headers = [read_run(tmp_path / label) for label in "ab"]
    assert [header["counts"]["thought"] for header in headers] == [0, 40]
    assert headers[0]["metrics"] == headers[1]["metrics"]
    assert {line["reasoning"] for line in after if line["status"] == "ok"} == {TRACE}


def test_choices_are_never_read_out_of_a_trace(tmp_path: Path) -> None:
    data = tmp_path / "choices.jsonl"
    rows = [
        {"id": f"q{n}", "question": f"Which {n}?", "choices": ["UDP", "TCP", "SCTP"], "answer": 1} for n in range(4)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {
        "q0": "<think>The answer is A.</think>B",
        "q1": "The answer is A.</think>The answer is B.",
        "q2": "<think>The answer is B",
        "q3": "<think>The answer is B.</think>",
    }
    lines = scored(tmp_path, "run", given, "--data", str(data), "--metrics", "choice_accuracy")
    assert [line["scores"]["choice_accuracy"] for line in lines] == [1.0, 1.0, 0.0, 0.0]
    assert [line["reasoning_closed"] for line in lines] == [True, True, False, True]
    header = read_run(tmp_path / "run")
    assert (header["counts"]["thought"], header["counts"]["unclosed"], header["counts"]["empty"]) == (4, 1, 2)
    # The unclosed one might have been right: .5 to .75.
    assert header["metrics"]["choice_accuracy"]["unfinished"] == {"items": 1, "low": 0.5, "high": 0.75}


def test_answers_cut_at_the_longest_length_bound_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from ... import scripted_engine

    generate = scripted_engine.ScriptedEngine.generate

    def cut(self, requests, sampling):
        for completion in generate(self, requests, sampling):
            yield (
                replace(completion, finish_reason="length", reasoning="cut")
                if completion.text[-1] in "01"
                else completion
            )

    monkeypatch.setattr(scripted_engine.ScriptedEngine, "generate", cut)
    use(monkeypatch, Script())
    data = write_items(tmp_path / "data.jsonl")
    settings = eval_settings(model="m", data=str(data), metrics=("exact_match", "bleu"), out=tmp_path / "run")
    header = evaluate(settings, NotedReporter()).header
    assert header["metrics"]["exact_match"]["value"] == 1.0
    assert header["metrics"]["exact_match"]["unfinished"] == {"items": 2, "low": 0.75, "high": 1.0}
    assert "unfinished" not in header["metrics"]["bleu"]
    lines = list(read_samples(tmp_path / "run"))
    assert [line.get("reasoning") for line in lines] == ["cut", "cut", *[None] * 6]


def test_traces_can_be_kept_or_named_and_an_unknown_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: Request) -> str:
        return f"Here is my thought process: hm. Here is my response: answer to {request.item_id}"

    data = write_items(tmp_path / "data.jsonl")
    found = {}
    for reasoning in ("auto", "none", "granite"):
        use(monkeypatch, Script(answer=answer))
        settings = eval_settings(
            model="m", data=str(data), metrics=("exact_match",), out=tmp_path / reasoning, reasoning=reasoning
        )
        found[reasoning] = evaluate(settings, NotedReporter()).header["metrics"]["exact_match"]["value"]
    assert found == {"auto": 0.0, "none": 0.0, "granite": 1.0}
    with pytest.raises(InputError, match="did you mean 'qwen3'"):
        evaluate(eval_settings(model="m", data=str(data), reasoning="qwen"), NotedReporter())
    assert Reasoning(kept=True).separate("<think>a</think>b", None).answer == "<think>a</think>b"


def test_a_prompt_that_opens_the_trace_and_a_server_that_takes_it_away() -> None:
    opened = Reasoning("qwen3", opened=True)
    assert opened.separate("B? No.</think>C", None).answer == "C"
    assert not opened.separate("The answer is B", None).closed
    # The server has parsed the trace: what is left was not begun within it.
    apart = opened.separate("The answer is B", "A? No.")
    assert (apart.answer, apart.trace, apart.closed) == ("The answer is B", "A? No.", True)


def test_likelihoods_are_not_bounded_by_answers_that_they_do_not_read(tiny_checkpoint: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    rows = [{"id": f"q{n}", "question": f"Which {n}?", "choices": ["UDP", "TCP"], "answer": 0} for n in range(3)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, names = tmp_path / "run", "choice_accuracy,choice_likelihood,choice_letter_likelihood"
    asked = ["--data", str(data), "--engine", "transformers", "--max-tokens", "2", "--metrics", names, "--no-cache"]
    assert main(["eval", "--model", str(tiny_checkpoint), *asked, "--out", str(out)]) == 0
    metrics = read_run(out)["metrics"]
    assert [name for name in metrics if "unfinished" in metrics[name]] == ["choice_accuracy"]
