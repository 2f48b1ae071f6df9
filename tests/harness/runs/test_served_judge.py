"""A run with a judge behind a server, as a user makes it: what is missing, how to get it, and the exit code."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main

from ...judges.server.served_judges import SCORE, asked, capable, scores
from ...scripted_server import Script, ScriptedServer, Step, completion_body

COUNT = 4


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted_server: ScriptedServer) -> list[str]:
    """The command that scores four given answers by the scripted server."""
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    items = [
        {"id": f"q{n}", "question": f"Which node is number {n}?", "references": [f"node {n}"]} for n in range(COUNT)
    ]
    given = [{"id": f"q{n}", "prediction": f"It is node {n}."} for n in range(COUNT)]
    for name, rows in (("items", items), ("answers", given)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [
        "score",
        str(tmp_path / "answers.jsonl"),
        *("--data", str(tmp_path / "items.jsonl"), "--split", "all", "--metrics", "token_f1,rubric_score"),
        *("--judge", f"openai:scripted@{scripted_server.base_url}", "--out", str(tmp_path / "run")),
    ]


def header(place: Path) -> dict[str, Any]:
    return json.loads((place / "run" / "run.json").read_text())


def shy(number: int) -> Script:
    """No verdict on one of the nodes."""

    def script(_: int, request: dict[str, Any]) -> Step:
        about = f"node {number}." in request["messages"][0]["content"]
        return Step(body=completion_body("Four fifths.")) if about else scores()

    return capable(script)


def test_a_run_tells_how_to_get_what_is_missing_and_retry_asks_that_alone(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    scripted_server.script = shy(2)
    assert main(words) == 0
    told = capsys.readouterr().err
    assert f"verdicts missing: 1; this asks for them again: telbench judge retry {tmp_path / 'run'}" in told
    assert header(tmp_path)["metrics"]["rubric_score"]["missing"] == {"judge: malformed": 1}
    before = len(asked(scripted_server))
    assert before == COUNT + 1
    assert main(words) == 0
    assert len(asked(scripted_server)) == before
    scripted_server.script = capable(scores)
    assert main(["judge", "retry", str(tmp_path / "run")]) == 0
    assert len(asked(scripted_server)) == before + 1
    found = header(tmp_path)
    assert (found["metrics"]["rubric_score"]["n"], found["judge"]["judges"][0]["missing"]) == (COUNT, {})
    assert found["command"][:2] == ["telbench", "score"]
    assert "retry" not in (tmp_path / "run" / "run.yaml").read_text()
    # The better verdict is the one that other runs find.
    capsys.readouterr()
    assert main([*words[:-1], str(tmp_path / "other")]) == 0
    assert len(asked(scripted_server)) == before + 1
    assert "missing" not in capsys.readouterr().err


def test_mended_verdicts_are_counted_by_kind_and_told(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    scripted_server.script = capable(
        lambda number, _: Step(body=completion_body(f"Sure! {SCORE}" if number else SCORE.replace("4", '"4"')))
    )
    assert main(words) == 0
    assert header(tmp_path)["judge"]["judges"][0]["repaired"] == {"any": 4, "number": 1, "words around": 3}
    assert "4 verdicts were read after a repair" in capsys.readouterr().out
    assert header(tmp_path)["metrics"]["rubric_score"]["value"] == 4.0


def test_a_run_whose_judge_lost_every_verdict_does_not_succeed(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    scripted_server.script = capable(lambda *_: Step(body=completion_body("Four fifths.")))
    for _ in range(2):
        assert main(words) == 5
        assert "gave no verdict at all" in capsys.readouterr().err
    assert header(tmp_path)["metrics"]["token_f1"]["n"] == COUNT


def test_replies_that_were_cut_tell_how_to_give_them_room(
    words: list[str], scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    cut = Step(body=completion_body(SCORE[:20], finish_reason="length"))
    scripted_server.script = capable(lambda number, _: cut if number in {0, 4} else scores())
    assert main([*words, "--judge-in-flight", "1", "--judge-option", "reply_tokens=900"]) == 0
    assert "--judge-option reply_tokens=1800 is a judge with more room" in capsys.readouterr().err


def test_fresh_finds_out_anew_what_the_server_can_do(words: list[str], tmp_path: Path, scripted_server: ScriptedServer):
    scripted_server.script = lambda *_: scores()
    assert main(words) == 0
    assert header(tmp_path)["judge"]["judges"][0]["schema"] == "asked"
    scripted_server.script = capable(scores)
    assert main([*words[:-1], str(tmp_path / "other")]) == 0
    assert main([*words, "--fresh"]) == 0
    assert header(tmp_path)["judge"]["judges"][0]["schema"] == "enforced"


@pytest.mark.parametrize("fault", ["credit", "proxy"])
def test_what_no_question_can_pass_is_one_line_and_exit_code_2(
    words: list[str],
    scripted_server: ScriptedServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
):
    body = b'{"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}}'
    scripted_server.script = capable(lambda *_: Step(429, body))
    if fault == "proxy":
        # Found out while all was well.
        scripted_server.script = capable(lambda *_: Step(500, b""))
        assert main([*words, "--judge-deadline", "0.5"]) != 0
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{bound.getsockname()[1]}")
    before = len(scripted_server.requests)
    capsys.readouterr()
    assert main(words) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert ("has nothing left" if fault == "credit" else "through the proxy 127.0.0.1") in told[-1]
    assert len(scripted_server.requests) - before <= 1 + COUNT


def test_retry_of_a_run_without_a_judge_is_one_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    place = words.index("--judge")
    assert main([*words[:place], *words[place + 2 :]]) == 0
    capsys.readouterr()
    assert main(["judge", "retry", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.strip()
    assert "no judge was asked" in error
    assert "\n" not in error
