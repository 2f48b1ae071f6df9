"""Caches of some tokens: made from a checkpoint, measured, read back, trained on, and refused where they do not do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from telbench.harness.cli.main import main
from telbench.harness.datasets.items import DataSet
from telbench.harness.prompts.build import PromptSettings
from telbench.kd.commands.cache import CacheOptions
from telbench.kd.models import open_model
from telbench.kd.teacher.cache import SparseTeacher, TeacherCache, open_cached_teacher
from telbench.kd.teacher.making import plan_cache
from telbench.kd.teacher.sparse import Form

from ..made_models import save_facts, save_models


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, facts: DataSet) -> Path:
    folder = save_models(tmp_path_factory.mktemp("models"), facts)
    save_facts(folder / "facts.jsonl", facts)
    return folder


def cached(place: Path, out: Path, *words: str, teacher: str = "teacher") -> int:
    data = ["--data", str(place / "facts.jsonl"), "--max-length", "96", "--out", str(out)]
    return main(["kd", "cache", str(place / teacher), *data, *words])


def distilled(place: Path, out: Path, cache: Path, *words: str) -> int:
    """A few steps of vanilla distillation from a cache, as a user would."""
    models = ["--teacher", str(place / "teacher"), "--student", str(place / "student"), "--teacher-cache", str(cache)]
    data = ["--data", str(place / "facts.jsonl"), "--max-length", "96", "--epochs", "1", "--batch-size", "4"]
    return main(["kd", "distill", *models, *data, "--out", str(out), *words])


def steps(out: Path) -> list[dict[str, Any]]:
    return [
        record for line in (out / "training.jsonl").read_text().splitlines() if "loss" in (record := json.loads(line))
    ]


def test_a_cache_holds_the_likeliest_tokens_of_each_row_and_is_as_large_as_told(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cached(place, tmp_path / "top", "--top-k", "5", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    plan = plan_cache(str(place / "teacher"), data_of(place), "float32", Form("top_k", 5))
    # 5 ids and 5 log-probabilities of 4 bytes, where the teacher's hidden states are 48 numbers wide.
    assert told["rows"] * 40 < told["bytes"] <= plan.bytes < told["rows"] * 48 * 4
    teacher = open_cached_teacher(
        tmp_path / "top", open_model(str(place / "teacher"), PromptSettings("closed")).checkpoint
    )
    assert isinstance(teacher, SparseTeacher)
    model = AutoModelForCausalLM.from_pretrained(place / "teacher").eval()
    for each in plan.examples[:4]:
        with torch.no_grad():
            logits = model(torch.tensor([each.example.inputs])).logits[0, each.example.start - 1 :]
        found = teacher.form.unpacked(teacher.rows([each]))
        values, ids = logits.log_softmax(-1).topk(5)
        assert torch.equal(found.ids, ids)
        assert torch.allclose(found.log_p, values, atol=1e-5)


def data_of(place: Path) -> Any:
    from telbench.kd.settings import NONE, DataSettings

    return DataSettings(data=str(place / "facts.jsonl"), max_length=96, dev_split=NONE)


def test_nearly_all_tokens_train_as_the_live_teacher_does(place: Path, tmp_path: Path) -> None:
    columns = TeacherHead(place).size - 1
    assert cached(place, tmp_path / "wide", "--top-k", str(columns), "--temperature", "2") == 0
    assert distilled(place, tmp_path / "of-tokens", tmp_path / "wide", "--algorithm", "vanilla_kd") == 0
    assert cached(place, tmp_path / "states") == 0
    assert distilled(place, tmp_path / "of-states", tmp_path / "states", "--algorithm", "vanilla_kd") == 0
    ours, theirs = steps(tmp_path / "of-tokens"), steps(tmp_path / "of-states")
    assert len(ours) == len(theirs) > 2
    for one, other in zip(ours, theirs, strict=True):
        assert (one["loss"], one["kd"]) == pytest.approx((other["loss"], other["kd"]), rel=1e-4)


class TeacherHead:
    def __init__(self, place: Path) -> None:
        self.size = json.loads((place / "teacher" / "config.json").read_text())["vocab_size"]


@pytest.mark.parametrize("words", [("--top-k", "8"), ("--sampled", "12"), ("--sampled", "12", "--proposal", "0.8")])
def test_a_student_learns_from_either_form(place: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert cached(place, tmp_path / "cache", *words) == 0
    out = tmp_path / "made"
    chosen = ["--algorithm", "vanilla_kd", "--temperature", "1", "--kd-rate", "1", "--learning-rate", "0.01"]
    assert distilled(place, out, tmp_path / "cache", *chosen, "--epochs", "6") == 0
    found = steps(out)
    assert found[-1]["kd"] < 0.9 * found[0]["kd"]
    assert json.loads((out / "telbench.json").read_text())["factors"]["algorithm"] == "vanilla_kd"


def test_what_a_cache_of_tokens_cannot_do_is_refused_in_one_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cached(place, tmp_path / "top", "--top-k", "5") == 0
    assert cached(place, tmp_path / "drawn", "--sampled", "5") == 0
    capsys.readouterr()
    one = ("--temperature", "1")
    for cache, words, told in (
        ("top", ("--algorithm", "vanilla_kd"), "the training's is 2; pass --temperature 1"),
        ("top", ("--algorithm", "dskd", *one), "dskd needs hidden states; it serves vanilla_kd"),
        ("drawn", ("--algorithm", "vanilla_kd", *one, "--divergence", "reverse_kl"), "a sample gives forward_kl alone"),
    ):
        assert distilled(place, tmp_path / "made", tmp_path / cache, *words) == 2
        assert told in capsys.readouterr().err
        assert not (tmp_path / "made").exists()
        assert not (tmp_path / "made.training").exists()
    assert cached(place, tmp_path / "top", "--top-k", "6") == 2
    assert "caches something else (another form of rows)" in capsys.readouterr().err


def test_a_cache_of_hidden_states_keeps_its_key(place: Path, tmp_path: Path) -> None:
    plain = plan_cache(str(place / "teacher"), data_of(place), "float32").key
    assert "form" not in plain.told
    assert plan_cache(str(place / "teacher"), data_of(place), "float32", Form("top_k", 5)).key.sha256 != plain.sha256
    assert cached(place, tmp_path / "states") == 0
    assert TeacherCache(tmp_path / "states").form is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"top_k": 3, "sampled": 3}, "give one"),
        ({"temperature": 2.0}, "hidden states serve any temperature"),
        ({"proposal": 2.0, "top_k": 3}, "--proposal is for --sampled"),
        ({"tokenizer": "t"}, "--tokenizer is for a served teacher"),
        ({"teacher": "openai:m@http://127.0.0.1:1/v1", "top_k": 3}, "needs --top-k K and --tokenizer FOLDER"),
        ({"teacher": "openai:m@http://127.0.0.1:1/v1", "tokenizer": "t"}, "needs --top-k K and --tokenizer FOLDER"),
        (
            {"teacher": "openai:m@http://127.0.0.1:1/v1", "tokenizer": "t", "top_k": 3, "temperature": 2.0},
            "at temperature 1",
        ),
        ({"teacher": "openai:m"}, "the teacher 'openai:m' names no server: write openai:MODEL@URL"),
    ],
)
def test_options_that_contradict_each_other_are_refused(given: dict[str, Any], told: str) -> None:
    from telbench.errors import InputError

    with pytest.raises(InputError, match=told):
        CacheOptions(**{"teacher": "folder", **given})
