"""Sequence-level KD on answers that the teacher gave before: its own run, on the training split, or none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.cli.terminal import Reporter
from telbench.harness.identity import identify_checkpoint
from telbench.kd.settings import MethodSettings, TrainingSettings
from telbench.kd.teacher.answers import teacher_answers

SAID = (("a", "It is.", "stop"), ("b", "It goes on and", "length"), ("c", "  ", "stop"), ("d", " Yes. ", "stop"))


@pytest.fixture
def run(tmp_path: Path, tiny_checkpoint: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    weights = identify_checkpoint(open_checkpoint(str(tiny_checkpoint)), None).weights_sha256
    header = {
        "schema_version": 1,
        "run_id": "r",
        "model": {"name": "t", "weights_sha256": weights},
        "data": {"split": "train"},
    }
    (folder / "run.json").write_text(json.dumps(header))
    lines = [json.dumps({"item_id": name, "prediction": text, "finish_reason": why}) for name, text, why in SAID]
    (folder / "samples.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def settings(teacher: Path, run: Path) -> TrainingSettings:
    return TrainingSettings("student", str(teacher), teacher_run=run, method=MethodSettings("seq_kd"))


def test_answers_that_end_are_trained_on(tiny_checkpoint: Path, run: Path, tmp_path: Path) -> None:
    found = teacher_answers(settings(tiny_checkpoint, run), tmp_path / "work", Reporter())
    assert found == {"a": "It is.", "d": "Yes."}
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("part", "key", "value", "complaint"),
    [("model", "weights_sha256", "0" * 64, "not of"), ("data", "split", "test", "answers the split 'test'")],
)
def test_a_run_of_something_else_is_refused(
    tiny_checkpoint: Path, run: Path, tmp_path: Path, part: str, key: str, value: str, complaint: str
) -> None:
    header = json.loads((run / "run.json").read_text())
    header[part][key] = value
    (run / "run.json").write_text(json.dumps(header))
    with pytest.raises(InputError, match=complaint):
        teacher_answers(settings(tiny_checkpoint, run), tmp_path / "work", Reporter())


def test_other_algorithms_take_no_run(tiny_checkpoint: Path, run: Path) -> None:
    with pytest.raises(InputError, match="leave teacher_run out"):
        replace(settings(tiny_checkpoint, run), method=MethodSettings("vanilla_kd"))
