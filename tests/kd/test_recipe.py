"""A recipe's checkpoint: whole or absent, loadable, with a note of how it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.items import DataSet
from telbench.harness.prompts import PromptSettings, encoder_for, load_tokenizer, message
from telbench.harness.reporter import Meter
from telbench.judges.errors import InputError
from telbench.kd.checkpoints import made_with
from telbench.kd.recipe import make_checkpoint
from telbench.kd.whole_folder import whole_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, facts: DataSet, micro_recipe) -> Path:
    place = tmp_path_factory.mktemp("made") / "tiny"
    make_checkpoint(place, micro_recipe(), facts)
    return place


def test_the_checkpoint_passes_inspection_and_tells_its_factors(folder: Path) -> None:
    checkpoint = open_checkpoint(str(folder))
    assert checkpoint.factors == {"algorithm": "sft", "student_sft": True, "seed": 0, "epochs": 2}
    assert checkpoint.context_length == 128


def test_transformers_loads_the_weights_that_were_trained(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert model.generation_config.eos_token_id == load_tokenizer(folder).eos_token_id
    note = json.loads((folder / "telbench.json").read_text())
    assert sum(weight.numel() for weight in model.parameters()) == note["training"]["parameters"]


def test_the_note_names_data_and_settings_by_content(folder: Path, facts: DataSet, micro_recipe) -> None:
    note = json.loads((folder / "telbench.json").read_text())
    assert note["data"] == {"name": "facts", "split": "train", "n": 24, "items_sha256": facts.items_sha256}
    assert note["settings_sha256"] == micro_recipe().origin(facts).settings_sha256
    assert note["training"]["examples"] == 24


def test_another_seed_or_other_data_is_another_recipe(folder: Path, facts: DataSet, micro_recipe) -> None:
    same, seed = (micro_recipe(**change).origin(facts).settings_sha256 for change in ({}, {"seed": 1}))
    fewer = micro_recipe().origin(DataSet("facts", "train", facts.items[:5])).settings_sha256
    assert made_with(folder, same)
    assert not made_with(folder, seed)
    assert not made_with(folder, fewer)
    assert not made_with(folder / "nowhere", same)


def test_a_checkpoint_cut_short_is_not_taken_for_made(tmp_path: Path, facts: DataSet, micro_recipe) -> None:
    recipe = micro_recipe(epochs=1)
    origin = make_checkpoint(tmp_path / "tiny", recipe, facts)
    weights = tmp_path / "tiny" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert not made_with(tmp_path / "tiny", origin.settings_sha256)


def test_the_same_recipe_gives_the_same_weights_and_tokenizer_files(
    folder: Path, tmp_path: Path, facts: DataSet, micro_recipe
) -> None:
    make_checkpoint(tmp_path / "again", micro_recipe(), facts)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


class Interrupting(Meter):
    """A meter at whose second step the user has had enough."""

    steps = 0

    def advance(self, count: int = 1, detail: str = "") -> None:
        self.steps += count
        if self.steps == 2:
            raise KeyboardInterrupt


def test_an_interruption_leaves_nothing_behind(tmp_path: Path, facts: DataSet, micro_recipe) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_checkpoint(tmp_path / "tiny", micro_recipe(), facts, Interrupting())
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_keeps_the_checkpoint_that_was_there(tmp_path: Path, facts: DataSet, micro_recipe) -> None:
    origin = make_checkpoint(tmp_path / "tiny", micro_recipe(epochs=1), facts)
    with pytest.raises(KeyboardInterrupt):
        make_checkpoint(tmp_path / "tiny", micro_recipe(), facts, Interrupting())
    assert made_with(tmp_path / "tiny", origin.settings_sha256)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_folder_of_the_users_is_never_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="was not made by telbench"), whole_folder(mine, "telbench.json"):
        pass
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_a_whole_folder_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with whole_folder(tmp_path / "made", "mark") as scratch:
            (scratch / "mark").write_text(content)
    assert (tmp_path / "made" / "mark").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.slow
def test_a_few_hundred_steps_learn_eight_facts_by_heart(tmp_path: Path, facts: DataSet, micro_recipe) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    make_checkpoint(tmp_path / "tiny", micro_recipe(layers=2, epochs=100), facts)
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny")
    tokenizer = load_tokenizer(tmp_path / "tiny")
    settings = PromptSettings("closed")
    encoder = encoder_for(tokenizer, settings)
    for item in facts.items:
        ids = torch.tensor([encoder.ids(message(item, settings, None))])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=60, do_sample=False)
        assert tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True) == item.references[0]
