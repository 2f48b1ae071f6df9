"""What is trained on: exactly the evaluation's prompts, and of them exactly answer and end."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from telbench.harness.datasets.items import DataSet, Item
from telbench.harness.prompts.build import PromptSettings, build_prompt, encoder_for
from telbench.kd.batches import IGNORED, Example, bucketed, collate
from telbench.kd.tiny.tokenizer import EOS, tokenizer_texts, train_tokenizer

from .made_models import examples_of

CLOSED = PromptSettings("closed")


@pytest.fixture(scope="module")
def encoder(facts: DataSet):
    return encoder_for(train_tokenizer(tokenizer_texts(facts, CLOSED), 400, 128), CLOSED)


def test_the_prompt_part_is_the_evaluations_own_prompt(facts: DataSet, encoder) -> None:
    for item, example in zip(facts.items, examples_of(facts.items, CLOSED, encoder, 128), strict=True):
        asked = build_prompt(item, CLOSED, encoder, None).request.token_ids
        assert list(example.ids[: example.start]) == list(asked)


def test_an_open_book_prompt_carries_the_context(encoder) -> None:
    item = Item("x", "What is PFCP?", ("A protocol.",), context="PFCP is a protocol.")
    settings = PromptSettings("open")
    (example,) = examples_of([item], settings, encoder, 128)
    assert list(example.ids[: example.start]) == list(build_prompt(item, settings, encoder, None).request.token_ids)


def test_labels_are_exactly_answer_and_end(facts: DataSet, encoder) -> None:
    for item, example in zip(facts.items, examples_of(facts.items, CLOSED, encoder, 128), strict=True):
        counted = [label for label in example.labels if label != IGNORED]
        assert encoder.tokenizer.decode(counted) == item.references[0] + EOS
        assert len(example.labels) == len(example.inputs)


def test_each_label_is_the_token_after_its_input() -> None:
    example = Example((5, 6, 7, 8, 9), start=3)
    assert example.inputs == (5, 6, 7, 8)
    assert example.labels == (IGNORED, IGNORED, 8, 9)


def test_an_answer_of_one_token_gives_that_token_and_the_end() -> None:
    assert Example((5, 6, 7, 1), start=2).labels == (IGNORED, 7, 1)


def test_items_without_reference_or_too_long_are_left_out(facts: DataSet, encoder) -> None:
    bare = replace(facts.items[0], references=())
    long = replace(facts.items[0], question="What is " + "very " * 200 + "long?")
    assert len(examples_of([bare, long, facts.items[1]], CLOSED, encoder, 128)) == 1


def test_an_example_that_just_fills_the_window_is_kept(facts: DataSet, encoder) -> None:
    (example,) = examples_of(facts.items[:1], CLOSED, encoder, 128)
    assert examples_of(facts.items[:1], CLOSED, encoder, len(example.ids)) == [example]
    assert examples_of(facts.items[:1], CLOSED, encoder, len(example.ids) - 1) == []


def test_padding_is_masked_by_length_even_where_pad_is_a_real_token() -> None:
    batch = collate([Example((2, 2, 2, 2, 2), 2), Example((7, 8, 2), 1)], pad=2)
    assert batch.inputs.shape == (2, 8)
    assert batch.labels.tolist() == [[IGNORED, 2, 2, 2, *[IGNORED] * 4], [8, 2, *[IGNORED] * 6]]
    assert (batch.n_labels, batch.n_tokens) == (5, 6)


def test_an_epoch_holds_every_example_once_in_an_order_of_its_seed() -> None:
    examples = [Example(tuple(range(k % 17 + 3)), 1 + k % 2) for k in range(101)]
    first, again, other = (list(bucketed(examples, 8, random.Random(seed))) for seed in ("0:0", "0:0", "0:1"))
    assert first == again != other
    assert sorted(e.ids for batch in first for e in batch) == sorted(e.ids for e in examples)
    assert all(len(batch) <= 8 for batch in first)


def test_buckets_waste_less_padding_than_random_batches() -> None:
    rng = random.Random(0)
    examples = [Example(tuple(range(rng.randint(5, 100))), 2) for _ in range(400)]
    padded = sum(len(b) * max(len(e.ids) for e in b) for b in bucketed(examples, 16, random.Random(1)))
    plain = sum(16 * max(len(e.ids) for e in examples[k : k + 16]) for k in range(0, 400, 16))
    assert padded < 0.75 * plain
