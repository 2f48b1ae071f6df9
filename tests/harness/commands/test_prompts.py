"""``telbench prompts``: the very prompts of the run, told safely, before anything is loaded or asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main
from telbench.harness.cli.terminal import Reporter
from telbench.harness.engines.contract import NEUTRAL
from telbench.harness.runs.plan import make_plan
from telbench.harness.runs.settings import eval_settings

from ...scripted_engine import write_items

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_items(tmp_path / "data.jsonl")


def printed(capsys: Capture, *asked: str) -> dict[str, Any]:
    assert main(["prompts", *asked, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_prompts_are_those_of_the_run(tiny_checkpoint: Path, data: Path, capsys: Capture) -> None:
    examples = ["--few-shot-file", str(data), "--few-shot", "4", "--system", "Be brief.", "--max-tokens", "30"]
    asked = [str(tiny_checkpoint), "--engine", "transformers", "--data", str(data), *examples]
    found = printed(capsys, *asked, "-n", "8")
    plan = make_plan(
        eval_settings(
            model=str(tiny_checkpoint),
            engine="transformers",
            data=str(data),
            few_shot=4,
            few_shot_file=data,
            system="Be brief.",
            max_tokens=30,
            metrics=("token_f1",),
        ),
        Reporter(),
    )
    for shown, planned in zip(found["prompts"], plan.prompts, strict=True):
        assert shown["token_ids"] == list(planned.request.token_ids)
        assert shown["examples"] == list(planned.examples)
    assert found["prompt"] == plan.depends_on["prompt_settings"]
    assert found["sampling"] == {**NEUTRAL, **plan.depends_on["sampling"], "stop": [], "marks": []}
    lengths = [len(each.request.token_ids) for each in plan.prompts]
    assert (found["tokens"]["least"], found["tokens"]["most"]) == (min(lengths), max(lengths))
    assert found["window"] == 512
    assert found["examples_left_out"] == sum(each.left_out > 0 for each in plan.prompts)
    assert found["prompts"][0]["text"].startswith("<s><|system|>Be brief.</s><|user|>")
    assert found["prompts"][0]["text"].endswith("<|assistant|>")


def test_a_person_reads_text_ids_and_what_was_cut(tiny_checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
    data = write_items(tmp_path / "d.jsonl", 2, context="The cell broadcasts blocks. " * 300)
    assert main(["prompts", str(tiny_checkpoint), "--engine", "transformers", "--data", str(data), "-n", "1"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "tiny-llama (transformers) on d test: 2 prompts\nprompt: book open, choice_seed 0, chat True"
    )
    assert "max-tokens 128, temperature 0, seed 0\nreasoning format: none found\n" in text
    assert "2 contexts cut, 0 prompts without all their examples, 0 that do not fit" in text
    assert text.count("=== ") == 1
    assert "context cut)\n<s><|user|>" in text
    ids = text.rpartition("--- token ids\n")[2].split()
    assert all(map(str.isdecimal, ids))
    assert f"=== q0 ({len(ids)} tokens, context cut)" in text


def test_a_server_is_shown_messages_and_not_asked(data: Path, capsys: Capture) -> None:
    server = ["--engine", "openai", "--base-url", "http://127.0.0.1:9/v1", "--data", str(data), "--context", "closed"]
    found = printed(capsys, "name", *server, "--system", "Be brief.", "-n", "2")
    assert len(found["prompts"]) == 2
    assert found["tokens"] is None
    assert [message["role"] for message in found["prompts"][0]["messages"]] == ["system", "user"]
    assert main(["prompts", "name", *server, "-n", "1"]) == 0
    assert "--- user\nAnswer the telecom question in one or two sentences.\nQuestion:" in capsys.readouterr().out


def test_hostile_text_is_shown_and_not_done(tmp_path: Path, capsys: Capture) -> None:
    data = write_items(tmp_path / "d.jsonl", 1, question="red \x1b[31m \0 \u202e 😀?", context=None)
    server = ["--engine", "openai", "--base-url", "http://127.0.0.1:9/v1", "--data", str(data)]
    assert main(["prompts", "name\x1b[0m", *server, "--system", "\x07"]) == 0
    text = capsys.readouterr().out
    assert not {"\x1b", "\0", "\u202e", "\x07"} & set(text)
    assert "\\x1b[31m" in text
    assert "😀" in text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "MODEL is missing"),
        (["m", "--engine", "openai"], "base-url"),
        (["no-such-folder"], "no-such-folder"),
        (["m", "-n", "0"], "n is 0: it must be between"),
        (["m", "--answers", "x"], "unknown option --answers"),
        (["m", "--engine", "replay"], "--engine replay takes --answers"),
    ],
)
def test_what_cannot_be_is_one_line(asked: list[str], said: str, capsys: Capture) -> None:
    assert main(["prompts", *asked]) == 2
    line = capsys.readouterr().err.strip()
    assert said in line.splitlines()[-1]
