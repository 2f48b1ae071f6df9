"""A finished run with whatever formats trip over: traces, formulas, missing scores, scores of all answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import telbench

ANSWERS = ("=1+1", "10 ms", "die Übertragung <b>dauert</b>\x1b[31m 12 ms", "no idea", "-5 dBm", "'quoted'")
REFERENCES = ("10 ms", "10 ms", "12 ms", "the AMF", "-5 dBm", "quoted")
METRICS = "exact_match,token_f1,bleu,ter,quantity_agreement"
COUNT = 24


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> telbench.Run:
    """Items of two to a document; quantity_agreement has no value where no number stands; the last has no answer."""
    folder = tmp_path_factory.mktemp("scored")
    items = [
        {
            "id": f"q/{k}",
            "question": f"Frage {k}: how long?",
            "references": [REFERENCES[k % 6], f"other {k}"],
            "source_document": f"d{k // 2}",
            "category": "odd" if k % 2 else "even",
        }
        for k in range(COUNT)
    ]
    answers = [
        {"id": f"q/{k}", "prediction": ANSWERS[k % 6], "reasoning": f"step {k}" if k % 2 else None}
        for k in range(COUNT - 1)
    ]
    for name, rows in (("data", items), ("student", answers)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return telbench.score(
        folder / "student.jsonl", folder / "data.jsonl", split="all", metrics=METRICS, out=folder / "run"
    )


@pytest.fixture(scope="session")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> telbench.Run:
    """Questions with options."""
    folder = tmp_path_factory.mktemp("chosen")
    items = [
        {
            "id": f"c{k}",
            "question": f"Who serves slice {k}?",
            "choices": ["the AMF", "the SMF", "the UPF"],
            "answer": k % 3,
        }
        for k in range(9)
    ]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in items))
    (folder / "a.txt").write_text("A\n" * 9)
    return telbench.score(
        folder / "a.txt", folder / "data.jsonl", split="all", metrics="choice_accuracy", out=folder / "run"
    )


def exported(run: telbench.Run, name: str, out: Path, **told: str) -> list[Path]:
    """The files of a run in a format."""
    from telbench.config import read_settings
    from telbench.leaderboard.exchange.contract import Format, Told, export_run
    from telbench.registry import load_as

    form = load_as("telbench.formats", name, Format)
    assert form.write is not None
    return form.write(export_run(run.path, read_settings(Told, told, "export")), out)
