"""What is saved is what was trained: adapters, stored number formats, the best step and the last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from telbench.errors import InputError
from telbench.harness.adapter import open_model
from telbench.harness.checkpoint import open_checkpoint
from telbench.kd.train import writing
from telbench.kd.train.dev_loss import DevSplit

from .trainings import WEIGHTS, Train, settings, weights


def test_the_best_step_by_the_dev_split_is_kept_and_the_last_beside_it(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = iter([3.0, 1.0, 2.0, 4.0])
    monkeypatch.setattr(DevSplit, "loss", lambda *_: next(scripted))
    made = train(keeping={"evaluate_every": 2})
    assert made.origin.training["kept_step"] == 4
    assert made.origin.training["best"] == {"step": 4, "loss": 1.0}
    monkeypatch.setattr(DevSplit, "loss", lambda *_: 1.0)
    last = train("last", keeping={"evaluate_every": 2, "keep": "last"})
    assert (made.path / "last" / WEIGHTS).read_bytes() == weights(last) != weights(made)
    assert not (last.path / "last").exists()
    open_checkpoint(str(made.path / "last"))


def test_the_dev_loss_is_that_of_the_saved_checkpoint(train: Train, models: Path) -> None:
    from transformers import AutoModelForCausalLM

    made = train(optimiser={"epochs": 1})
    model = AutoModelForCausalLM.from_pretrained(made.path)
    assert made.origin.training["best"]["loss"] == pytest.approx(dev_loss_of(model, models), rel=1e-5)


def test_adapters_are_merged_and_only_they_have_been_trained(train: Train, models: Path) -> None:
    made = train(lora={"rank": 2})
    before, after = (load_file(folder / WEIGHTS) for folder in (models / "student", made.path))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("proj" in name for name in changed)
    assert made.origin.training["trained_parameters"] < made.origin.training["parameters"] / 2


def update(folder: Path) -> dict[str, torch.Tensor]:
    """What an adapter adds to each weight that it sits on, from its own file."""
    config = json.loads((folder / "adapter_config.json").read_text())
    stored = load_file(folder / "adapter_model.safetensors")
    found = {}
    for name, value in stored.items():
        if name.endswith("lora_A.weight"):
            plain = name.removeprefix("base_model.model.").replace("lora_A.weight", "weight")
            found[plain] = stored[name.replace("lora_A", "lora_B")] @ value * (config["lora_alpha"] / config["r"])
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_merging_loses_nothing_of_a_small_update_and_the_adapter_lies_beside_it(
    train: Train, models: Path, precision: str
) -> None:
    made = train(lora={"rank": 2}, optimiser={"precision": precision, "learning_rate": 1e-5})
    before, after = (load_file(folder / WEIGHTS) for folder in (models / "student", made.path))
    added = update(made.path / "adapter")
    assert {name for name in before if not torch.equal(before[name], after[name])} == set(added)
    for name, wanted in added.items():
        lost = float((after[name] - before[name] - wanted).norm() / wanted.norm())
        # What is left is the rounding of a float32 sum.
        assert lost < 0.02
        assert after[name].dtype == torch.float32
    assert open_model(str(made.path / "adapter")).adapter == made.path / "adapter"


def dev_loss_of(model: Any, models: Path) -> float:
    from telbench.kd.train.prepare import identify, prepare

    total, count = 0.0, 0
    for example in prepare(identify(settings(models))).texts.dev_examples:
        ids = torch.tensor([example.student.ids])
        with torch.no_grad():
            chances = model(ids).logits[0].double().log_softmax(-1)
        for place in range(example.student.start, ids.shape[1]):
            total, count = total - float(chances[place - 1, ids[0, place]]), count + 1
    return total / count


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_note_has_the_dev_loss_of_what_is_saved(train: Train, models: Path, dtype: str) -> None:
    from transformers import AutoModelForCausalLM

    made = train(lora={"rank": 2}, keeping={"save": "merged", "save_dtype": dtype}, optimiser={"precision": "bf16"})
    assert {str(weight.dtype) for weight in load_file(made.path / WEIGHTS).values()} == {f"torch.{dtype}"}
    assert not (made.path / "adapter").exists()
    model = AutoModelForCausalLM.from_pretrained(made.path, dtype="auto")
    saved = made.origin.training["saved"]
    assert saved == {"dtype": dtype, "dev_loss": pytest.approx(dev_loss_of(model, models), rel=3e-3)}
    # The trained one computed in half precision: it is another number.
    assert saved["dev_loss"] != made.origin.training["best"]["loss"]


def test_rounding_that_undoes_the_training_is_told(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(writing, "WORSE", -1.0)
    made = train(keeping={"save_dtype": "bfloat16"})
    told = capfd.readouterr().err
    assert "as it is saved in bfloat16 the model loses" in told
    assert "--save-dtype float32" in made.origin.training["warnings"][-1] in told.replace("\n", " ")


def test_an_adapter_alone_is_a_checkpoint_that_is_found_again(
    train: Train, models: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changes: dict[str, Any] = {"lora": {"rank": 2}, "keeping": {"save": "adapter"}}
    made = train(**changes)
    assert not (made.path / WEIGHTS).exists()
    opened = open_model(str(made.path))
    assert (opened.path, opened.adapter) == (models / "student", made.path)
    assert opened.factors["algorithm"] == "sft"
    assert not train(**changes).made_now
    with pytest.raises(InputError, match="made by other settings"):
        train(lora={"rank": 2})
    with pytest.raises(InputError, match="save: adapter is for LoRA"):
        train("other", keeping={"save": "adapter"})
