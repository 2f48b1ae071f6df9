"""From a recipe to a checkpoint folder: tokenizer, tiny model, training, all of it from nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..harness.items import DataSet
from ..harness.prompts import INSTRUCTIONS, PromptSettings, encoder_for, message
from ..harness.reporter import Meter
from ..metrics.base import fingerprint
from .batches import make_examples
from .checkpoints import NOTE, Origin, data_facts, model_card, write_checkpoint
from .sft import LOG, Training, TrainSettings, train
from .tiny import TinyShape, build_tiny
from .tokenizer import PAD, train_tokenizer
from .whole_folder import whole_folder


@dataclass(frozen=True)
class Recipe:
    """All that a checkpoint made from nothing depends on, besides its data. One seed for weights and order."""

    shape: TinyShape = field(default_factory=TinyShape)
    training: TrainSettings = field(default_factory=TrainSettings)
    vocabulary: int = 3000
    prompts: PromptSettings = field(default_factory=lambda: PromptSettings("closed"))

    def origin(self, dataset: DataSet) -> Origin:
        """The note for a checkpoint of this recipe on this data; cheap, so that a finished one can be recognised."""
        settings: dict[str, Any] = asdict(self)
        data = data_facts(dataset)
        factors = {
            "algorithm": "sft",
            "student_sft": True,
            "seed": self.training.seed,
            "epochs": self.training.epochs,
        }
        return Origin(factors, data, settings, fingerprint([settings, data, INSTRUCTIONS, version("telbench")]))


def tokenizer_texts(dataset: DataSet, prompts: PromptSettings) -> list[str]:
    """What the tokenizer learns from: every message as it will be asked, its answer, and each context once."""
    texts = []
    for item in dataset.items:
        texts.append(message(item, prompts, None))
        texts.extend(item.gold_references[:1])
    return texts + list(dict.fromkeys(item.context for item in dataset.items if item.context))


def make_checkpoint(final: Path, recipe: Recipe, dataset: DataSet, meter: Meter | None = None) -> Origin:
    """Train by the recipe and put the finished checkpoint at ``final``, whole or not at all.

    Raises:
        InputError: when the place cannot be used. TelbenchError: when training diverges.
    """
    origin = recipe.origin(dataset)
    with whole_folder(final, NOTE) as folder:
        tokenizer = train_tokenizer(
            tokenizer_texts(dataset, recipe.prompts), recipe.vocabulary, window=recipe.shape.window
        )
        model = build_tiny(recipe.shape, tokenizer, recipe.training.seed)
        examples = make_examples(
            dataset.items, recipe.prompts, encoder_for(tokenizer, recipe.prompts), recipe.shape.window
        )
        pad = tokenizer.get_vocab()[PAD]
        done: Training = train(model, examples, recipe.training, pad=pad, log=folder / LOG, meter=meter)
        parameters = sum(weight.numel() for weight in model.parameters())
        origin = replace(origin, training={**asdict(done), "examples": len(examples), "parameters": parameters})
        write_checkpoint(folder, model, tokenizer, origin, model_card(final.name, origin, parameters, done))
    return origin
