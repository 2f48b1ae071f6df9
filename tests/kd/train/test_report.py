"""What a training tells people of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.config import read_settings
from telbench.harness.cli.terminal import Reporter
from telbench.harness.datasets.items import DataSet
from telbench.kd.checkpoints import read_origin
from telbench.kd.settings import TrainingSettings
from telbench.kd.train.candidate import train_candidate
from telbench.kd.train.report import advice

from ..made_models import save_facts, save_models


def settings(algorithm: str = "dskd", student: str = "s", teacher: str = "t", **more: Any) -> TrainingSettings:
    method = {"algorithm": algorithm, "projector_learning_rate": 1e-6}
    return read_settings(TrainingSettings, {"student": student, "teacher": teacher, "method": method, **more}, "test")


def log_of(folder: Path, *means: tuple[int, float, float]) -> Path:
    """A log with a step for each (epoch, ce, t2s_ce), and a look at the dev split at its end."""
    steps = [
        {"step": step, "epoch": epoch, "loss": 1.0, "ce": own, "t2s_ce": seen}
        for step, (epoch, own, seen) in enumerate(means, 1)
    ]
    lines = [json.dumps(record) for record in [*steps, {"step": len(steps), "dev_loss": 9.0}]]
    (folder / "training.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "training.jsonl"


def test_a_projected_teacher_behind_its_student_in_the_last_epoch_is_told_with_both_losses(tmp_path: Path) -> None:
    log = log_of(tmp_path, (0, 3.0, 1.0), (1, 0.5, 0.7), (1, 0.3, 0.9))
    (warning,) = advice(log, settings())
    assert "0.800 nats" in warning
    assert "itself (0.400)" in warning
    assert "now 1e-06; the student's is 0.0005" in warning


def test_a_projected_teacher_ahead_of_its_student_at_last_is_no_news(tmp_path: Path) -> None:
    assert advice(log_of(tmp_path, (0, 3.0, 5.0), (1, 0.5, 0.5), (1, 0.5, 0.4)), settings()) == []


def test_version_two_and_logs_without_projection_are_not_judged(tmp_path: Path) -> None:
    assert advice(log_of(tmp_path, (0, 0.5, 0.9)), settings("dskd_v2")) == []
    (tmp_path / "training.jsonl").write_text('{"step": 1, "epoch": 0, "loss": 1.0, "ce": 1.0}\n')
    assert advice(tmp_path / "training.jsonl", settings()) == []


def test_a_training_whose_projectors_stand_still_says_so(
    tmp_path: Path, facts: DataSet, capsys: pytest.CaptureFixture[str]
) -> None:
    models = save_models(tmp_path / "models", facts)
    data = {"data": str(save_facts(tmp_path / "facts.jsonl", facts)), "max_length": 96}
    optimiser = {"epochs": 12, "batch_size": 4, "learning_rate": 3e-3}
    chosen = settings(student=str(models / "student"), teacher=str(models / "teacher"), data=data, optimiser=optimiser)
    train_candidate(chosen, tmp_path / "made", Reporter())
    (warning,) = read_origin(tmp_path / "made").training["warnings"]
    assert "raise --projector-learning-rate (now 1e-06" in warning
    assert warning in " ".join(capsys.readouterr().err.split())
    assert "- **look at this**: seen through" in (tmp_path / "made" / "README.md").read_text()
