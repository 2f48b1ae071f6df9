"""A compiled training is the same training, faster."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from telbench.config import read_settings
from telbench.errors import InputError
from telbench.kd.losses import closed_form
from telbench.kd.losses.chunked_head import Labels, Projected, Target, chunked_loss
from telbench.kd.losses.divergences import ForwardKL
from telbench.kd.losses.heads import Head
from telbench.kd.settings import MethodSettings, TrainingSettings
from telbench.kd.teacher.rows import LiveTeacher
from telbench.kd.train.compiling import compile_models
from telbench.kd.train.distiller import Distiller
from telbench.kd.vocabulary.link import VocabularyLink


def distiller() -> tuple[Distiller, LiveTeacher]:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape: Any = {"num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 24}
    student, teacher = (LlamaForCausalLM(LlamaConfig(vocab_size=50, hidden_size=16, **shape)) for _ in range(2))
    taught = LiveTeacher(teacher)
    return Distiller(student, MethodSettings(algorithm="vanilla_kd"), taught, VocabularyLink(50)), taught


def test_every_layer_of_both_models_is_compiled_and_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made, teacher = distiller()
    names = list(made.state_dict())
    compiled: list[torch.nn.Module] = []

    def note(self: torch.nn.Module) -> None:
        compiled.append(self)

    monkeypatch.setattr(torch.nn.Module, "compile", note)
    compile_models(made, teacher)
    assert compiled == [*made.student.model.layers, *teacher.model.model.layers]
    assert list(made.state_dict()) == names
    assert made.head().fused


def test_without_a_compiler_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="install g\\+\\+, or leave compile out"):
        compile_models(*distiller())


def test_own_answers_are_not_compiled() -> None:
    told = {"student": "a", "teacher": "b", "method": {"algorithm": "gkd"}, "optimiser": {"compile": True}}
    with pytest.raises(InputError, match="leave compile out"):
        read_settings(TrainingSettings, told, "test")


def test_trainings_that_are_not_compiled_keep_the_note_that_they_had() -> None:
    plain = TrainingSettings(student="a")
    fused = replace(plain, optimiser=replace(plain.optimiser, compile=True))
    assert "compile" not in plain.to_dict()["optimiser"]
    assert fused.to_dict()["optimiser"]["compile"] is True


def test_a_fused_head_asks_the_compiler_for_its_closed_forms_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def compiled(terms: Any) -> Any:
        asked.append(terms.__name__)
        return terms

    monkeypatch.setattr(closed_form, "compiled", compiled)
    torch.manual_seed(1)
    hidden, weight = torch.randn(9, 6).requires_grad_(), torch.randn(31, 6)
    labels = Labels(torch.randint(31, (9,)), 1.0)
    target = Target(Projected(torch.randn(9, 5), Head(torch.randn(31, 5))), ForwardKL(), 1.0)

    def gradient(head: Head) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            total = chunked_loss(hidden, head, labels=labels, target=target).total
        return torch.autograd.grad(total, hidden)[0]

    plain = gradient(Head(weight))
    assert not asked
    assert torch.equal(gradient(Head(weight, fused=True)), plain)
    assert asked == ["distance", "cross_entropy"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_closed_forms_are_the_same_compiled() -> None:
    torch.manual_seed(2)
    logits, teacher = torch.randn(5, 40), torch.randn(5, 40)
    weights, ids = torch.rand(5), torch.tensor([3, 0, -100, 7, 39])
    fused, plain = closed_form.compiled(closed_form.cross_entropy), closed_form.cross_entropy
    for one, other in zip(fused(logits, ids, weights), plain(logits, ids, weights), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    found = closed_form.compiled(closed_form.distance)(ForwardKL(), logits, teacher, weights, 2.0, t2_scale=False)
    exact = closed_form.distance(ForwardKL(), logits, teacher, weights, 2.0, t2_scale=False)
    for one, other in zip(found, exact, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
