"""``--judge-joint``: one call an item for three metrics, which are other metrics than by three calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from telbench.harness.cli.main import main

from ...judges.server.served_judges import asked, capable
from ...scripted_server import ScriptedServer, Step, completion_body
from .test_schema import schema

COUNT = 4
METRICS = ("factual_correctness", "faithfulness", "rubric_score")
PARTS = {
    "claims": {"claims": [{"claim": "c", "reason": "r", "verdict": "TP"}]},
    "faithfulness": {"claims": [{"claim": "c", "reason": "r", "supported": True}]},
    "rubric_score": {"reasons": ["so"], "score": 4},
}


def fair(_: int, request: dict[str, Any]) -> Step:
    """A verdict of each kind that the schema asks for."""
    kind = request["response_format"]["json_schema"]["name"]
    whole = {part: PARTS[part] for part in kind.split("-")} if "-" in kind else PARTS[kind]
    return Step(body=completion_body(json.dumps(whole)))


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted_server: ScriptedServer) -> list[str]:
    """Scores four given answers, of which the first has no context; ``--out`` is the last word but one."""
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    scripted_server.script = capable(fair)
    items = [
        {
            "id": f"q{n}",
            "question": f"Node {n}?",
            "references": [f"node {n}"],
            **({"context": f"There is node {n}."} if n else {}),
        }
        for n in range(COUNT)
    ]
    given = [{"id": f"q{n}", "prediction": f"It is node {n}."} for n in range(COUNT)]
    for name, rows in (("items", items), ("answers", given)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [
        *("score", str(tmp_path / "answers.jsonl"), "--data", str(tmp_path / "items.jsonl"), "--split", "all"),
        *("--context", "open", "--metrics", ",".join((*METRICS, "factual_precision"))),
        *("--judge", f"openai:scripted@{scripted_server.base_url}", "--out", str(tmp_path / "run")),
    ]


def header(place: Path) -> dict[str, Any]:
    return json.loads((place / "run.json").read_text())


def test_one_call_an_item_gives_every_verdict(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    assert main([*words, "--judge-joint"]) == 0
    requests = asked(scripted_server)
    assert len(requests) == COUNT
    kinds = [request["response_format"]["json_schema"]["name"] for request in requests]
    assert sorted(kinds) == ["claims-faithfulness-rubric_score"] * 3 + ["claims-rubric_score"]
    found = header(tmp_path / "run")
    Draft202012Validator(schema("run.schema.json")).validate(found)
    for name, value in zip(METRICS, (1.0, 1.0, 4.0), strict=True):
        assert found["metrics"][name]["value"] == value
        assert "|joint:yes|" in found["metrics"][name]["signature"]
    assert found["metrics"]["faithfulness"]["missing"] == {"no context": 1}
    assert sorted(found["judge"]["rubrics"]) == ["joint-1", "joint_claims_rubric_score-1"]
    assert main(["judge", "show", str(tmp_path / "run"), "q1"]) == 0
    shown = capsys.readouterr().out
    assert "faithfulness:" in shown
    assert "as above" in shown
    # Three calls are another measurement.
    assert main([*words[:-1], str(tmp_path / "three")]) == 0
    assert len(asked(scripted_server)) == COUNT + 3 * COUNT - 1
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "run"), str(tmp_path / "three"), "--same-judge"]) == 4
    assert "computed in different ways" in capsys.readouterr().err


def test_a_part_that_lacks_is_missing_for_its_metric_alone(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    def forgetful(number: int, request: dict[str, Any]) -> Step:
        whole = json.loads(json.loads(fair(number, request).body or b"")["choices"][0]["message"]["content"])
        if "node 2" in request["messages"][0]["content"]:
            del whole["faithfulness"]
        return Step(body=completion_body(json.dumps(whole)))

    scripted_server.script = capable(forgetful)
    assert main([*words, "--judge-joint"]) == 0
    found = header(tmp_path / "run")
    assert found["metrics"]["faithfulness"]["missing"] == {"judge: schema": 1, "no context": 1}
    assert found["metrics"]["faithfulness"]["judge_missing"] == 1
    assert [found["metrics"][name]["n"] for name in METRICS] == [4, 2, 4]
    assert found["judge"]["judges"][0]["partly"] == {"faithfulness: schema": 1}
    Draft202012Validator(schema("run.schema.json")).validate(found)
    told = capsys.readouterr()
    assert "1 without faithfulness: schema" in told.out
    assert "verdicts missing: 1" in told.err
    scripted_server.script = capable(fair)
    before = len(asked(scripted_server))
    assert main(["judge", "retry", str(tmp_path / "run")]) == 0
    assert len(asked(scripted_server)) == before + 1
    assert header(tmp_path / "run")["metrics"]["faithfulness"]["n"] == 3
    # The whole reply is what other runs find.
    assert main([*words[:-1], str(tmp_path / "other"), "--judge-joint"]) == 0
    assert header(tmp_path / "other")["metrics"]["faithfulness"]["n"] == 3
    assert len(asked(scripted_server)) == before + 1


def test_calibration_takes_the_option_and_counts_for_such_runs_alone(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    labels = tmp_path / "labels.jsonl"
    fields = {"answer": "It is.", "reference": "node", "context": "There.", "score": 4}
    fields |= {"claims": {"tp": 1, "fp": 0, "fn": 0}, "supported": [1, 1]}
    labels.write_text("".join(json.dumps({"question": f"Node {n}?", **fields}) + "\n" for n in range(COUNT)))
    command = ["judge", "calibrate", str(labels), "--judge", words[words.index("--judge") + 1]]
    assert main([*command, "--judge-joint", "--out", str(tmp_path / "joint"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(asked(scripted_server)) == COUNT
    (judge,) = document["judges"]
    assert document["joint"] is True
    assert [judge[name]["n"] for name in ("score", "factual", "faithfulness")] == [COUNT] * 3
    assert judge["faithfulness"]["bias"]["value"] == 0
    assert main([*words, "--judge-joint"]) == 0
    assert "never calibrated" not in capsys.readouterr().out
    assert main([*words[:-1], str(tmp_path / "three")]) == 0
    assert "never calibrated" in capsys.readouterr().out
    assert main([*command, "--judge-joint", "--injections", "--out", str(tmp_path / "joint")]) == 0
    assert "injections against" in capsys.readouterr().out


def test_a_command_that_asks_for_one_verdict_refuses_it(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(words) == 0
    capsys.readouterr()
    prefer = ["judge", "prefer", str(tmp_path / "run"), str(tmp_path / "run"), "--judge-joint"]
    assert main([*prefer, "--judge", words[words.index("--judge") + 1]]) == 2
    assert "prefer asks for one verdict" in capsys.readouterr().err
