"""A teacher behind a server: its numbers against the local model's, faults of the server, and a real vLLM."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from telbench.harness.cli.main import main
from telbench.harness.datasets.items import DataSet
from telbench.kd.teacher.cache import TeacherCache

from ...scripted_server import ScriptedServer, Step
from ...vllm_server import VllmServer
from ..made_models import save_facts, save_models
from .test_sparse_cache import steps

COUNT = 4


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, facts: DataSet) -> Path:
    folder = save_models(tmp_path_factory.mktemp("models"), facts)
    save_facts(folder / "facts.jsonl", facts)
    # What is had of a model that is served elsewhere.
    AutoTokenizer.from_pretrained(folder / "teacher").save_pretrained(folder / "tokenizer")
    (folder / "tokenizer" / "config.json").write_bytes((folder / "teacher" / "config.json").read_bytes())
    return folder


@pytest.fixture(scope="module")
def told(place: Path) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What vLLM answers to a completion with prompt_logprobs, computed by the local model."""
    model = AutoModelForCausalLM.from_pretrained(place / "teacher").eval()
    tokenizer = AutoTokenizer.from_pretrained(place / "teacher")

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        ids, count = request["prompt"], request["prompt_logprobs"]
        with torch.no_grad():
            log_p = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        entries: list[Any] = [None]
        for place, said in enumerate(ids[1:]):
            values, best = log_p[place].topk(count)
            row = dict(zip(best.tolist(), values.tolist(), strict=True)) | {said: float(log_p[place, said])}
            entries.append(
                {
                    str(index): {"logprob": value, "decoded_token": tokenizer.decode([index])}
                    for index, value in row.items()
                }
            )
        choice = {"index": 0, "text": "x", "finish_reason": "length", "prompt_logprobs": entries}
        return {"object": "text_completion", "model": "scripted", "choices": [choice]}

    return answer


def cached(
    server: str, place: Path, out: Path, *words: str, tokenizer: str = "tokenizer", model: str = "scripted"
) -> int:
    data = ["--data", str(place / "facts.jsonl"), "--max-length", "96", "--out", str(out), "--limit", "6"]
    served = [f"openai:{model}@{server}", "--tokenizer", str(place / tokenizer), "--top-k", str(COUNT)]
    return main(["kd", "cache", *served, *data, *words])


def local(place: Path, out: Path) -> TeacherCache:
    data = ["--data", str(place / "facts.jsonl"), "--max-length", "96", "--out", str(out), "--limit", "6"]
    assert main(["kd", "cache", str(place / "teacher"), "--top-k", str(COUNT), *data]) == 0
    return TeacherCache(out)


def test_a_served_teacher_gives_the_rows_of_the_local_one_and_trains_its_student(
    scripted_server: ScriptedServer, place: Path, tmp_path: Path, told: Any
) -> None:
    scripted_server.script = lambda _number, request: Step(body=json.dumps(told(request)).encode())
    assert cached(scripted_server.base_url, place, tmp_path / "served") == 0
    assert set(scripted_server.paths) == {"/v1/completions"}
    served, own = TeacherCache(tmp_path / "served"), local(place, tmp_path / "own")
    assert served.form is not None
    assert served.form.served == "scripted"
    assert served.record["key"]["weights_sha256"] == "served: scripted"
    assert len(served) == len(own) == 6
    for item, ours in own._places.items():
        theirs = served._places[item]
        assert torch.allclose(theirs.tensors["rows"][theirs.rows], ours.tensors["rows"][ours.rows], atol=1e-5)
    words = ["--student", str(place / "student"), "--data", str(place / "facts.jsonl"), "--max-length", "96"]
    words += ["--limit", "6", "--epochs", "1", "--batch-size", "3", "--algorithm", "vanilla_kd", "--temperature", "1"]
    for name, teacher in (("served", "tokenizer"), ("own", "teacher")):
        out = [
            "--teacher",
            str(place / teacher),
            "--teacher-cache",
            str(tmp_path / name),
            "--out",
            str(tmp_path / f"m-{name}"),
        ]
        assert main(["kd", "distill", *words, *out]) == 0
    ours, theirs = steps(tmp_path / "m-own"), steps(tmp_path / "m-served")
    assert [each["loss"] for each in ours] == pytest.approx([each["loss"] for each in theirs], rel=1e-5)
    note = json.loads((tmp_path / "m-served" / "telbench.json").read_text())
    assert "served: scripted" in json.dumps(note)


