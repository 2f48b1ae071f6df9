"""Our own tokenizer: lossless, one beginning, the same after saving."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.harness.datasets.items import DataSet
from telbench.harness.prompts.build import PromptSettings, encoder_for
from telbench.harness.tokenizing import load_tokenizer
from telbench.kd.tiny.tokenizer import ASSISTANT, BOS, EOS, PAD, SPECIAL, USER, tokenizer_texts, train_tokenizer

TEXTS = ["What does the AMF do in the 5G core?", "It handles registration at 28 GHz.", "PFCP uses port 8805."] * 3
SMALL = train_tokenizer(TEXTS, 320, 128)
CLOSED = PromptSettings("closed")


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_unicode_text_survives_encoding_and_decoding(text: str) -> None:
    ids = SMALL(text, add_special_tokens=False)["input_ids"]
    assert SMALL.decode(ids) == text or any(token in text for token in SPECIAL)


@pytest.mark.parametrize("text", ["≥ 10 µs", "naïve 电信 📡", " two  spaces ", "don 't , he said .", "a\r\n\tb"])
def test_spaces_and_signs_outside_ascii_survive_a_saved_and_loaded_tokenizer(text: str, tmp_path: Path) -> None:
    SMALL.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.decode(loaded(text, add_special_tokens=False)["input_ids"]) == text
    assert loaded.chat_template == SMALL.chat_template


@pytest.mark.parametrize("chat", [True, False])
def test_a_prompt_begins_with_exactly_one_beginning_token(chat: bool) -> None:
    ids = encoder_for(SMALL, PromptSettings("closed", chat=chat)).ids("What is PFCP?")
    begin = SMALL.get_vocab()[BOS]
    assert ids[0] == begin
    assert ids.count(begin) == 1


def test_the_chat_template_is_user_message_then_the_sign_to_answer() -> None:
    vocabulary = SMALL.get_vocab()
    ids = encoder_for(SMALL, CLOSED).ids("What is PFCP?")
    assert [ids[0], ids[1], ids[-1]] == [vocabulary[BOS], vocabulary[USER], vocabulary[ASSISTANT]]
    assert SMALL.decode(ids[2:-1]) == "What is PFCP?"


def test_a_conversation_renders_its_answers_with_an_end() -> None:
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    assert SMALL.apply_chat_template(said, tokenize=False) == f"{BOS}{USER}Hi{ASSISTANT}Ho{EOS}"


def test_the_template_refuses_a_role_it_has_no_token_for() -> None:
    with pytest.raises(Exception, match="roles are user and assistant, not system"):
        SMALL.apply_chat_template([{"role": "system", "content": "x"}], tokenize=False)


def test_the_same_texts_give_the_same_tokenizer(facts: DataSet) -> None:
    texts = tokenizer_texts(facts, CLOSED)
    first, second = (train_tokenizer(texts, 400, 128).backend_tokenizer.to_str() for _ in range(2))
    assert first == second


def test_special_tokens_come_first_and_the_vocabulary_is_no_larger_than_asked() -> None:
    assert SMALL.convert_tokens_to_ids(list(SPECIAL)) == [0, 1, 2, 3, 4]
    assert len(SMALL) <= 320
    assert SMALL.pad_token == PAD
