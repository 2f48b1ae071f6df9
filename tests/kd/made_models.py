"""Fixture parts: checkpoint folders of a few thousand weights, and the facts as a data file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import transformers

from telbench.harness.datasets.items import DataSet, Item
from telbench.harness.prompts.build import PromptSettings
from telbench.harness.prompts.encoder import Encoder
from telbench.kd.batches import Example, reader
from telbench.kd.tiny.base_model import TinyShape, build_tiny
from telbench.kd.tiny.tokenizer import tokenizer_texts, train_tokenizer
from telbench.kd.train.examples import pair_examples

SHAPE = TinyShape(hidden=32, layers=1, heads=2, inner=48, window=128)
SIZES: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}


def model_of(family: str, **changes: Any) -> Any:
    """A causal language model of any architecture of transformers, as small as they go; the same weights each time."""
    torch.manual_seed(0)
    config = f"{family}TextConfig" if family == "Gemma3" else f"{family}Config"
    kind = f"{family}LMHeadModel" if family == "GPT2" else f"{family}ForCausalLM"
    return getattr(transformers, kind)(getattr(transformers, config)(**{**SIZES, **changes}))


def examples_of(items: Iterable[Item], settings: PromptSettings, encoder: Encoder, window: int) -> list[Example]:
    """The items as a student reads them in training; those that do not fit are left out."""
    pairs, _ = pair_examples(items, settings, reader(encoder, window, "student"))
    return [pair.student for pair in pairs]


def save_models(folder: Path, facts: DataSet) -> Path:
    """Folders ``teacher`` and ``student`` of one vocabulary and ``other`` of another; untied heads in the teacher."""
    texts = tokenizer_texts(facts, PromptSettings("closed"))
    one = train_tokenizer(texts, 400, SHAPE.window)
    two = train_tokenizer(texts[::2], 330, SHAPE.window)
    untied = TinyShape(hidden=48, layers=1, heads=2, inner=64, window=128, tied=False)
    for name, tokenizer, shape, seed in (
        ("teacher", one, untied, 0),
        ("student", one, SHAPE, 1),
        ("other", two, SHAPE, 1),
    ):
        build_tiny(shape, tokenizer, seed).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def save_facts(file: Path, facts: DataSet) -> Path:
    """The facts as JSONL: the third wording of each is the dev split, the others are the training split."""
    lines = []
    for item in facts.items:
        split = "dev" if item.id.endswith("-2") else "train"
        record = {"id": item.id, "question": item.question, "references": list(item.references), "split": split}
        lines.append(json.dumps(record))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
