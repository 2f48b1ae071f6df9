"""Users' own prompts in a run: what reaches the engine, the run's identity and its folder; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from telbench.config import changed, read_yaml, settings_in
from telbench.errors import InputError
from telbench.harness.adaptive.settings import AdaptiveOptions
from telbench.harness.cli.main import main
from telbench.harness.engines.contract import Message, Request, Sampling, engine_named
from telbench.harness.prompts.build import PromptSettings
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.folder import Run, read_samples
from telbench.harness.runs.plan import _refuse_stray_options as refuse_stray_options
from telbench.harness.runs.plan import make_plan
from telbench.harness.runs.prompting import template_variables
from telbench.harness.runs.settings import (
    EngineOptions,
    EvalSettings,
    GivenAnswers,
    PromptOptions,
    SamplingOptions,
    eval_settings,
)

from ...checkpoints import TEMPLATE
from ...scripted_engine import NotedReporter, Script, use, write_items


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight questions to test with, and twelve to learn from, of which two share the document of a tested one."""
    file = write_items(tmp_path / "data.jsonl")
    with file.open("a") as stream:
        for n in range(12):
            row = {"id": f"t{n}", "question": f"Which is rule {n}?", "references": [f"rule {n}"], "split": "train"}
            row["source_document"] = "TS 38.0" if n < 2 else f"TS 29.{n}"
            stream.write(json.dumps(row) + "\n")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({"split": "test", **line}) + "\n" for line in lines))
    return file


def made(monkeypatch: pytest.MonkeyPatch, data: Path, out: Path, **asked: Any) -> tuple[Run, list[Request], list[str]]:
    """The run of these settings, what its engine was asked, and what was told."""
    seen: list[Request] = []

    def answer(request: Request) -> str:
        seen.append(request)
        return "an answer"

    use(monkeypatch, Script(answer=answer))
    reporter = NotedReporter()
    settings = eval_settings(model="m", data=str(data), metrics=("token_f1",), context="closed", out=out, **asked)
    return evaluate(settings, reporter), seen, reporter.notes


def roles(messages: Sequence[Message]) -> list[str]:
    return [message["role"] for message in messages]


def test_system_instruction_and_examples_reach_the_engine_and_the_folder(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"system": "Be brief.", "instruction": "Name it.", "few_shot": 3}
    run, seen, notes = made(monkeypatch, data, tmp_path / "run", **asked)
    assert len(seen) == 8
    for request in seen:
        assert roles(request.messages) == ["system", *["user", "assistant"] * 3, "user"]
        assert request.messages[0]["content"] == "Be brief."
        assert request.messages[-1]["content"].startswith("Name it.\nQuestion: What does entity")
        assert all("rule" in request.messages[place]["content"] for place in (1, 2, 3, 4, 5, 6))
    assert not [note for note in notes if "examples" in note]
    added = {"system": "Be brief.", "instruction": "Name it.", "few_shot": 3, "few_shot_from": "train"}
    assert run.header["prompt"].items() >= added.items()
    assert run.header["depends_on"]["prompt_settings"].items() >= added.items()
    for sample in read_samples(run.path):
        assert len(sample["examples"]) == 3
        # q0 and q1 are of the document that t0 and t1 are of.
        assert sample["item_id"] not in ("q0", "q1") or not {"t0", "t1"} & set(sample["examples"])
    again = evaluate(changed(settings_of(run), out=tmp_path / "again"), NotedReporter())
    assert again.header["run_id"] == run.header["run_id"]


def settings_of(run: Run) -> EvalSettings:
    return eval_settings(**read_yaml(run.path / "run.yaml"))


def test_each_setting_makes_another_run_and_none_leaves_the_identity_alone(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Script())
    template, examples = tmp_path / "t.j2", tmp_path / "e.jsonl"
    template.write_text("{{ instruction }} {{ question }}")
    examples.write_text(json.dumps({"question": "Which?", "references": ["x"]}))
    usual = eval_settings(model="m", data=str(data), metrics=("token_f1",))
    plans = [
        make_plan(changed(usual, **asked), NotedReporter())
        for asked in (
            {},
            {"system": "x"},
            {"instruction": "x"},
            {"template": template},
            {"raw": True},
            {"few_shot": 1},
            {"few_shot": 2},
            {"few_shot_file": examples},
            {"stop": ["x"]},
            {"temperature": 0.5},
            {"temperature": 0.5, "top_k": 5},
            {"temperature": 0.5, "min_p": 0.1},
            {"repetition_penalty": 1.1},
        )
    ]
    assert len({plan.run_id for plan in plans}) == len(plans)
    assert set(plans[0].depends_on["prompt_settings"]) == {"book", "choice_seed", "chat", "version"}
    assert set(plans[0].depends_on["sampling"]) == {"max_tokens", "temperature", "top_p", "seed", "stop"}
    assert PromptSettings("closed").recorded["book"] == "closed"
    assert plans[-3].depends_on["sampling"]["top_k"] == 5
    assert Sampling(top_k=3).added == {"top_k": 3}


