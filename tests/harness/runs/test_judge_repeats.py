"""``--judge-repeats``: each verdict several times, told apart by the cache, averaged, and what varies is told."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from telbench.harness.cli.main import main

from ...judges.server.served_judges import asked, capable
from ...scripted_server import ScriptedServer, Step, completion_body
from .test_schema import schema

COUNT, TIMES = 6, 3


def moody(_: int, request: dict[str, Any]) -> Step:
    """The second pass is two points milder than the first, the third between them."""
    score = 2 + {0: 0, 1: 2, 2: 1}[request["seed"] % 3]
    return Step(body=completion_body(json.dumps({"reasons": ["so"], "score": score})))


def silent_once(number: int, request: dict[str, Any]) -> Step:
    return moody(number, request) if request["seed"] != 1 else Step(body=completion_body("Four fifths."))


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted_server: ScriptedServer) -> list[str]:
    """Scores six given answers, one of them empty, and asks three times; ``--out`` is the last word but one."""
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    scripted_server.script = capable(moody)
    items = [{"id": f"q{n}", "question": f"Node {n}?", "references": [f"node {n}"]} for n in range(COUNT)]
    given = [{"id": f"q{n}", "prediction": f"It is node {n}." if n else ""} for n in range(COUNT)]
    for name, rows in (("items", items), ("answers", given)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [
        *("score", str(tmp_path / "answers.jsonl"), "--data", str(tmp_path / "items.jsonl"), "--split", "all"),
        *("--metrics", "rubric_score", "--judge", f"openai:scripted@{scripted_server.base_url}"),
        *("--judge-repeats", str(TIMES), "--out", str(tmp_path / "run")),
    ]


def header(place: Path) -> dict[str, Any]:
    return json.loads((place / "run.json").read_text())


def samples(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "samples.jsonl").read_text().splitlines()]


def test_each_verdict_is_asked_for_anew_and_the_mean_counts(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    assert main(words) == 0
    requests = asked(scripted_server)
    assert len(requests) == TIMES * (COUNT - 1)
    assert len({request["messages"][0]["content"] for request in requests}) == len(requests)
    assert {request["seed"] for request in requests} == {0, 1, 2}
    found, lines = header(tmp_path / "run"), samples(tmp_path / "run")
    assert found["judge"]["repeats"] == TIMES
    assert found["judge"]["judges"][0]["prompts"] == len(requests)
    assert lines[0]["scores"]["rubric_score"] == 1.0
    assert "judge_repeats" not in lines[0]
    for line in lines[1:]:
        assert line["judge_repeats"]["rubric_score"] == [2.0, 4.0, 3.0]
        assert line["scores"]["rubric_score"] == fmean([2.0, 4.0, 3.0])
        assert len(line["judgements"]["rubric_score"]) == TIMES
    entry = found["metrics"]["rubric_score"]
    assert "|repeats:3|" in entry["signature"]
    assert entry["ci_method"].endswith("|passes:3")
    # Five of six items move by -1, 1 and 0 points.
    assert entry["judge_repeats"]["sd_within_items"] == pytest.approx(1.0)
    assert 0 < entry["judge_repeats"]["error"] <= 1 / 3**0.5
    for name, documents in (("run.schema.json", [found]), ("sample.schema.json", lines)):
        for document in documents:
            Draft202012Validator(schema(name)).validate(document)
    # The finished run asks nothing, another one takes all repeats from the cache, one with more asks only those.
    assert main(words) == 0
    assert main([*words[:-1], str(tmp_path / "other")]) == 0
    assert len(asked(scripted_server)) == len(requests)
    more = ["4" if word == "3" else word for word in words[:-1]]
    assert main([*more, str(tmp_path / "more")]) == 0
    assert len(asked(scripted_server)) == len(requests) + COUNT - 1
    # So many verdicts are another measurement than fewer.
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "run"), str(tmp_path / "more")]) == 4
    assert "repeats:3" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "run"), str(tmp_path / "more"), "--same-judge"]) == 4
    assert main(["compare", str(tmp_path / "run"), str(tmp_path / "other")]) == 0


def test_a_repeat_without_a_verdict_leaves_the_others(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer
):
    scripted_server.script = capable(silent_once)
    assert main(words) == 0
    found, lines = header(tmp_path / "run"), samples(tmp_path / "run")
    assert [line["scores"]["rubric_score"] for line in lines[1:]] == [2.5] * (COUNT - 1)
    assert lines[1]["judge_repeats"]["rubric_score"] == [2.0, None, 3.0]
    assert found["metrics"]["rubric_score"]["notes"]["whole number; 1 of 3 repeats lack a value"] == COUNT - 1
    assert found["judge"]["judges"][0]["missing"] == {"malformed": COUNT - 1}
    assert found["metrics"]["rubric_score"]["judge_repeats"] == {
        "n": 3,
        "error": None,
        "sd_within_items": None,
        "items": 0,
    }
    scripted_server.script = capable(moody)
    assert main(["judge", "retry", str(tmp_path / "run")]) == 0
    assert samples(tmp_path / "run")[1]["judge_repeats"]["rubric_score"] == [2.0, 4.0, 3.0]


def test_commands_that_repeat_otherwise_say_so(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["judge", "calibrate", "--judge", words[words.index("--judge") + 1], "--judge-repeats", "2"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip()
    assert "calibrate asks again by --repeats" in error
    assert "\n" not in error
