"""A tiny encoder with random weights, and a cache of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from telbench.metrics.embedding.encoder import open_encoder

REFERENCES = [
    "The AMF handles registration and mobility of a UE.",
    "The SMF manages PDU sessions and selects the UPF.",
    "A gNB serves NR cells; an ng-eNB serves LTE cells.",
    "The subcarrier spacing is 15 kHz times a power of two.",
]
PREDICTIONS = [
    "Registration is handled by the AMF.",
    "It is the SMF, which also selects a user plane function for the session of the UE.",
    "gNB",
    "The SMF manages PDU sessions and selects the UPF.",
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh cache folder; no encoder remembers another test's."""
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    open_encoder.cache_clear()
    yield tmp_path / "cache"
    open_encoder.cache_clear()


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BERT of two layers and a WordPiece tokenizer."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from tokenizers.processors import BertProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    # Training a WordPiece vocabulary does not give the same one twice; all words and letters do.
    words = sorted(set(re.findall(r"\w+|[^\w\s]", " ".join(REFERENCES + PREDICTIONS).lower())))
    letters = sorted(set("".join(words)))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    trained = BertWordPieceTokenizer(vocabulary, lowercase=True)
    marks = [(mark, vocabulary[mark]) for mark in ("[SEP]", "[CLS]")]
    trained._tokenizer.post_processor = BertProcessing(*marks)
    special = {f"{kind}_token": f"[{kind.upper()}]" for kind in ("cls", "sep", "pad", "unk", "mask")}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, model_max_length=64, **special)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    return folder
