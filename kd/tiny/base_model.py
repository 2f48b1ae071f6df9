"""A base model from nothing: a tiny Llama that has read general networking prose, and no question yet."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...harness.datasets.items import DataSet
from ...harness.prompts.build import PromptSettings
from ...metrics.fingerprints import fingerprint, text_sha256
from ..batches import Batch, Example, bucketed, collate
from ..checkpoints import NOTE, Origin, data_facts, whole_folder, write_checkpoint
from ..losses.heads import decoder_of, rows_of
from ..train.optimisation import LOG
from .loop import LoopSettings, descend
from .settings import ScratchSettings
from .tokenizer import BOS, EOS, PAD, tokenizer_texts, train_tokenizer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class TinyShape:
    """Sizes of a tiny Llama; ``hidden / heads`` must be a head size that vLLM's CPU kernels know (32, 64 …)."""

    hidden: int = 128
    layers: int = 3
    heads: int = 4
    inner: int = 384
    window: int = 512
    tied: bool = True


def build_tiny(shape: TinyShape, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A float32 Llama of that shape for that vocabulary, randomly initialised from ``seed`` alone."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    ids = tokenizer.get_vocab()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.window,
        tie_word_embeddings=shape.tied,
        bos_token_id=ids[BOS],
        eos_token_id=ids[EOS],
        pad_token_id=ids[PAD],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    return model.float()


def networking_prose() -> list[str]:
    """Paragraphs on networks in general. They name no system of the data sets and answer none of their questions."""
    text = resources.files(__package__ or __name__).joinpath("prose", "networking.txt").read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line]


def prose_examples(tokenizer: PreTrainedTokenizerFast, paragraphs: Sequence[str], window: int) -> list[Example]:
    """Every paragraph in parts of at most ``window`` tokens; each token but the first of a part is learnt."""
    examples = []
    for paragraph in paragraphs:
        ids = [*tokenizer.encode(paragraph), tokenizer.get_vocab()[EOS]]
        parts = [tuple(ids[start : start + window]) for start in range(0, len(ids), window)]
        examples += [Example(part, 1) for part in parts if len(part) > 1]
    return examples


@dataclass(frozen=True)
class CausalTraining:
    """What a training came to; ``loss`` is the mean over the last epoch's learnt tokens, in nats."""

    steps: int
    tokens: int
    loss: float
    seconds: float
    cpu_seconds: float


def answer_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Cross-entropy of the tokens that count in nats, summed over the batch: whoever steps divides by their number."""
    from torch.nn.functional import cross_entropy

    hidden, labels, _ = rows_of(decoder_of(model), batch)
    head: Any = model.get_output_embeddings()
    return cross_entropy(head(hidden).float(), labels, reduction="sum")


def train_causal(
    model: PreTrainedModel, examples: Sequence[Example], settings: LoopSettings, *, pad: int, log: Path | None = None
) -> CausalTraining:
    """Train ``model`` in place to say what each example says next; a line a step goes to ``log``.

    Raises:
        InputError: without examples. TelbenchError: when the loss is no longer a finite number.
    """
    if not examples:
        raise InputError("nothing to train on: no item has a reference and fits the model's window")
    labels: list[int] = []

    def batches(rng: random.Random) -> Iterator[Batch]:
        labels.clear()
        for chosen in bucketed(examples, settings.batch_size, rng):
            batch = collate(chosen, pad)
            labels.append(batch.n_labels)
            yield batch

    steps = settings.epochs * -(-len(examples) // settings.batch_size)
    done = descend(
        model,
        batches,
        lambda batch: answer_loss(model, batch) / batch.n_labels,
        settings,
        steps,
        counted=("tokens", lambda batch: batch.n_tokens),
        log=log,
    )
    loss = 0.0
    for value, count in zip(done.last_losses, labels, strict=True):
        loss += value * count
    return CausalTraining(done.steps, done.counted, loss / sum(labels), done.seconds, done.cpu_seconds)


def base_tokenizer(settings: ScratchSettings, dataset: DataSet) -> PreTrainedTokenizerFast:
    """The tokenizer of a base model. Texts of two kinds make two vocabularies with hardly an id in common."""
    if settings.corpus == "questions":
        texts = tokenizer_texts(dataset, PromptSettings("closed"))
    else:
        texts = list(dict.fromkeys(item.context for item in dataset.items if item.context))
    return train_tokenizer([*networking_prose(), *texts], settings.vocabulary, settings.window, settings.pieces)


def base_origin(name: str, settings: ScratchSettings, dataset: DataSet) -> Origin:
    """The note of a base model: its tokenizer knows the words of ``dataset``, its weights only the prose."""
    made_by = {"name": name, **asdict(settings)}
    data = {
        **data_facts(dataset),
        "used_for": "the tokenizer",
        "prose_sha256": text_sha256("\n".join(networking_prose())),
    }
    factors = {"role": "base", "algorithm": "none", "base": name, "seed": settings.seed}
    return Origin(factors, data, made_by, fingerprint([made_by, data, version("telbench")]))


def make_base(final: Path, name: str, settings: ScratchSettings, dataset: DataSet) -> Origin:
    """Train a base model and put the checkpoint at ``final``, whole or not at all.

    Raises:
        InputError: when the place cannot be used. TelbenchError: when training diverges.
    """
    shape = TinyShape(settings.hidden, settings.layers, settings.heads, settings.inner, settings.window)
    recipe = LoopSettings(settings.epochs, settings.batch_size, settings.learning_rate, seed=settings.seed)
    paragraphs = networking_prose()
    origin = base_origin(name, settings, dataset)
    with whole_folder(final, NOTE) as folder:
        tokenizer = base_tokenizer(settings, dataset)
        model = build_tiny(shape, tokenizer, settings.seed)
        examples = prose_examples(tokenizer, paragraphs, settings.window)
        pad = tokenizer.get_vocab()[PAD]
        done = train_causal(model, examples, recipe, pad=pad, log=folder / LOG)
        parameters = sum(weight.numel() for weight in model.parameters())
        origin = replace(origin, training={**asdict(done), "examples": len(examples), "parameters": parameters})
        write_checkpoint(folder, model, tokenizer, origin, _card(final.name, origin, parameters))
    return origin


def _card(name: str, origin: Origin, parameters: int) -> str:
    return f"""---
license: apache-2.0
language: en
tags: [telbench, base]
---
# {name}

A Llama of {parameters:,} weights, trained by telbench {version("telbench")} from random ones on
{len(networking_prose())} paragraphs of general networking prose. It has seen no question: it is the base that a study
starts from, and good for nothing else. All settings are in `{NOTE}`, each step in `training.jsonl`.
"""
