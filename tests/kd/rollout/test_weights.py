"""A student's weights go over under the names of its files, with its adapters in them to the last bit of float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from telbench.errors import InputError
from telbench.harness.checkpoint import Checkpoint, open_checkpoint
from telbench.kd.rollout.weights import current_weights, require_names


def loaded(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoint.path, dtype=dtype)


def with_adapter(model: Any, targets: Any = "all-linear") -> Any:
    """Adapters whose updates are small beside the weights."""
    wrapped = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM"))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.01)
    return wrapped


@pytest.fixture(params=["student", "teacher"], ids=["tied", "untied"])
def checkpoint(request: pytest.FixtureRequest, models: Path) -> Checkpoint:
    return open_checkpoint(str(models / request.param))


def test_weights_are_those_of_the_files_by_the_same_names(checkpoint: Checkpoint) -> None:
    student = loaded(checkpoint)
    require_names(student, checkpoint)
    handed = dict(current_weights(student, torch.float32))
    (file,) = checkpoint.weight_files
    stored = load_file(file)
    assert handed.keys() == stored.keys()
    assert all(torch.equal(handed[name], stored[name]) for name in stored)
    assert not any(tensor.requires_grad for tensor in handed.values())


def test_a_changed_weight_goes_over_as_it_is_now(checkpoint: Checkpoint) -> None:
    student = loaded(checkpoint)
    before = {name: tensor.clone() for name, tensor in current_weights(student, torch.float32)}
    with torch.no_grad():
        student.get_input_embeddings().weight.add_(1)
    after = dict(current_weights(student, torch.float32))
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["model.embed_tokens.weight"]


def test_adapters_are_added_in_float32_whatever_they_sit_on(checkpoint: Checkpoint) -> None:
    """As merging into float32 weights does it; merging into bfloat16 ones would lose the update."""
    half = with_adapter(loaded(checkpoint, torch.bfloat16))
    require_names(half, checkpoint)
    handed = dict(current_weights(half, torch.float32))
    exact = with_adapter(loaded(checkpoint, torch.bfloat16).float()).merge_and_unload()
    wanted = dict(exact.named_parameters())
    assert handed.keys() == wanted.keys()
    for name, tensor in handed.items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-6, atol=1e-7)
    rounded = dict(with_adapter(loaded(checkpoint, torch.bfloat16)).merge_and_unload().named_parameters())
    name = "model.layers.0.mlp.up_proj.weight"
    lost = (rounded[name].float() - wanted[name]).norm() / (wanted[name] - _plain(checkpoint)[name].float()).norm()
    assert lost > 0.02


def _plain(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return dict(loaded(checkpoint, torch.bfloat16).named_parameters())


def test_an_adapter_on_weights_that_two_layers_share_is_refused(models: Path) -> None:
    checkpoint = open_checkpoint(str(models / "student"))
    student = with_adapter(loaded(checkpoint), ["embed_tokens", "q_proj"])
    with pytest.raises(InputError, match=r"an adapter on model\.embed_tokens\.weight makes two of the weights"):
        require_names(student, checkpoint)


def test_weights_that_files_call_otherwise_are_refused(models: Path) -> None:
    tied, untied = (open_checkpoint(str(models / name)) for name in ("student", "teacher"))
    with pytest.raises(InputError, match=r"do not call all weights alike: lm_head\.weight"):
        require_names(loaded(untied), tied)
    student = loaded(tied)
    student.config.tie_word_embeddings = False
    with pytest.raises(InputError, match="says tie_word_embeddings: false, and its weights are not so"):
        require_names(student, tied)
