"""A tiny BERT for sentence vectors: byte-level tokenizer, random weights, and a folder that others read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import BertModel, PreTrainedTokenizerFast

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
