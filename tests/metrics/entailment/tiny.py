"""A tiny entailment model, trained on telecom-nano's paraphrases, near misses and answers of other questions."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForSequenceClassification

from telbench.harness.datasets.items import Item
from telbench.kd.tiny.encoder import PAD, train_lowercase_bpe
from telbench.kd.tiny.loop import LoopSettings, descend
from telbench.metrics.near_misses import near_misses

LABELS = ("contradiction", "entailment", "neutral")
Triple = tuple[str, str, int]


def pairs_of(items: Sequence[Item], draw: random.Random) -> list[Triple]:
    """(premise, hypothesis, label) in both directions, with the question before each text as the metric puts it."""
    made: list[Triple] = []
    for item in items:
        if len(item.references) < 2:
            continue
        one, other = (f"{item.question} {text}" for text in item.references[:2])
        made += [(one, other, 1), (other, one, 1), (one, one, 1)]
        for text in near_misses(item.references[0], item.question, item.references).values():
            wrong = f"{item.question} {text}"
            made += [(one, wrong, 0), (wrong, one, 0), (other, wrong, 0)]
        strange = f"{item.question} {draw.choice(items).references[0]}"
        made += [(one, strange, 2), (strange, other, 2)]
    return made


def train_entailment(folder: Path, items: Sequence[Item], epochs: int, hidden: int = 96, window: int = 128) -> Path:
    """A BERT of two layers, trained from random weights with one seed; as `kd.tiny.encoder` makes its encoder."""
    texts = dict.fromkeys(text for item in items for text in (item.question, *item.references))
    tokenizer = train_lowercase_bpe(texts, 2000, window)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        max_position_embeddings=window,
        pad_token_id=tokenizer.get_vocab()[PAD],
        id2label=dict(enumerate(LABELS)),
        label2id={label: place for place, label in enumerate(LABELS)},
    )
    model = BertForSequenceClassification(config).float()
    pairs = pairs_of(items, random.Random(0))
    settings = LoopSettings(epochs=epochs, batch_size=32, learning_rate=1e-3)

    def batches(rng: random.Random) -> Iterator[list[Triple]]:
        order = rng.sample(pairs, len(pairs))
        yield from (order[start : start + settings.batch_size] for start in range(0, len(order), settings.batch_size))

    def loss_of(batch: Sequence[Triple]) -> torch.Tensor:
        first, second, labels = zip(*batch, strict=True)
        read: Any = tokenizer(
            list(first), list(second), padding=True, truncation=True, max_length=window, return_tensors="pt"
        )
        return cross_entropy(model(**read).logits, torch.tensor(labels))

    steps = epochs * -(-len(pairs) // settings.batch_size)
    descend(model, batches, loss_of, settings, steps, counted=("pairs", len))
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