def test_a_template_that_shows_no_context_makes_a_closed_book(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Script())
    silent, telling = tmp_path / "a.j2", tmp_path / "b.j2"
    silent.write_text("{{ question }}")
    telling.write_text("{{ context }} {{ question }}")
    usual = eval_settings(model="m", data=str(data), metrics=("token_f1",))
    books = [
        make_plan(changed(usual, **asked), NotedReporter()).book
        for asked in ({}, {"template": silent}, {"template": telling}, {"raw": True})
    ]
    assert books == ["open", "closed", "open", "closed"]


def refusal(data: Path, **asked: Any) -> str:
    settings = {"engine": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "data": str(data), **asked}
    with pytest.raises(InputError) as caught:
        make_plan(eval_settings(**settings), NotedReporter())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_options_that_contradict_each_other_are_refused(tmp_path: Path, data: Path) -> None:
    template = tmp_path / "t.j2"
    template.write_text("{{ question }}")
    for asked, said in (
        ({"raw": True, "template": template}, "--raw and --template"),
        ({"raw": True, "instruction": "x"}, "--raw shows no --instruction"),
        ({"raw": True, "context": "open"}, "--raw shows no context"),
        ({"template": template, "context": "open"}, "does not write the context"),
        ({"template": template, "instruction": "x"}, "does not write the instruction"),
        ({"top_k": 3}, "--top-k narrows draws, but --temperature 0"),
        ({"min_p": 0.3}, "--min-p narrows draws, but --temperature 0"),
        ({"stop": [""]}, "--stop ''"),
    ):
        assert said in refusal(data, **asked)


