"""Trainings small enough for a test, and what one reads in what they leave."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from telbench.config import merged, read_settings
from telbench.kd.settings import TrainingSettings
from telbench.kd.train.candidate import Candidate

Train = Callable[..., Candidate]
WEIGHTS = "model.safetensors"


def settings(models: Path, student: str = "student", **changes: Any) -> TrainingSettings:
    """Two epochs of four steps on sixteen items."""
    given: dict[str, Any] = {
        "student": student if os.sep in student else str(models / student),
        "data": {"data": str(models / "facts.jsonl"), "max_length": 96},
        "optimiser": {"epochs": 2, "batch_size": 4, "learning_rate": 3e-3},
    }
    if changes.get("method", {}).get("algorithm", "sft") != "sft":
        given["teacher"] = str(models / "teacher")
    return read_settings(TrainingSettings, merged(given, changes), "test")


def records(candidate: Candidate) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (candidate.path / "training.jsonl").read_text().splitlines()]


def losses(candidate: Candidate) -> list[float]:
    return [record["loss"] for record in records(candidate) if "loss" in record]


def weights(candidate: Candidate) -> bytes:
    return (candidate.path / WEIGHTS).read_bytes()
