"""Runs of two judges are not compared, though the servers call their models alike, unless the user asserts it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from telbench.harness.cli.main import main

from ...judges.server.served_judges import capable, scores
from ...scripted_server import ScriptedServer

COUNT = 12


@pytest.fixture
def servers(scripted_server: ScriptedServer) -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    other = ScriptedServer()
    for server in (scripted_server, other):
        server.script = capable(scores)
    try:
        yield scripted_server, other
    finally:
        other.close()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: tuple[ScriptedServer, ScriptedServer]) -> list[str]:
    """Three runs on the same items: of the first judge, of the other one, and of none."""
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    items = [{"id": f"q{n}", "question": f"Node {n}?", "references": [f"node {n}"]} for n in range(COUNT)]
    given = [{"id": f"q{n}", "prediction": f"It is node {n}."} for n in range(COUNT)]
    for name, rows in (("items", items), ("answers", given)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["score", str(tmp_path / "answers.jsonl"), "--data", str(tmp_path / "items.jsonl"), "--split", "all"]
    words += ["--metrics", "token_f1,rubric_score", "--out"]
    made = [str(tmp_path / name) for name in ("first", "other", "none")]
    for place, server in zip(made, servers, strict=False):
        assert main([*words, place, "--judge", f"openai:scripted@{server.base_url}"]) == 0
    assert main([*words, made[2]]) == 0
    return made


def test_two_servers_of_one_name_are_refused_and_an_assertion_lets_them_pass(
    runs: list[str], capsys: pytest.CaptureFixture[str]
):
    first, other, none = runs
    check = ["check", "--baseline", first, "--candidate", other, "--margin", "rubric_score=0.5"]
    capsys.readouterr()
    for words in (["compare", first, other], ["compare", first, other, "--metrics", "rubric_score"], check):
        assert main(words) == 4
        error = capsys.readouterr().err.strip()
        assert "--same-judge" in error
        assert "\n" not in error
    # Other metrics are compared, and so is a run that was not judged at all.
    assert main(["compare", first, other, "--metrics", "token_f1"]) == 0
    assert main(["compare", first, none]) == 0
    capsys.readouterr()
    assert main(["compare", first, other, "--same-judge", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "rubric_score" in document["runs"][0]["metrics"]
    assert any("is taken for judge:scripted@" in warning for warning in document["warnings"])
    assert main([*check, "--same-judge"]) == 0
    assert "is taken for judge:scripted@" in capsys.readouterr().out


def test_an_assertion_hides_no_other_difference(runs: list[str], capsys: pytest.CaptureFixture[str]):
    header = Path(runs[1]) / "run.json"
    header.write_text(header.read_text().replace("|rubric:", "|rubric:f"))
    assert main(["compare", *runs[:2], "--same-judge", "--metrics", "rubric_score"]) == 4
    assert "was computed in different ways" in capsys.readouterr().err


def test_a_plan_takes_the_assertion_as_a_comparison_does(runs: list[str], capsys: pytest.CaptureFixture[str]):
    first, other, _ = runs
    plan = ["plan", first, other, "--margin", "rubric_score=0.5"]
    capsys.readouterr()
    assert main(plan) == 4
    error = capsys.readouterr().err.strip()
    assert "--same-judge" in error
    assert "\n" not in error
    assert main([*plan, "--same-judge", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["metric"] for entry in document["metrics"]] == ["rubric_score"]
    assert any("is taken for judge:scripted@" in warning for warning in document["warnings"])
    assert main(["plan", "--margin", "rubric_score=0.5", "--sd", "1", "--same-judge"]) == 2
    assert "--same-judge is for a plan from runs" in capsys.readouterr().err
