"""From a recipe to the demonstration encoder: a sentence-transformers folder, trained from nothing on a small set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from ..harness.items import DataSet
from ..harness.reporter import Meter
from ..metrics.base import fingerprint
from .checkpoints import NOTE, Origin, data_facts, write_checkpoint
from .encoder import EncoderShape, build_encoder, train_lowercase_bpe, write_pooling
from .encoder_training import ContrastSettings, ContrastTraining, contrast_steps, fact_pairs, train_contrast
from .sft import LOG
from .whole_folder import whole_folder

# Raise it when the same settings and data give another encoder: a finished one is recognised by it.
VERSION = 1


@dataclass(frozen=True)
class EncoderRecipe:
    """All that a demonstration encoder depends on, besides its data. One seed for weights and order."""

    shape: EncoderShape = field(default_factory=EncoderShape)
    training: ContrastSettings = field(default_factory=ContrastSettings)
    vocabulary: int = 6000

    def origin(self, dataset: DataSet) -> Origin:
        """The note for an encoder of this recipe on this data; cheap, so that a finished one can be recognised."""
        settings, data = asdict(self), data_facts(dataset)
        factors = {"algorithm": "infonce", "seed": self.training.seed, "epochs": self.training.epochs}
        return Origin(factors, data, settings, fingerprint([VERSION, settings, data, version("telbench")]))

    def steps(self, dataset: DataSet) -> int:
        """Optimiser steps of the whole training."""
        return contrast_steps(fact_pairs(dataset), self.training)


def make_encoder(final: Path, recipe: EncoderRecipe, dataset: DataSet, meter: Meter | None = None) -> Origin:
    """Train by the recipe and put the finished encoder at ``final``, whole or not at all.

    Raises:
        InputError: when the place cannot be used. TelbenchError: when training diverges.
    """
    origin = recipe.origin(dataset)
    with whole_folder(final, NOTE) as folder:
        tokenizer = train_lowercase_bpe(_texts(dataset), recipe.vocabulary, recipe.shape.window)
        model = build_encoder(recipe.shape, tokenizer, recipe.training.seed)
        done = train_contrast(model, tokenizer, fact_pairs(dataset), recipe.training, log=folder / LOG, meter=meter)
        parameters = sum(weight.numel() for weight in model.parameters())
        origin = replace(origin, training={**asdict(done), "parameters": parameters})
        write_checkpoint(folder, model, tokenizer, origin, encoder_card(final.name, origin, parameters, done))
        write_pooling(folder, recipe.shape)
    return origin


def encoder_card(name: str, origin: Origin, parameters: int, training: ContrastTraining) -> str:
    """A short README for the folder: what it is, how it was made, what it is not."""
    data = origin.data
    return f"""---
license: apache-2.0
language: en
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [telbench, telecom, sentence-transformers]
---
# {name}

A **demonstration encoder**: a BERT of {parameters:,} weights, trained from random ones by telbench
{version("telbench")} so that embedding metrics can be shown without a download. It knows {data["name"]} and
little else: for results that matter take an encoder trained on much text, with `--encoder FOLDER`.

- data: {data["name"]}, split {data["split"]}, {data["n"]} questions with their references
- training: InfoNCE with the other facts of a batch as negatives; {training.steps} steps, {training.pairs:,} pairs, last
  epoch's loss {training.loss:.3f} nats
- sentence vector: mean of the last layer's tokens, scaled to length 1; texts are lower-cased
- all settings in `{NOTE}`, each step in `{LOG}`
"""


def _texts(dataset: DataSet) -> Sequence[str]:
    """What the tokenizer learns from: each question, reference and context once."""
    texts = [text for item in dataset.items for text in (item.question, *item.references, item.context) if text]
    return list(dict.fromkeys(texts))
