"""Tiny models and the facts that they learn, made once for each file of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from telbench.harness.datasets.items import DataSet

from ..made_models import save_facts, save_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, facts: DataSet) -> Path:
    """A folder with checkpoints, and ``facts.jsonl``."""
    folder = save_models(tmp_path_factory.mktemp("models"), facts)
    save_facts(folder / "facts.jsonl", facts)
    return folder
