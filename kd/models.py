"""Checkpoints as trainings open them, and the items they read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..harness.checkpoint import Checkpoint, open_checkpoint, open_tokenizer
from ..harness.datasets.items import DataSet
from ..harness.datasets.loading import limited, load_asked
from ..harness.identity import ModelIdentity, identify_checkpoint
from ..harness.prompts.build import PromptSettings, encoder_for
from ..harness.prompts.encoder import Encoder, try_template
from ..harness.tokenizing import read_tokenizer
from .settings import DataSettings

NO_TEMPLATE = "correct the chat template in its tokenizer files"


@dataclass(frozen=True)
class Model:
    """A checkpoint, how it reads, and its hashes."""

    checkpoint: Checkpoint
    encoder: Encoder
    identity: ModelIdentity

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self.encoder.tokenizer


def open_model(folder: str, prompts: PromptSettings) -> Model:
    """Inspect a checkpoint folder and try its tokenizer.

    Raises:
        InputError: when it is none, or its tokenizer cannot be used.
    """
    checkpoint = open_checkpoint(folder)
    tokenizer = read_tokenizer(checkpoint)
    encoder = encoder_for(tokenizer, prompts)
    try_template(encoder, checkpoint, NO_TEMPLATE)
    template = tokenizer.chat_template if encoder.chat else None
    return Model(checkpoint, encoder, identify_checkpoint(checkpoint, str(template) if template else None))


def open_served(name: str, folder: str, prompts: PromptSettings) -> Model:
    """A model that a server has under this name, by a folder with its tokenizer and configuration.

    Its weights are known by the name alone.

    Raises:
        InputError: when the folder lacks one of them, or its tokenizer cannot be used.
    """
    checkpoint = open_tokenizer(folder)
    tokenizer = read_tokenizer(checkpoint)
    encoder = encoder_for(tokenizer, prompts)
    try_template(encoder, checkpoint, NO_TEMPLATE)
    template = tokenizer.chat_template if encoder.chat else None
    found = identify_checkpoint(checkpoint, str(template) if template else None)
    identity = replace(found, weights_sha256=f"served: {name}", config_sha256="", parameters=None)
    return Model(replace(checkpoint, name=name.replace("/", "--")), encoder, identity)


def load_split(data: DataSettings, split: str) -> DataSet:
    """The items of a split, ``limit`` or ``dev_limit`` of them, which are the same for every training."""
    limit = data.limit if split == data.split or data.dev_limit is None else data.dev_limit
    return limited(load_asked(data, split), limit, 0)


def window_of(model: Model, longest: int) -> int:
    """Tokens of prompt and answer that this model is trained on."""
    own = model.checkpoint.context_length
    return longest if own is None else min(own, longest)
