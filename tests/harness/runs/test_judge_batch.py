"""``--judge-batch`` as a user has it: half the price, a kill between submission and answer, and servers without it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from telbench.harness.cli.main import main

from ...judges.server.served_judges import LOGPROBS, PROBE_REPLY, SCORE
from ...scripted_batches import BatchServer, answered, batch_server, result
from ...scripted_server import completion_body
from .test_schema import schema

COUNT = 5


def single(request: dict[str, Any]) -> bytes:
    probed = "Greet the reader" in request["messages"][-1]["content"]
    return completion_body(PROBE_REPLY, logprobs=LOGPROBS) if probed else completion_body(SCORE)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    with batch_server(monkeypatch, single, answered(SCORE)) as found:
        yield found


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: BatchServer) -> list[str]:
    """Scores five given answers in batches; ``--out`` is the last word but one."""
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    items = [{"id": f"q{n}", "question": f"Node {n}?", "references": [f"node {n}"]} for n in range(COUNT)]
    given = [{"id": f"q{n}", "prediction": f"It is node {n}."} for n in range(COUNT)]
    for name, rows in (("items", items), ("answers", given)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prices = {"scripted": {"prompt": 1e6, "completion": 1e5}, "currency": "EUR"}
    (tmp_path / "prices.json").write_text(json.dumps(prices))
    return [
        *("score", str(tmp_path / "answers.jsonl"), "--data", str(tmp_path / "items.jsonl"), "--split", "all"),
        *("--metrics", "rubric_score", "--judge", f"openai:scripted@{server.base_url}", "--judge-batch"),
        *("--judge-prices", str(tmp_path / "prices.json"), "--out", str(tmp_path / "run")),
    ]


def header(place: Path) -> dict[str, Any]:
    return json.loads((place / "run" / "run.json").read_text())


def test_a_run_in_batches_costs_half_and_has_the_metrics_of_any_other(
    words: list[str], tmp_path: Path, server: BatchServer, capsys: pytest.CaptureFixture[str]
):
    assert main(words) == 0
    told = capsys.readouterr()
    # 5 verdicts at 3 and .2 each, and half of that.
    assert ": 8.00 EUR (15 prompt and 10 completion tokens, 15 and 10 of them in batches)" in told.out
    assert f"batch batch_0: {COUNT} requests submitted to {server.base_url}" in told.err
    found = header(tmp_path)
    Draft202012Validator(schema("run.schema.json")).validate(found)
    assert found["judge"]["judges"][0]["batch"] is True
    assert found["metrics"]["rubric_score"]["value"] == 4.0
    # The same judge asked one by one knows these verdicts, at the price that was paid.
    alone = [word for word in words[:-1] if word != "--judge-batch"]
    assert main([*alone, str(tmp_path / "other")]) == 0
    assert ": 8.00 EUR" in capsys.readouterr().out
    assert len(server.batches) == 1
    assert main(["compare", str(tmp_path / "run"), str(tmp_path / "other")]) == 0
    assert main([*alone, str(tmp_path / "fresh"), "--fresh"]) == 0
    assert ": 16.00 EUR" in capsys.readouterr().out


def test_a_killed_run_picks_its_batch_up(
    words: list[str], tmp_path: Path, server: BatchServer, capsys: pytest.CaptureFixture[str]
):
    server.looks = 10**6
    process = subprocess.Popen(
        [sys.executable, "-m", "telbench", *words],
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    file, until = tmp_path / "run" / "batches.jsonl", time.monotonic() + 240
    while time.monotonic() < until and not (file.exists() and "submitted" in file.read_text()):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(server.batches) == 1
    server.batches["batch_0"]["looks"] = 1
    assert main(words) == 0
    assert "batch batch_0 of" in capsys.readouterr().err
    assert header(tmp_path)["metrics"]["rubric_score"]["n"] == COUNT
    assert len(server.batches) == 1
    assert len(server.asked) == COUNT


def test_a_server_without_batches_is_one_line_and_nothing_is_lost(
    words: list[str], tmp_path: Path, server: BatchServer, capsys: pytest.CaptureFixture[str]
):
    server.absent = True
    assert main(words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "has no Batch API" in error
    assert "leave --judge-batch out" in error
    assert main([word for word in words if word != "--judge-batch"]) == 0
    assert header(tmp_path)["metrics"]["rubric_score"]["n"] == COUNT


def test_verdicts_that_a_batch_left_out_are_told_and_asked_for_again(
    words: list[str], tmp_path: Path, server: BatchServer, capsys: pytest.CaptureFixture[str]
):
    def shy(name: str, body: dict[str, Any]) -> dict[str, Any] | None:
        about = "node 3." in body["messages"][0]["content"]
        return None if about else result(name, json.loads(completion_body(SCORE)))

    server.answer = shy
    assert main(words) == 0
    assert "verdicts missing: 1" in capsys.readouterr().err
    assert header(tmp_path)["metrics"]["rubric_score"]["missing"] == {"judge: error": 1}
    server.answer = answered(SCORE)
    before = len(server.asked)
    assert main(words) == 0
    assert header(tmp_path)["metrics"]["rubric_score"]["n"] == COUNT
    assert len(server.asked) == before + 1


def test_a_calibration_goes_through_batches_too(
    words: list[str], tmp_path: Path, server: BatchServer, capsys: pytest.CaptureFixture[str]
):
    fields = {"answer": "So.", "reference": "node", "score": 4}
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"question": f"Node {n}?", **fields}) + "\n" for n in range(COUNT)))
    out = tmp_path / "calibration"
    command = ["judge", "calibrate", str(labels), "--judge", words[words.index("--judge") + 1], "--judge-batch"]
    assert main([*command, "--judge-prices", str(tmp_path / "prices.json"), "--out", str(out)]) == 0
    assert ": 8.00 EUR" in capsys.readouterr().out
    assert (out / "batches.jsonl").exists()
    assert len(server.asked) == COUNT


def test_judges_that_have_no_server_have_no_batches(words: list[str], capsys: pytest.CaptureFixture[str]):
    local = ["local:nowhere" if word.startswith("openai:") else word for word in words]
    assert main(local) == 2
    assert "--judge-batch is for judges behind a server" in capsys.readouterr().err
