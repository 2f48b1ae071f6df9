"""The losses on real, tiny models: by way of padded batches, to the gradient of every weight."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from transformers import LlamaForCausalLM

from telbench.harness.datasets.items import DataSet
from telbench.harness.prompts.build import PromptSettings, encoder_for
from telbench.kd.batches import IGNORED, Batch, Example, collate
from telbench.kd.losses.chunked_head import Projected
from telbench.kd.losses.divergences import GROUP, divergence_named, divergence_rows
from telbench.kd.losses.heads import decoder_of, head_of, rows_of
from telbench.kd.losses.mixture import Mixture
from telbench.kd.losses.token_kd import vanilla_kd
from telbench.kd.tiny.base_model import TinyShape, build_tiny
from telbench.kd.tiny.tokenizer import PAD, tokenizer_texts, train_tokenizer
from telbench.registry import listed

from ..made_models import examples_of

CLOSED = PromptSettings("closed")
SHAPE = TinyShape(hidden=32, layers=1, heads=2, inner=48, window=96)


class Case:
    """A teacher and a student of one vocabulary, and a batch of six examples."""

    def __init__(self, dataset: DataSet, tied: bool = True) -> None:
        tokenizer = train_tokenizer(tokenizer_texts(dataset, CLOSED), 400, SHAPE.window)
        self.pad = tokenizer.get_vocab()[PAD]
        self.examples = examples_of(dataset.items[:6], CLOSED, encoder_for(tokenizer, CLOSED), SHAPE.window)
        self.student = build_tiny(replace(SHAPE, tied=tied), tokenizer, 1)
        self.teacher = build_tiny(replace(SHAPE, hidden=48), tokenizer, 2)

    def batch(self, examples: list[Example] | None = None) -> Batch:
        return collate(examples or self.examples, self.pad)


def rows(model: LlamaForCausalLM, batch: Batch) -> tuple[Projected, Tensor]:
    hidden, labels, _ = rows_of(decoder_of(model), batch)
    return Projected(hidden, head_of(model)), labels


def distilled(case: Case, batch: Batch, count: int, mixture: Mixture | None = None) -> Tensor:
    student, labels = rows(case.student, batch)
    with torch.no_grad():
        teacher, _ = rows(case.teacher, batch)
    return vanilla_kd(student, teacher, labels, 1 / count, mixture).total


def weights(model: LlamaForCausalLM, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", [name for name in listed(GROUP) if name != "uld"])
def test_every_weights_gradient_is_that_of_the_models_own_logits(facts: DataSet, name: str, tied: bool) -> None:
    case = Case(facts, tied)
    batch = case.batch()
    kept = batch.labels != IGNORED
    student = case.student(input_ids=batch.inputs).logits[kept]
    with torch.no_grad():
        teacher = case.teacher(input_ids=batch.inputs).logits[kept]
    distance = divergence_rows(divergence_named(name), student, teacher).mean()
    expected = 0.5 * cross_entropy(student, batch.labels[kept]) + 0.5 * distance
    found = distilled(case, batch, batch.n_labels, Mixture(divergence=divergence_named(name)))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for ours, theirs in zip(weights(case.student, found), weights(case.student, expected), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_model_taught_by_itself_does_not_move(facts: DataSet) -> None:
    case = Case(facts)
    case.teacher = case.student
    for name in listed(GROUP):
        loss = distilled(case, case.batch(), 100, Mixture(1.0, divergence_named(name)))
        assert loss.item() == pytest.approx(0, abs=1e-6)
        assert max(gradient.abs().max().item() for gradient in weights(case.student, loss)) < 1e-6


def test_padding_changes_neither_loss_nor_gradients(facts: DataSet) -> None:
    case = Case(facts)
    batch = case.batch()
    labels = pad(batch.labels, (0, 24), value=IGNORED)
    counted = (labels != IGNORED).flatten().nonzero()[:, 0]
    longer = replace(batch, inputs=pad(batch.inputs, (0, 24), value=case.pad), labels=labels, counted=counted)
    one, other = (distilled(case, each, batch.n_labels) for each in (batch, longer))
    assert one.item() == pytest.approx(other.item(), rel=1e-6)
    for ours, theirs in zip(weights(case.student, one), weights(case.student, other), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_micro_batches_of_unequal_answers_sum_to_the_whole_batch(facts: DataSet) -> None:
    case = Case(facts)
    count = case.batch().n_labels
    whole = distilled(case, case.batch(), count)
    parts = [distilled(case, case.batch(part), count) for part in (case.examples[:1], case.examples[1:])]
    split = parts[0] + parts[1]
    assert split.item() == pytest.approx(whole.item(), rel=1e-6)
    for ours, theirs in zip(weights(case.student, split), weights(case.student, whole), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_one_token_answer_gives_its_row_and_that_of_the_end(facts: DataSet) -> None:
    case = Case(facts)
    example = case.examples[0]
    short = Example((*example.ids[: example.start + 1], example.ids[-1]), example.start)
    student, labels = rows(case.student, case.batch([short]))
    assert labels.tolist() == [example.ids[example.start], example.ids[-1]]
    assert len(student.hidden) == 2


def test_a_few_steps_bring_the_student_nearer_to_the_teacher(facts: DataSet) -> None:
    case = Case(facts)
    batch = case.batch()
    mixture = Mixture(rate=1.0)
    optimizer = torch.optim.AdamW(case.student.parameters(), lr=1e-2)
    with torch.no_grad():
        # An untrained teacher is almost uniform: nothing to learn from.
        rows(case.teacher, batch)[0].head.weight.mul_(20)
    first = distilled(case, batch, batch.n_labels, mixture).item()
    for _ in range(40):
        optimizer.zero_grad()
        distilled(case, batch, batch.n_labels, mixture).backward()
        optimizer.step()
    assert distilled(case, batch, batch.n_labels, mixture).item() < 0.8 * first
