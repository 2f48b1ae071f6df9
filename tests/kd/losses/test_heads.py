"""A head taken from a model gives that model's own logits, or the model is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from telbench.errors import InputError
from telbench.kd.losses.heads import Head, decoder_of, head_of

from ..made_models import model_of


def weight_of(model: PreTrainedModel) -> torch.Tensor:
    head = model.get_output_embeddings()
    assert isinstance(head, torch.nn.Linear)
    return head.weight


def tiny(family: str, **changes: Any) -> PreTrainedModel:
    model: PreTrainedModel = model_of(family, vocab_size=40, **changes)
    # Random heads are so small that no cap could be felt.
    with torch.no_grad():
        weight_of(model).mul_(100)
    return model.eval()


@pytest.mark.parametrize(
    ("family", "changes", "scale", "cap"),
    [
        ("Llama", {"tie_word_embeddings": False}, 1.0, None),
        ("Llama", {"tie_word_embeddings": True}, 1.0, None),
        ("Qwen2", {}, 1.0, None),
        ("Gemma2", {"final_logit_softcapping": 5.0}, 1.0, 5.0),
        ("Gemma2", {"final_logit_softcapping": None}, 1.0, None),
        ("Cohere", {"logit_scale": 0.25}, 0.25, None),
        ("Granite", {"logits_scaling": 8.0}, 0.125, None),
        ("GraniteMoe", {"logits_scaling": 4.0}, 0.25, None),
        ("HyperCLOVAX", {"logits_scaling": 4.0}, 4.0, None),
        ("MiniCPM3", {"dim_model_base": 64, "num_key_value_heads": 2, "q_lora_rank": 8, "kv_lora_rank": 8}, 4.0, None),
    ],
)
def test_the_head_gives_the_models_own_logits(family: str, changes: Any, scale: float, cap: float | None) -> None:
    model = tiny(family, **changes)
    head = head_of(model)
    assert (head.scale, head.cap) == (scale, cap)
    ids = torch.randint(1, 40, (1, 9))
    with torch.no_grad():
        expected = model(input_ids=ids).logits[0]
        found = head.logits(decoder_of(model)(input_ids=ids).last_hidden_state[0])
    assert torch.allclose(found, expected, atol=1e-5)
    assert head.weight is weight_of(model)


def test_the_probe_leaves_the_model_in_the_mode_it_was_in() -> None:
    model = tiny("Llama").train()
    head_of(model)
    assert model.training


def test_a_configuration_key_of_another_architecture_is_refused() -> None:
    with pytest.raises(InputError, match="model type llama sets logits_scaling = 8"):
        head_of(tiny("Llama", logits_scaling=8.0))


def test_a_model_that_changes_its_logits_unannounced_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("Llama")
    monkeypatch.setattr(
        model.lm_head, "forward", lambda hidden: 3 * torch.nn.functional.linear(hidden, model.lm_head.weight)
    )
    with pytest.raises(InputError, match="changes its logits after the output head"):
        head_of(model)


def test_an_adapter_on_the_head_is_refused() -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    model = peft.get_peft_model(tiny("Llama"), peft.LoraConfig(target_modules=["lm_head"]))
    with pytest.raises(InputError, match="as its output head: distillation needs a plain linear one"):
        head_of(model)


def test_a_lora_model_with_a_plain_head_is_taken() -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    model = peft.get_peft_model(tiny("Llama"), peft.LoraConfig(target_modules=["q_proj"]))
    assert head_of(model).size == 40


def test_more_columns_than_the_head_has_are_refused() -> None:
    with pytest.raises(InputError, match="has 5 rows, not 6"):
        Head(torch.zeros(5, 2)).first(6)