def test_examples_that_are_not_there_are_told(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = write_items(tmp_path / "bare.jsonl")
    assert refusal(bare, few_shot=2) == (
        "--few-shot 2: the split 'train' has 0 items with an answer: name a file of examples with --few-shot-file"
    )
    one = tmp_path / "one.jsonl"
    one.write_text(json.dumps({"question": "Which?", "references": ["x"], "source_document": "TS 38.1"}))
    assert f"--few-shot 2: {one} has 1 items with an answer" in refusal(bare, few_shot=2, few_shot_file=one)
    assert "cannot be read" in refusal(bare, few_shot_file=tmp_path / "none.jsonl")
    many = write_items(tmp_path / "many.jsonl", 101)
    assert f"{many} has 101 examples: say how many with --few-shot N" in refusal(bare, few_shot_file=many)
    # Two of the eight items are of the example's own document.
    run, seen, notes = made(monkeypatch, bare, tmp_path / "run", few_shot_file=one)
    assert sorted(len(request.messages) for request in seen) == [1, 1, 3, 3, 3, 3, 3, 3]
    assert "2 of 8 prompts have fewer than 1 examples" in " ".join(notes)
    assert run.header["prompt"]["few_shot_from"].startswith("one.jsonl sha256:")


VALUES = {
    "answers": "a.jsonl",
    "shown_order": "seed",
    "missing_cap": 0.5,
    "base_url": "http://x",
    "max_in_flight": 3,
    "deadline": 5,
    "dtype": "float32",
    "max_model_len": 77,
    "trust_remote_code": True,
    "chat_template": False,
    "chat_template_kwargs": {"a": "1"},
    "few_shot": 1,
    "max_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.5,
    "stop": ["x"],
    "top_k": 2,
    "min_p": 0.5,
    "repetition_penalty": 1.5,
    "raw": True,
    "samples": 3,
    "replicas": 2,
    "replica_options": {"num_cpus": "1"},
    "parameters": 7e9,
    "tokens_per_second": 5.0,
    "cost": 1.0,
    "factors": {"algorithm": "dskd"},
    "adaptive": True,
    "margins": {"token_f1": 0.1},
    "alpha": 0.01,
    "at_most": 0.5,
}


READERS = {key: each.told["engines"] for key, each in settings_in(EvalSettings).items() if "engines" in each.told}


@pytest.mark.parametrize("key", READERS)
@pytest.mark.parametrize("engine", ["transformers", "openai", "replay"])
def test_what_an_engine_does_not_read_is_refused(engine: str, key: str) -> None:
    spec, _ = engine_named(engine)
    base = {"replay": {"answers": "a"}, "openai": {"temperature": 0.5}, "transformers": {"temperature": 0.5}}[engine]
    model = {} if engine == "replay" else {"model": "m"}
    settings = eval_settings(engine=engine, **{**model, **base, key: VALUES.get(key, "text")})
    if {"transformers": "local"}.get(engine, engine) in READERS[key]:
        refuse_stray_options(settings, spec)
        return
    with pytest.raises(InputError) as caught:
        refuse_stray_options(settings, spec)
    assert " belongs to --engine " in str(caught.value)
    assert f"this is {engine}" in str(caught.value)


def test_every_option_of_prompts_and_sampling_has_its_readers() -> None:
    kinds = (PromptOptions, SamplingOptions, EngineOptions, GivenAnswers, AdaptiveOptions)
    # Read by every engine: seed orders options, context and reasoning are what answers are scored by.
    shared = {"context", "reasoning", "seed", "engine", "online"}
    # Read by engines that declare options of their own.
    shared |= {"engine_option", "deterministic"}
    assert {key for kind in kinds for key in settings_in(kind)} - shared == set(READERS)


def test_answers_from_a_file_take_context_and_reasoning_alone(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "a.jsonl"
    answers.write_text("".join(json.dumps({"id": f"q{n}", "prediction": "x"}) + "\n" for n in range(8)))
    asked = ["score", str(answers), "--data", str(data), "--metrics", "token_f1", "--out", str(tmp_path / "run")]
    assert main([*asked, "--context", "open", "--reasoning", "none"]) == 0
    for option in (["--system", "x"], ["--few-shot", "2"], ["--raw"], ["--template", "t"], ["--top-k", "1"]):
        assert main([*asked, *option]) == 2
        assert f"unknown option {option[0]}" in capsys.readouterr().err
    config = tmp_path / "c.yaml"
    config.write_text("system: x\n")
    assert main([*asked, "--config", str(config)]) == 2
    assert "--system belongs to --engine" in capsys.readouterr().err


def test_variables_are_read_as_json_where_they_are() -> None:
    given = {"a": "false", "b": "low", "c": "3", "d": True, "e": "NaN"}
    assert template_variables(given) == {"a": False, "b": "low", "c": 3, "d": True, "e": "NaN"}


def test_a_chat_template_from_a_file_is_another_models(tiny_checkpoint: Path, tmp_path: Path, data: Path) -> None:
    own, other = tmp_path / "own.jinja", tmp_path / "other.jinja"
    own.write_text(TEMPLATE)
    other.write_text(TEMPLATE.replace("<|assistant|>", "{% if think %}<think>{% endif %}"))
    usual = eval_settings(
        model=str(tiny_checkpoint), engine="transformers", data=str(data), metrics=("token_f1",), max_tokens=20
    )
    plans = [
        make_plan(changed(usual, **asked), NotedReporter())
        for asked in (
            {},
            {"chat_template_file": own},
            {"chat_template_file": other},
            {"chat_template_file": other, "chat_template_kwargs": {"think": "true"}},
        )
    ]
    assert [plan.run_id for plan in plans[:2]] == [plans[0].run_id] * 2
    assert len({plan.run_id for plan in plans}) == 3
    with pytest.raises(InputError, match="does not read it"):
        make_plan(changed(usual, chat_template_kwargs={"think": "true"}), NotedReporter())
    with pytest.raises(InputError, match="--no-chat-template and --chat-template"):
        make_plan(changed(usual, chat_template=False, chat_template_file=own), NotedReporter())


def test_fifty_examples_in_a_small_window_are_counted(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    many = tmp_path / "many.jsonl"
    rows = ({"question": f"Which rule is rule {n}?", "references": [f"rule {n}"]} for n in range(50))
    many.write_text("".join(json.dumps(row) + "\n" for row in rows))
    use(monkeypatch, Script(), local=True)
    reporter = NotedReporter()
    settings = eval_settings(
        model=str(tiny_checkpoint), data=str(write_items(tmp_path / "d.jsonl")), metrics=("token_f1",), few_shot=50
    )
    settings = changed(settings, few_shot_file=many, max_tokens=64, out=tmp_path / "run")
    run = evaluate(settings, reporter)
    assert "8 of 8 prompts leave out examples that do not fit the window" in reporter.notes
    assert run.header["counts"] == {**run.header["counts"], "ok": 8, "truncated": 0, "examples_left_out": 8}
    assert all(0 < len(sample["examples"]) < 50 for sample in read_samples(run.path))
