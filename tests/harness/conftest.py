"""Fixtures of the tests that make many small runs with a scripted engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from telbench.harness.runs import evaluate
from telbench.harness.runs.settings import EvalSettings, eval_settings

from ..scripted_engine import COUNT, write_items


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EvalSettings:
    """A run of eight items into ``tmp_path/run``; packages and commit do not change between the many runs of a test."""
    monkeypatch.setattr(evaluate, "versions", lambda: {"telbench": {}, "packages": {}})
    data = write_items(tmp_path / "data.jsonl", COUNT)
    return eval_settings(model="m", data=str(data), metrics=("token_f1", "bleu"), out=tmp_path / "run")
