"""Tiny models and the facts that they learn, made once for each file of tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.terminal import Reporter
from telbench.harness.datasets.items import DataSet
from telbench.kd.train.candidate import Candidate, train_candidate

from ..made_models import save_facts, save_models
from .trainings import Train, settings


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, facts: DataSet) -> Path:
    """A folder with checkpoints, and ``facts.jsonl``."""
    folder = save_models(tmp_path_factory.mktemp("models"), facts)
    save_facts(folder / "facts.jsonl", facts)
    return folder


@pytest.fixture
def train(models: Path, tmp_path: Path) -> Train:
    def run(out: str = "made", *, fresh: bool = False, **changes: Any) -> Candidate:
        return train_candidate(settings(models, **changes), tmp_path / out, Reporter(), fresh=fresh)

    return run