def test_a_server_that_is_busy_or_stumbles_is_asked_again(
    scripted_server: ScriptedServer, place: Path, tmp_path: Path, told: Any
) -> None:
    def script(number: int, request: dict[str, Any]) -> Step:
        if number in {0, 3}:
            return Step(
                status=429 if number else 500, body=b'{"error": {"message": "busy"}}', headers={"Retry-After": "0"}
            )
        return Step(body=b"{garbage" if number == 5 else json.dumps(told(request)).encode())

    scripted_server.script = script
    assert cached(scripted_server.base_url, place, tmp_path / "served") == 0
    assert len(scripted_server.requests) == 9
    assert len(TeacherCache(tmp_path / "served")) == 6


def spoilt(change: Callable[[list[Any]], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        answer["choices"][0]["prompt_logprobs"] = change(answer["choices"][0]["prompt_logprobs"])
        return answer

    return spoil


def with_rows(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return spoilt(lambda rows: [None, *(change(row) for row in rows[1:])])


FAULTS: list[tuple[Any, str]] = [
    (spoilt(lambda rows: None), "no prompt_logprobs: a served teacher must be a vLLM server"),
    (spoilt(lambda rows: rows[:-2]), "it reads other tokens"),
    (with_rows(lambda row: dict(list(row.items())[-2:])), "prompt_logprobs tell 2 tokens of a row, not 4"),
    (with_rows(lambda row: dict(list(row.items())[:-1]) if len(row) > COUNT else row), "leave out the token"),
    (with_rows(lambda row: None), "leave out the token"),
    (with_rows(lambda row: {key: {} for key in row}), "prompt_logprobs cannot be read: KeyError"),
    (with_rows(lambda row: {key: {**value, "logprob": 0.5} for key, value in row.items()}), "no logarithms"),
    (
        with_rows(lambda row: {key: {**value, "decoded_token": f"<{key}>"} for key, value in row.items()}),
        "has another vocabulary than the tokenizer here",
    ),
]


@pytest.mark.parametrize(("fault", "line"), FAULTS)
def test_an_answer_that_is_none_is_refused_in_one_line_and_stores_nothing(
    scripted_server: ScriptedServer, place: Path, tmp_path: Path, told: Any, fault: Any, line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    scripted_server.script = lambda _number, request: Step(body=json.dumps(fault(told(request))).encode())
    assert cached(scripted_server.base_url, place, tmp_path / "served") == 2
    shown = capsys.readouterr().err
    assert line in shown
    assert "Traceback" not in shown
    assert not list((tmp_path / "served").glob("rows-*"))


def test_a_server_that_takes_no_such_request_says_why(
    scripted_server: ScriptedServer, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = b'{"error": {"message": "Requested prompt logprobs of 4, which is greater than max allowed: 3"}}'
    scripted_server.script = lambda _number, request: Step(status=400, body=body)
    assert cached(scripted_server.base_url, place, tmp_path / "served") == 2
    assert "greater than max allowed: 3" in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_vllm_server_tells_what_the_model_itself_says(
    vllm_server: VllmServer, facts: DataSet, tmp_path: Path
) -> None:
    data = save_facts(tmp_path / "facts.jsonl", facts)
    words = ["--data", str(data), "--max-length", "512", "--limit", "6", "--top-k", str(COUNT)]
    folder = str(vllm_server.checkpoint)
    served = [f"openai:tiny@{vllm_server.base_url}", "--tokenizer", folder, "--out", str(tmp_path / "served")]
    assert main(["kd", "cache", *served, *words]) == 0
    assert main(["kd", "cache", folder, "--out", str(tmp_path / "own"), *words]) == 0
    ours, theirs = TeacherCache(tmp_path / "own"), TeacherCache(tmp_path / "served")
    assert len(ours) == 6
    for item, mine in ours._places.items():
        other = theirs._places[item]
        rows, told = (each.tensors["rows"][each.rows] for each in (mine, other))
        assert rows.shape == told.shape
        assert torch.allclose(rows[:, COUNT:], told[:, COUNT:], atol=1e-4)
        # Two tokens of equal chance may come in either order.
        assert (rows[:, :COUNT] == told[:, :COUNT]).float().mean() > 0.98
