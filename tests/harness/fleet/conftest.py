"""Checkpoints that differ in their numbers alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[..., Path]


def with_other_numbers(source: Path, folder: Path, seed: int, *, tied: bool = False) -> Path:
    """A copy whose weights are others, drawn by the seed; ``tied``: without an output layer of its own."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, folder)
    weights = load_file(source / "model.safetensors")
    draws = torch.Generator().manual_seed(seed)
    weights = {name: one + 0.1 * torch.randn(one.shape, generator=draws) for name, one in weights.items()}
    if tied:
        del weights["lm_head.weight"]
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def alike_checkpoints(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three checkpoints of one frame."""
    root = tmp_path_factory.mktemp("alike")
    return [with_other_numbers(tiny_checkpoint, root / f"seed-{seed}", seed) for seed in (1, 2, 3)]


@pytest.fixture(scope="session")
def tied_checkpoints(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two checkpoints of one frame whose output layer is the embedding."""
    root = tmp_path_factory.mktemp("tied")
    return [with_other_numbers(tiny_checkpoint, root / f"seed-{seed}", seed, tied=True) for seed in (1, 2)]


@pytest.fixture(scope="session")
def adapters(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adapters of one base that differ in rank and in the places that they change."""
    torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    made = []
    for seed, (rank, places) in enumerate(((4, ["q_proj", "v_proj"]), (12, ["k_proj", "o_proj", "up_proj"]))):
        folder = tmp_path_factory.mktemp("adapters") / f"rank-{rank}"
        model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            wrapped = peft.get_peft_model(model, peft.LoraConfig(r=rank, lora_alpha=30, target_modules=places))
            for name, weight in wrapped.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(weight, std=0.1)
        wrapped.save_pretrained(folder)
        made.append(folder)
    return made
