"""What a token stands for is what the tokenizer's own decoder makes of it, for every kind of tokenizer."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from telbench.kd.vocabulary.compare import shared_tokens
from telbench.kd.vocabulary.spelling import Spelling, ids_by_text, spelling_by_tokens, spelling_of, text_of

TEXTS = ["the modem said Ġ and Ċ to the 5G core", "port 8805 µs ≥ 10 over the air", "the modem sees the core"] * 4
LETTERS = sorted({letter for text in TEXTS for letter in text} - {" "})
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
MODELS = Path.home() / ".cache" / "telbench-models"


def trained(tokenizer: Tokenizer, **how: Any) -> Any:
    trainer = trainers.BpeTrainer(vocab_size=700, show_progress=False, **how)
    tokenizer.train_from_iterator(TEXTS, trainer)
    # Only a special token may hold the place of a byte in training; in real vocabularies they are ordinary ones.
    told = json.loads(tokenizer.to_str())
    told["added_tokens"] = [each for each in told["added_tokens"] if each["content"] not in BYTES]
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(told)), eos_token="</s>")


def gpt2() -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return trained(tokenizer, special_tokens=["</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def gemma() -> Any:
    """Gemma's: the letters Ġ and Ċ are tokens of a vocabulary of pieces."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return trained(tokenizer, special_tokens=["</s>", *BYTES], initial_alphabet=["Ġ", "Ċ", "▁"])


def llama() -> Any:
    """Llama 2's and Mistral's: a first space is taken away again."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return trained(tokenizer, special_tokens=["</s>", *BYTES])


def metaspace() -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return trained(tokenizer, special_tokens=["</s>"])


def wordpiece() -> Any:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", "</s>"], show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="[UNK]")


def suffixed() -> Any:
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder()
    return trained(tokenizer, special_tokens=["</s>"], end_of_word_suffix="</w>")


MADE = {make.__name__: cache(make) for make in (gpt2, gemma, llama, metaspace, wordpiece, suffixed)}


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name in MADE for text in ("the modem said Ġ and Ċ to the core", "port 8805 µs")]
    # The others have no token for what they have not seen.
    + [(name, "over the air 📡") for name in ("gpt2", "gemma", "llama")],
)
def test_the_texts_of_a_texts_tokens_join_to_what_its_decoder_says(name: str, text: str) -> None:
    tokenizer = MADE[name]()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    joined = b"".join(text_of(token, spelling_of(tokenizer)) for token in tokenizer.convert_ids_to_tokens(ids))
    # At the beginning and the end of a text decoders take the space of a word away.
    assert joined.decode().strip() == tokenizer.decode(ids).strip() == text


@pytest.mark.parametrize("name", MADE)
def test_letters_that_look_like_bytes_do_not_make_a_vocabulary_bytewise(name: str) -> None:
    tokenizer = MADE[name]()
    assert spelling_of(tokenizer).bytewise is (name == "gpt2")
    if name == "gemma":
        assert spelling_by_tokens(tokenizer.get_vocab()).bytewise


@pytest.mark.parametrize("one", MADE)
@pytest.mark.parametrize("other", MADE)
def test_shared_tokens_stand_for_one_text(one: str, other: str) -> None:
    teacher, student = MADE[one](), MADE[other]()
    theirs, ours = shared_tokens(teacher, student)
    texts = [
        [text_of(token, spelling_of(each)) for token in each.convert_ids_to_tokens(ids)]
        for each, ids in ((teacher, theirs), (student, ours))
    ]
    assert texts[0] == texts[1]
    # Words, not only letters: " the" or "the" whole, wherever a space belongs to a word's first token.
    if {one, other} <= {"gpt2", "metaspace"}:
        assert b" the" in texts[0]


def test_byte_level_and_sentencepiece_spell_the_same_text() -> None:
    byte_level = {"Ġ": 0, "Ċ": 1, "ĠAMF": 2, "µ": 3, "ÂµâĤ¬": 4, "<|end|>": 5}
    pieces = {"▁": 7, "<0x0A>": 6, "▁AMF": 5, "<0xB5>": 4, "µ€": 3, "<0x41>": 1, "A": 2}
    ours, theirs = (ids_by_text(vocabulary, spelling_by_tokens(vocabulary)) for vocabulary in (byte_level, pieces))
    assert {text: (ours[text], theirs[text]) for text in ours.keys() & theirs.keys()} == {
        b" ": (0, 7),
        b"\n": (1, 6),
        b" AMF": (2, 5),
        b"\xb5": (3, 4),
        "µ€".encode(): (4, 3),
    }
    assert theirs[b"A"] == 2


def test_an_added_token_is_the_text_that_it_is() -> None:
    tokenizer = gpt2()
    tokenizer.add_tokens(["ĠĠraw"])
    assert text_of("ĠĠraw", spelling_of(tokenizer)) == "ĠĠraw".encode()
    assert text_of("ĠĠraw", Spelling(bytewise=True)) == b"  raw"


@pytest.mark.slow
def test_real_vocabularies_are_what_their_decoders_say() -> None:
    from transformers import AutoTokenizer

    names = ("smollm2", "gemma3", "qwen")
    if not all((MODELS / name / "tokenizer.json").is_file() for name in names):
        pytest.skip("SmolLM2, Gemma 3 and Qwen2.5 are not in ~/.cache/telbench-models")
    smol, gemma3, qwen = (AutoTokenizer.from_pretrained(MODELS / name) for name in names)
    assert [spelling_of(each).bytewise for each in (smol, gemma3, qwen)] == [True, False, True]
    assert len(shared_tokens(gemma3, smol)[1]) > 30000
