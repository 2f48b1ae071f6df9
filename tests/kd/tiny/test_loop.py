"""The loop: the loss of the textbook, the same weights from the same seed, no number that is none."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from telbench.errors import InputError, TelbenchError
from telbench.harness.datasets.items import DataSet
from telbench.harness.prompts.build import PromptSettings, encoder_for, message
from telbench.kd.batches import IGNORED, collate
from telbench.kd.tiny.base_model import TinyShape, answer_loss, build_tiny, train_causal
from telbench.kd.tiny.loop import LoopSettings, adamw
from telbench.kd.tiny.tokenizer import tokenizer_texts, train_tokenizer
from telbench.kd.train.optimisation import learning_rate_at

from ..made_models import examples_of

CLOSED = PromptSettings("closed")
SHAPE = TinyShape(hidden=64, layers=1, heads=2, inner=96, window=128)


@pytest.fixture(scope="module")
def tokenizer(facts: DataSet):
    return train_tokenizer(tokenizer_texts(facts, CLOSED), 400, 128)


@pytest.fixture(scope="module")
def examples(facts: DataSet, tokenizer):
    return examples_of(facts.items, CLOSED, encoder_for(tokenizer, CLOSED), 128)


def test_the_loss_is_the_one_that_transformers_computes(tokenizer, examples) -> None:
    model = build_tiny(SHAPE, tokenizer, 0)
    batch = collate(examples[:6], 2)
    ids = torch.full((6, batch.inputs.shape[1] + 1), 2)
    labels = torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples[:6]):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        labels[row, example.start : len(example.ids)] = torch.tensor(example.ids[example.start :])
    attention = torch.tensor([[k < len(e.ids) for k in range(ids.shape[1])] for e in examples[:6]]).long()
    with torch.no_grad():
        theirs = model(input_ids=ids, attention_mask=attention, labels=labels).loss
        ours = answer_loss(model, batch) / batch.n_labels
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_padding_changes_neither_loss_nor_gradients(tokenizer, examples) -> None:
    together, apart = build_tiny(SHAPE, tokenizer, 0), build_tiny(SHAPE, tokenizer, 0)
    chosen = sorted(examples, key=lambda example: len(example.ids))
    chosen = [chosen[0], chosen[-1]]
    summed = answer_loss(together, collate(chosen, 2))
    single = torch.stack([answer_loss(apart, collate([example], 0)) for example in chosen]).sum()
    assert summed.item() == pytest.approx(single.item(), rel=1e-5)
    summed.backward()
    single.backward()
    for one, other in zip(together.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


def weights_after(tokenizer, examples, seed: int) -> bytes:
    model = build_tiny(SHAPE, tokenizer, seed)
    train_causal(model, examples, LoopSettings(epochs=2, batch_size=8, seed=seed), pad=2)
    return b"".join(weight.detach().numpy().tobytes() for weight in model.parameters())


def test_one_seed_gives_the_same_weights_to_the_bit_whatever_was_drawn_before(tokenizer, examples) -> None:
    first = weights_after(tokenizer, examples, 0)
    torch.rand(7)
    assert weights_after(tokenizer, examples, 0) == first
    assert weights_after(tokenizer, examples, 1) != first


def test_training_leaves_threads_and_random_numbers_of_its_caller_alone(tokenizer, examples) -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    weights_after(tokenizer, examples, 3)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_lowers_the_loss_and_logs_every_step(tokenizer, examples, tmp_path: Path) -> None:
    model = build_tiny(SHAPE, tokenizer, 0)
    done = train_causal(model, examples, LoopSettings(epochs=6, batch_size=8), pad=2, log=tmp_path / "training.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 6 * 3 + 1))
    assert lines[0]["loss"] == pytest.approx(math.log(len(tokenizer)), abs=0.5)
    assert done.loss < 0.8 * lines[0]["loss"]
    assert done.tokens == lines[-1]["tokens"] == 6 * sum(len(example.ids) - 1 for example in examples)


@pytest.mark.slow
def test_a_few_hundred_steps_learn_eight_facts_by_heart(facts: DataSet, tokenizer, examples) -> None:
    model: Any = build_tiny(replace(SHAPE, layers=2), tokenizer, 0)
    train_causal(model, examples, LoopSettings(epochs=100, batch_size=8), pad=2)
    encoder = encoder_for(tokenizer, CLOSED)
    for item in facts.items:
        ids = torch.tensor([encoder.ids(message(item, CLOSED, None))])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=60, do_sample=False)
        assert tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True) == item.references[0]


def test_a_loss_that_is_no_number_stops_with_one_line(tokenizer, examples) -> None:
    model = build_tiny(SHAPE, tokenizer, 0)
    with torch.no_grad():
        model.lm_head.weight[5, 0] = float("nan")
    with pytest.raises(TelbenchError, match="step 1: the loss is nan; nothing was saved; lower the learning rate"):
        train_causal(model, examples, LoopSettings(epochs=1), pad=2)


def test_nothing_to_train_on_is_said(tokenizer) -> None:
    with pytest.raises(InputError, match="nothing to train on"):
        train_causal(build_tiny(SHAPE, tokenizer, 0), [], LoopSettings(), pad=2)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"learning_rate": float("nan")}, {"batch_size": -1}])
def test_settings_that_cannot_be_trained_with_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be positive"):
        LoopSettings(**wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_learning_rate_rises_to_its_peak_and_never_leaves_its_bounds(schedule) -> None:
    rates = [learning_rate_at(step, 100, 0.01, 0.1, schedule) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == rates[9] == pytest.approx(0.01)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.01 if schedule == "constant" else 0.0005)


def test_a_training_of_one_step_has_a_learning_rate() -> None:
    assert learning_rate_at(0, 1, 0.01, 0.1, "cosine") == 0.01


def test_gains_do_not_decay_and_tied_weights_are_stepped_once(tokenizer) -> None:
    model = build_tiny(SHAPE, tokenizer, 0)
    decaying, gains = adamw(model, 0.01, 0.1).param_groups
    assert {weight.dim() for weight in gains["params"]} == {1}
    assert gains["weight_decay"] == 0.0
    assert sum(weight.numel() for group in (decaying, gains) for weight in group["params"]) == sum(
        weight.numel() for weight in model.parameters()
    )
