"""Base models: prose that gives no answer away, two tokenizers that really differ, a checkpoint like any other."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.datasets.loading import load_dataset
from telbench.harness.items import DataSet
from telbench.kd.batches import IGNORED
from telbench.kd.scratch import base_origin, base_tokenizer, make_base, networking_prose, prose_examples
from telbench.kd.study_settings import ScratchSettings, read_study
from telbench.kd.tokenizer import train_tokenizer
from telbench.kd.vocabulary import shared_columns

MICRO = ScratchSettings(hidden=64, layers=1, heads=2, inner=96, window=64, vocabulary=400, epochs=1, batch_size=32)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def test_the_prose_repeats_no_phrase_of_a_question_or_an_answer() -> None:
    size = 6
    prose = words(" ".join(networking_prose()))
    known = {tuple(prose[k : k + size]) for k in range(len(prose))}
    for item in load_dataset("telecom-nano", split="all").items:
        for text in (item.question, *item.references):
            said = words(text)
            assert not [k for k in range(len(said) - size + 1) if tuple(said[k : k + size]) in known], text


def test_the_prose_is_several_hundred_sentences() -> None:
    assert len(re.findall(r"[.?!](?:\s|$)", "\n".join(networking_prose()))) > 300


def test_the_presets_have_one_vocabulary_and_another() -> None:
    scratch = read_study("nano").scratch
    data = load_dataset("telecom-nano", split="train")
    student, same, other = (base_tokenizer(scratch[name], data) for name in ("student", "teacher", "teacher-digits"))
    assert shared_columns(same.get_vocab(), student.get_vocab()) == 3000
    assert shared_columns(other.get_vocab(), student.get_vocab()) is None
    ids = student.get_vocab()
    # Special tokens and single bytes; real pairs of models are no more alike.
    assert sum(ids.get(token) == index for token, index in other.get_vocab().items()) < 300
    assert not [token for token in other.get_vocab() if re.search(r"\d\d|[.,:]\S|\w[.,:]", token)]
    for tokenizer in (student, other):
        found = tokenizer.encode("UDP port 8805: 1 µs, ≥ 2 ☃", add_special_tokens=False)
        assert tokenizer.decode(found) == "UDP port 8805: 1 µs, ≥ 2 ☃"


def test_every_token_of_the_prose_is_learnt_but_the_first_of_a_part() -> None:
    paragraphs = networking_prose()[:3]
    tokenizer = train_tokenizer(paragraphs, 400, 64)
    examples = prose_examples(tokenizer, paragraphs, 64)
    assert max(len(example.ids) for example in examples) <= 64
    assert not [label for example in examples for label in example.labels if label == IGNORED]
    whole = [token for example in examples for token in example.ids]
    assert tokenizer.decode(whole, skip_special_tokens=True) == "".join(paragraphs)


@pytest.mark.slow
def test_a_base_model_is_a_checkpoint_that_has_read(facts: DataSet, tmp_path: Path) -> None:
    read = make_base(tmp_path / "read", "micro", replace(MICRO, epochs=3), facts)
    once = make_base(tmp_path / "once", "micro", MICRO, facts)
    assert read.training["loss"] < once.training["loss"]
    checkpoint = open_checkpoint(str(tmp_path / "read"))
    assert checkpoint.factors == {"role": "base", "algorithm": "none", "base": "micro", "seed": 0}
    note = json.loads((tmp_path / "read" / "telbench.json").read_text())
    assert note["data"]["used_for"] == "the tokenizer"
    assert note["settings_sha256"] == base_origin("micro", replace(MICRO, epochs=3), facts).settings_sha256
