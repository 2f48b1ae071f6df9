"""From a recipe to the demonstration encoder: a sentence-transformers folder, trained from nothing on a small set."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.config import require_positive
from telbench.errors import InputError

from ...harness.cli.terminal import Meter
from ...harness.datasets.items import DataSet
from ...metrics.fingerprints import fingerprint
from ..checkpoints import NOTE, Origin, data_facts, whole_folder, write_checkpoint
from ..train.optimisation import LOG
from .loop import LoopSettings, descend

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import BertModel, PreTrainedModel, PreTrainedTokenizerFast

CLS, SEP, PAD, MASK = "[CLS]", "[SEP]", "[PAD]", "[MASK]"


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of a tiny BERT; ``window`` is the longest text it reads, in tokens."""

    hidden: int = 128
    layers: int = 2
    heads: int = 4
    inner: int = 384
    window: int = 128


def train_lowercase_bpe(texts: Iterable[str], vocabulary_size: int, window: int) -> PreTrainedTokenizerFast:
    """Learn byte-level merges from lower-cased ``texts``; a text reads [CLS] … [SEP].

    The same texts in the same order give the same tokenizer (training WordPiece does not). ``window`` is the length it
    cuts at, in tokens.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    # With a space before the first word too: it is the same token wherever it stands.
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[PAD, CLS, SEP, MASK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    marks = [(mark, core.token_to_id(mark)) for mark in (CLS, SEP)]
    core.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}", pair=f"{CLS} $A {SEP} $B:1 {SEP}:1", special_tokens=marks
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, cls_token=CLS, sep_token=SEP, pad_token=PAD, mask_token=MASK, model_max_length=window
    )


def build_encoder(shape: EncoderShape, tokenizer: PreTrainedTokenizerFast, seed: int) -> BertModel:
    """A float32 BERT of that shape for that vocabulary, randomly initialised from ``seed`` alone."""
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=shape.window,
        pad_token_id=tokenizer.get_vocab()[PAD],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # With the pooling head, though nothing reads it: readers that expect one would make up its weights.
        model = BertModel(config)
    return model.float()


def write_pooling(folder: Path, shape: EncoderShape) -> None:
    """What makes a sentence-transformers model of a BERT folder: mean over tokens, then length 1."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    pooling = {"word_embedding_dimension": shape.hidden, "pooling_mode_mean_tokens": True}
    files = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": shape.window, "do_lower_case": False},
        "config_sentence_transformers.json": {"similarity_fn_name": "cosine", "prompts": {}},
        "1_Pooling/config.json": pooling,
        "2_Normalize/config.json": {},
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


# The pairs of each fact.
FactPairs = Sequence[Sequence[tuple[str, str]]]


@dataclass(frozen=True)
class ContrastSettings(LoopSettings):
    """How to train. ``temperature`` divides the cosines."""

    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_share: float = 0.1
    temperature: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        super().__post_init__()
        require_positive(self, "temperature")


@dataclass(frozen=True)
class ContrastTraining:
    """What a training came to; ``loss`` is the mean InfoNCE of the last epoch, in nats."""

    steps: int
    pairs: int
    loss: float
    seconds: float
    cpu_seconds: float


def fact_pairs(dataset: DataSet) -> list[list[tuple[str, str]]]:
    """For each source document: its questions with a reference each, and its reference with its other wording.

    Questions of one document take its references in turn, so that each wording is asked for.
    """
    facts: dict[str, list[tuple[str, str]]] = {}
    for item in dataset.items:
        if not item.references:
            continue
        pairs = facts.setdefault(item.source_document or item.id, [])
        if not pairs and len(item.references) > 1:
            pairs.append((item.references[0], item.references[1]))
        pairs.append((item.question, item.references[len(pairs) % len(item.references)]))
    return list(facts.values())


def contrast_batches(facts: FactPairs, size: int, rng: random.Random) -> Iterator[list[tuple[str, str]]]:
    """One epoch of batches of up to ``size`` pairs, none with two pairs of one fact: those would be no negatives.

    A batch of a single pair teaches nothing and is left out.
    """
    shuffled = [rng.sample(pairs, len(pairs)) for pairs in facts]
    batches = []
    for turn in range(max(map(len, shuffled), default=0)):
        pool = [pairs[turn] for pairs in shuffled if turn < len(pairs)]
        rng.shuffle(pool)
        batches += [pool[start : start + size] for start in range(0, len(pool), size)]
    rng.shuffle(batches)
    yield from (batch for batch in batches if len(batch) > 1)


def info_nce(left: Tensor, right: Tensor, temperature: float) -> Tensor:
    """InfoNCE over a batch of N pairs of unit vectors, shape (N, d) each; the mean over both directions, in nats.

    L = -1/N Σᵢ log( exp(uᵢ·vᵢ/τ) / Σⱼ exp(uᵢ·vⱼ/τ) ), with the other pairs of the batch as negatives (van den Oord et
    al. 2018, *Representation Learning with Contrastive Predictive Coding*, eq. 4; cosines over a temperature as in Gao
    et al. 2021, *SimCSE*, eq. 1 and 5), and the same with u and v exchanged.
    """
    import torch
    from torch.nn.functional import cross_entropy

    cosines = left @ right.T / temperature
    target = torch.arange(len(left))
    return (cross_entropy(cosines, target) + cross_entropy(cosines.T, target)) / 2


def sentence_vectors(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Tensor:
    """Mean of the last layer over a text's tokens, scaled to length 1: shape (texts, hidden)."""
    from torch.nn.functional import normalize

    limit = int(tokenizer.model_max_length)
    batch: Any = tokenizer(list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt")
    mask = batch["attention_mask"]
    hidden = model(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)


def train_contrast(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    facts: FactPairs,
    settings: ContrastSettings,
    *,
    log: Path | None = None,
    meter: Meter | None = None,
) -> ContrastTraining:
    """Train ``model`` in place; a line a step goes to ``log``.

    Raises:
        InputError: with fewer than two facts. TelbenchError: when the loss is no longer a finite number.
    """
    steps = contrast_steps(facts, settings)
    if not steps:
        raise InputError("nothing to contrast: two source documents or more must have questions with references")
    told = meter or Meter()

    def loss_of(pairs: Sequence[tuple[str, str]]) -> Tensor:
        # Sides apart: their lengths differ, and padding to the longer would be computed for nothing.
        left, right = (sentence_vectors(model, tokenizer, side) for side in zip(*pairs, strict=True))
        return info_nce(left, right, settings.temperature)

    done = descend(
        model,
        lambda rng: contrast_batches(facts, settings.batch_size, rng),
        loss_of,
        settings,
        steps,
        counted=("pairs", len),
        log=log,
        tell=lambda loss: told.advance(1, f"loss {loss:.3f}"),
    )
    loss = sum(done.last_losses) / len(done.last_losses)
    return ContrastTraining(done.steps, done.counted, loss, done.seconds, done.cpu_seconds)


def contrast_steps(facts: FactPairs, settings: ContrastSettings) -> int:
    """Optimiser steps of a whole training; every epoch has as many."""
    return settings.epochs * sum(1 for _ in contrast_batches(facts, settings.batch_size, random.Random(0)))


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
