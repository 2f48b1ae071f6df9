"""``telbench show``: an item of a run with its facts marked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main

ANSWER = "UDP, port 38412 \x1b[31m\u202e of the AMF"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    data, answers, folder = tmp_path / "data.jsonl", tmp_path / "answers.jsonl", tmp_path / "run"
    items = [
        {"id": "a", "question": "What carries NGAP?", "references": ["A bus", "SCTP, port 38412"], "split": "test"},
        {"id": "b", "question": "What is it?", "references": ["the mobile station"], "split": "test"},
    ]
    data.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    told = [{"id": "a", "prediction": ANSWER}, {"id": "b", "prediction": ""}]
    answers.write_text("".join(json.dumps(item) + "\n" for item in told), encoding="utf-8")
    command = ["score", str(answers), "--data", str(data), "--metrics", "token_f1,fact", "--out", str(folder)]
    assert main(command) == 0
    return folder


def test_facts_are_marked_and_hostile_characters_are_escaped(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["show", str(run), "a"]) == 0
    text = capsys.readouterr().out
    assert "answer     [!UDP!], port [+38412+] \\x1b[31m\\u202e of the AMF" in text
    assert "contradicted  entity    'SCTP' <- 'UDP'" in text
    assert "agreed        quantity  '38412' = '38412'" in text
    assert "SCTP, port 38412 (facts are of this one)" in text
    assert "fact_agreement = -0.5" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_document_has_the_places(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["show", str(run), "a", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    facts = {fact["fact"]: fact for fact in document["facts"]}
    assert document["best_reference"] == 1
    assert facts["SCTP"]["status"] == "contradicted"
    assert [ANSWER[start:end] for start, end in facts["38412"]["places"]] == ["38412"]
    assert document["scores"]["fact_contradiction"] == 0.5


def test_an_item_without_facts_and_without_an_answer_is_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["show", str(run), "b"]) == 0
    text = capsys.readouterr().out
    assert "answer     (empty)" in text
    assert "no fact" in text
    assert "fact_agreement = none (no fact in the references beyond the question)" in text


def test_an_unknown_item_is_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["show", str(run), "c"]) == 2
    error = capsys.readouterr().err
    assert "no item 'c' (its first one is 'a')" in error
    assert error.count("\n") == 1
