"""A checkpoint folder: the model that was given, loadable, and recognised only while it is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from telbench.harness.datasets.items import DataSet
from telbench.harness.prompts.build import PromptSettings
from telbench.harness.tokenizing import load_tokenizer
from telbench.kd.checkpoints import Origin, made_with, read_origin, write_checkpoint
from telbench.kd.tiny.base_model import build_tiny
from telbench.kd.tiny.tokenizer import tokenizer_texts, train_tokenizer

from .made_models import SHAPE

ORIGIN = Origin({"algorithm": "none"}, {"name": "facts"}, {"seed": 0}, "1" * 64)


@pytest.fixture
def folder(tmp_path: Path, facts: DataSet) -> Path:
    tokenizer = train_tokenizer(tokenizer_texts(facts, PromptSettings("closed")), 400, SHAPE.window)
    write_checkpoint(tmp_path, build_tiny(SHAPE, tokenizer, 0), tokenizer, ORIGIN, "# tiny\n")
    return tmp_path


def test_transformers_loads_the_weights_that_were_saved(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = load_tokenizer(folder)
    assert model.dtype == torch.float32
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    saved = build_tiny(SHAPE, tokenizer, 0).state_dict()
    loaded = model.state_dict()
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], weight) for name, weight in saved.items())


def test_a_checkpoint_is_recognised_by_its_settings_and_read_back(folder: Path) -> None:
    assert made_with(folder, ORIGIN.settings_sha256)
    assert not made_with(folder, "2" * 64)
    assert not made_with(folder / "nowhere", ORIGIN.settings_sha256)
    assert read_origin(folder) == ORIGIN


def test_a_checkpoint_cut_short_is_not_taken_for_made(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert not made_with(folder, ORIGIN.settings_sha256)
