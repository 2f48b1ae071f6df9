"""Fixture: a tiny random-initialised Llama with a byte-level tokenizer and a chat template, good for any engine."""

from __future__ import annotations

from pathlib import Path

import pytest

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIALS = ["<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]
TEXT = ["The gNB sends the RRC message to the UE.", "Which interface connects the O-DU and the O-RU?"]
VOCABULARY = 300
WINDOW = 512


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a Llama (hidden 64, 2 layers, 2 heads of 32, 300 tokens, 512 positions, float32), the same each time.

    Greedy answers are printable ASCII, so that engines which decode token by token agree with those that do not.
    """
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny-llama"
    save_tokenizer(folder)
    save_model(folder)
    return folder


def save_tokenizer(folder: Path, *, chat: bool = True, window: int = WINDOW) -> None:
    """Train the byte-level BPE tokenizer on two sentences and write it; without ``chat``, no template and no BOS."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>" if chat else None,
        eos_token="</s>",
        pad_token="<pad>" if chat else None,
        clean_up_tokenization_spaces=False,
        model_max_length=window,
    )
    fast.chat_template = TEMPLATE if chat else None
    fast.save_pretrained(folder)


def save_model(
    folder: Path, *, vocabulary: int = VOCABULARY, printable_only: bool = True, window: int = WINDOW
) -> None:
    """Draw the weights from one seed and write them; output rows of tokens that are not printable ASCII are zero.

    A ``vocabulary`` above the tokenizer's gives rows for tokens that do not exist.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=window,
        # Wide enough that the best two logits are never a rounding error apart.
        initializer_range=0.2,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = LlamaForCausalLM(config)
    with torch.no_grad():
        for token in range(vocabulary) if printable_only else ():
            text = tokenizer.decode([token])
            printable = text.isascii() and text.isprintable() and token >= len(SPECIALS)
            if not printable and token != tokenizer.eos_token_id:
                model.lm_head.weight[token] = 0.0
    model.save_pretrained(folder)
