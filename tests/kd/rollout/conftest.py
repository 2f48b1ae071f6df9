"""Tiny models and the facts that they learn; one that vLLM's kernels for processors take."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from telbench.harness.datasets.items import DataSet
from telbench.kd.tiny.base_model import TinyShape, build_tiny

from ..made_models import save_facts, save_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, facts: DataSet) -> Path:
    """A folder with checkpoints and ``facts.jsonl``; ``tied`` and ``untied`` have attention heads 32 wide."""
    folder = save_models(tmp_path_factory.mktemp("models"), facts)
    save_facts(folder / "facts.jsonl", facts)
    tokenizer = AutoTokenizer.from_pretrained(folder / "student")
    for name, tied in (("tied", True), ("untied", False)):
        shape = TinyShape(hidden=64, layers=2, heads=2, inner=96, window=128, tied=tied)
        build_tiny(shape, tokenizer, 1).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder
