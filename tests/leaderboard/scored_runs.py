"""Real runs of made answers, as ``telbench score`` leaves them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from telbench.harness.cli.main import main


def write_questions(
    file: Path, count: int, *, per_document: int = 2, categories: Sequence[str] = ("even", "odd")
) -> Path:
    """So many questions, some to a document, of the categories in turn."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "id": f"i{i}",
            "question": f"Question {i}?",
            "references": [f"the answer {i}"],
            "source_document": f"d{i // per_document}",
            "category": categories[i % len(categories)],
        }
        for i in range(count)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_answers(file: Path, count: int, right: float) -> Path:
    """Answers of which this share is right, by tens."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": f"i{i}", "prediction": f"the answer {i}" if i % 10 < 10 * right else "no idea"} for i in range(count)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def scored_run(folder: Path, name: str, data: str, count: int, right: float, metrics: str) -> Path:
    """The run ``folder/name/data`` of the model ``name``."""
    questions = folder / "questions" / f"{data}.jsonl"
    if not questions.is_file():
        write_questions(questions, count)
    answers = write_answers(folder / "answers" / name / f"{data}.jsonl", count, right)
    out = folder / name / data
    words = ["score", str(answers), "--data", str(questions), "--metrics", metrics, "--out", str(out), "--name", name]
    assert main(words) == 0
    return out
