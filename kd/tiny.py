"""Tiny Llama checkpoints with random weights: small enough to train on a laptop's processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .tokenizer import BOS, EOS, PAD

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


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
