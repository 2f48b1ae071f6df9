"""Base models: prose that gives no answer away, two tokenizers that really differ, a checkpoint like any other."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.datasets.items import DataSet
from telbench.harness.datasets.loading import load_dataset
from telbench.harness.tokenizing import load_tokenizer
from telbench.kd.batches import IGNORED, Batch, collate
from telbench.kd.checkpoints import made_with
from telbench.kd.study.settings import read_study
from telbench.kd.tiny import base_model
from telbench.kd.tiny.base_model import base_origin, base_tokenizer, make_base, networking_prose, prose_examples
from telbench.kd.tiny.settings import ScratchSettings
from telbench.kd.tiny.tokenizer import train_tokenizer
from telbench.kd.vocabulary.compare import shared_columns

MICRO = ScratchSettings(hidden=64, layers=1, heads=2, inner=96, window=64, vocabulary=400, epochs=1, batch_size=32)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, facts: DataSet) -> Path:
    place = tmp_path_factory.mktemp("made") / "tiny"
    make_base(place, "micro", MICRO, facts)
    return place


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


def test_the_checkpoint_passes_inspection_and_tells_its_factors(base: Path) -> None:
    checkpoint = open_checkpoint(str(base))
    assert checkpoint.factors == {"role": "base", "algorithm": "none", "base": "micro", "seed": 0}
    assert checkpoint.context_length == 64


def test_the_note_names_data_and_settings_by_content(base: Path, facts: DataSet) -> None:
    note = json.loads((base / "telbench.json").read_text())
    told = {name: note["data"][name] for name in ("name", "split", "n", "items_sha256", "used_for")}
    assert told == {
        "name": "facts",
        "split": "train",
        "n": 24,
        "items_sha256": facts.items_sha256,
        "used_for": "the tokenizer",
    }
    assert note["data"]["prose_sha256"] == hashlib.sha256("\n".join(networking_prose()).encode()).hexdigest()
    assert note["settings_sha256"] == base_origin("micro", MICRO, facts).settings_sha256
    tokenizer = load_tokenizer(base)
    assert note["training"]["examples"] == len(prose_examples(tokenizer, networking_prose(), MICRO.window))
    assert note["training"]["parameters"] == AutoModelForCausalLM.from_pretrained(base).num_parameters()


def test_another_seed_other_data_or_another_name_is_another_base_model(base: Path, facts: DataSet) -> None:
    fewer = DataSet("facts", "train", facts.items[:5])
    assert made_with(base, base_origin("micro", MICRO, facts).settings_sha256)
    for other in (
        base_origin("micro", replace(MICRO, seed=1), facts),
        base_origin("micro", MICRO, fewer),
        base_origin("other", MICRO, facts),
    ):
        assert not made_with(base, other.settings_sha256)


def test_the_same_settings_give_the_same_weights_and_tokenizer_files(
    base: Path, tmp_path: Path, facts: DataSet
) -> None:
    make_base(tmp_path / "again", "micro", MICRO, facts)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (base / name).read_bytes()


def test_more_passes_over_the_prose_lower_its_loss(base: Path, facts: DataSet, tmp_path: Path) -> None:
    once = json.loads((base / "telbench.json").read_text())
    read = make_base(tmp_path / "read", "micro", replace(MICRO, epochs=3), facts)
    assert read.training["loss"] < once["training"]["loss"]


@pytest.fixture
def enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the second batch of a training the user has had enough."""
    seen = itertools.count(1)

    def collated(*given: Any) -> Batch:
        if next(seen) == 2:
            raise KeyboardInterrupt
        return collate(*given)

    monkeypatch.setattr(base_model, "collate", collated)


def test_an_interruption_leaves_nothing_behind(tmp_path: Path, facts: DataSet, enough: None) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_base(tmp_path / "tiny", "micro", MICRO, facts)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_keeps_the_checkpoint_that_was_there(
    base: Path, tmp_path: Path, facts: DataSet, enough: None
) -> None:
    shutil.copytree(base, tmp_path / "tiny")
    with pytest.raises(KeyboardInterrupt):
        make_base(tmp_path / "tiny", "micro", replace(MICRO, seed=1), facts)
    assert made_with(tmp_path / "tiny", base_origin("micro", MICRO, facts).settings_sha256)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
