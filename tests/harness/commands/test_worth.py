"""``telbench metrics worth`` as people use it: one document, labels of one's own, and one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main

FIRST = "The timer T{} of the AMF runs for {} ms in the uplink."
SECOND = "In the uplink, T{0} of the access and mobility management function has a length of {1} milliseconds."


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [
        {
            "id": f"q{k}",
            "question": "How long does it run?",
            "references": [FIRST.format(k, 100 + k), SECOND.format(k, 100 + k)],
            "source_document": f"d{k % 9}",
        }
        for k in range(30)
    ]
    return write(tmp_path / "own.jsonl", rows)


def asked(data: Path, *more: str) -> list[str]:
    return ["metrics", "worth", "--data", str(data), "--split", "all", "--metrics", "token_f1,fact_agreement", *more]


def test_the_document_has_what_each_metric_can_see(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asked(data, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["items"], found["source_documents"]) == (30, 9)
    assert found["right_answers"] == {"n": 30, "from": "another reference"}
    words, facts = found["metrics"]["token_f1"], found["metrics"]["fact_agreement"]
    assert words["near_miss_auc"] == 0.0
    assert words["blind_to_facts"] is True
    assert facts["near_miss_auc"] > 0.9
    assert facts["wrong_fact"]["ci_low"] > 0.6
    assert words["values"]["itself"] == words["reads"] == 1.0
    assert found["wrong_facts"]["number"] == 30


def test_the_table_warns_of_blind_metrics_before_the_numbers(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asked(data)) == 0
    out = capsys.readouterr().out
    assert out.index("WARNING: blind to facts") < out.index("how often in 100")
    assert "token_f1" in out.partition("WARNING: blind to facts")[2].splitlines()[0]
    assert "2 metrics are 2 voices" in out


def test_own_labels_are_a_column(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [
        {"id": f"q{k}", "answer": text, "right": right}
        for k in range(12)
        for text, right in ((f"For {100 + k} ms.", True), ("For 3 s.", False))
    ]
    rows.append({"question": "Which?", "references": "The AMF", "answer": "The SMF", "right": "wrong"})
    labels = write(tmp_path / "labels.jsonl", rows)
    assert main(asked(data, "--labels", str(labels), "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"] == {"right": 12, "wrong": 13}
    assert found["metrics"]["fact_agreement"]["labelled"]["auc"] > 0.9


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": "q1", "right": True}, "labels.jsonl, line 1: no 'answer'"),
        ({"id": "q1", "answer": "x", "right": "perhaps"}, "line 1: 'right' is 'perhaps': write true or false"),
        ({"id": "nowhere", "answer": "x", "right": True}, "line 1: the id 'nowhere' is none of own all"),
        ({"answer": "x", "right": True}, "line 1: no 'id' and no 'references'"),
        ({"id": "q1", "answer": "x", "right": True}, "labels.jsonl: 1 labels, all of one kind"),
    ],
)
def test_labels_that_cannot_be_used_are_named_with_their_line(
    data: Path, tmp_path: Path, row: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(data, "--labels", str(write(tmp_path / "labels.jsonl", [row])))) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ("rubric_score", "--metrics rubric_score: needs judge, which answers made by rule do not have"),
        ("choice_accuracy", "--metrics choice_accuracy: needs choices"),
        ("bertscore", "--metrics bertscore: no encoder: pass --encoder FOLDER"),
        ("nli_entailment", "--metrics nli_entailment: no entailment model: pass --nli FOLDER"),
    ],
)
def test_a_metric_that_needs_more_than_texts_is_refused(
    data: Path, metrics: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*asked(data)[:-1], metrics]) == 2
    assert told in capsys.readouterr().err


def test_data_without_references_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "a", "question": "Which?", "references": ["x"], "meta": {"unanswerable": True}}]
    assert main(["metrics", "worth", "--data", str(write(tmp_path / "none.jsonl", rows)), "--split", "all"]) == 2
    assert "has no references" in capsys.readouterr().err
