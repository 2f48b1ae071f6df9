"""Which checkpoints differ in their numbers alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.adapter import open_model
from telbench.harness.alike import difference, frame_of


def rewrite(file: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        found = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**found, **changes}))

    return change


def other_tensors(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    save_file({name: one.bfloat16() for name, one in weights.items()}, folder / "model.safetensors")


def other_numbers(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    save_file({name: one + 1 for name, one in weights.items()}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (other_numbers, ""),
        (rewrite("config.json", _name_or_path="elsewhere", transformers_version="4.0.0"), ""),
        (rewrite("telbench.json", factors={"seed": 3}), ""),
        (rewrite("config.json", rms_norm_eps=1e-3), "another config.json"),
        (rewrite("config.json", architectures=["MistralForCausalLM"]), "another architecture (MistralForCausalLM)"),
        (rewrite("config.json", tie_word_embeddings=True), "its output layer is tied and stored all the same"),
        (rewrite("config.json", quantization_config={"quant_method": "fp8"}), "its weights are quantised"),
        (rewrite("generation_config.json", eos_token_id=5), "another generation_config.json"),
        (rewrite("tokenizer_config.json", padding_side="left"), "another tokenizer"),
        (other_tensors, "tensors of other names, shapes or formats"),
    ],
)
def test_a_frame_is_all_but_numbers_and_origins(
    change: Callable[[Path], None], told: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "other")
    change(tmp_path / "other")
    frames = [frame_of(open_model(str(folder))) for folder in (tiny_checkpoint, tmp_path / "other")]
    assert difference(*frames) == told
