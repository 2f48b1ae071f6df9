"""``telbench kd cache``: what is left out, what it costs, what stops it, and what it does when called again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import namedtuple
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.cli.main import main
from telbench.harness.datasets.items import DataSet, Item
from telbench.harness.prompts.build import PromptSettings, encoder_for
from telbench.kd.batches import reader
from telbench.kd.teacher import making as caching
from telbench.kd.teacher import shards as teacher_shards
from telbench.kd.teacher.cache import open_cached_teacher
from telbench.kd.teacher.rows import LiveTeacher
from telbench.kd.tiny.base_model import TinyShape, build_tiny
from telbench.kd.tiny.tokenizer import tokenizer_texts, train_tokenizer

CLOSED = PromptSettings("closed")
WINDOW = 96
SHARDS = 5


@pytest.fixture(scope="module")
def tokenizer(facts: DataSet) -> Any:
    return train_tokenizer(tokenizer_texts(facts, CLOSED), 400, WINDOW)


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    return build_tiny(TinyShape(hidden=32, layers=1, heads=2, inner=48, window=WINDOW), tokenizer, 1)


@pytest.fixture
def teacher(tmp_path: Path, model: Any, tokenizer: Any) -> Path:
    model.save_pretrained(tmp_path / "teacher")
    tokenizer.save_pretrained(tmp_path / "teacher")
    return tmp_path / "teacher"


@pytest.fixture
def data(tmp_path: Path, facts: DataSet) -> Path:
    """The facts, one that has no answer, one whose answer is empty (the reader drops it), one that no window holds."""
    odd = (
        Item("bare", "What is 7G?", ("Soon.",), split="train", meta={"unanswerable": True}),
        Item("empty", "What is 8G?", ("",), split="train"),
        Item("long", "Why " + "very " * 200 + "long?", ("So.",), split="train"),
    )
    file = tmp_path / "facts.jsonl"
    file.write_text("".join(json.dumps({**asdict(item), "references": list(item.references)}) + "\n"
                            for item in (*facts.items, *odd)))  # fmt: skip
    return file


@pytest.fixture
def words(teacher: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(teacher_shards, "SHARD_ROWS", 200)
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "scratch"))
    return ["kd", "cache", str(teacher), "--data", str(data), "--out", str(tmp_path / "cache")]


def document(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_cannot_be_read_is_counted_and_the_rest_is_stored_as_trained_on(
    words: list[str], teacher: Path, model: Any, tokenizer: Any, facts: DataSet, capsys: pytest.CaptureFixture[str]
) -> None:
    made = document(words, capsys)
    assert made["examples"] == len(facts.items)
    assert made["dropped"] == {"no answer": 1, "too long for the teacher": 1}
    cached = open_cached_teacher(Path(made["path"]), open_checkpoint(str(teacher)), verify=True)
    read = reader(encoder_for(tokenizer, CLOSED), WINDOW, "teacher")
    examples, _ = caching.teacher_examples(facts.items, CLOSED, read)
    cached.cache.require(examples)
    live = LiveTeacher(model).rows(examples)
    assert torch.allclose(cached.rows(examples), live, atol=1e-5)
    assert len(live) == made["rows"]


def test_half_precision_halves_the_size_and_rounds_the_same_states(
    words: list[str], tmp_path: Path, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = document(words, capsys)
    half = document([*words[:-1], str(tmp_path / "half"), "--dtype", "bfloat16"], capsys)
    assert 0.45 < half["bytes"] / full["bytes"] < 0.7
    stored = open_cached_teacher(tmp_path / "half", open_checkpoint(str(teacher)))
    assert stored.head.weight.dtype == torch.bfloat16


def test_a_second_call_checks_everything_and_loads_no_model(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    monkeypatch.setattr(caching, "load_model", lambda *_: pytest.fail("the model was loaded"))
    assert main(words) == 0
    assert "was complete, all hashes are right" in capsys.readouterr().out
    assert document(words, capsys)["shards"] == {"made": 0, "kept": SHARDS}


def test_a_truncated_shard_is_told_and_made_again(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    os.truncate(Path(words[-1]) / "rows-00002.safetensors", 999)
    assert document(words, capsys)["shards"] == {"made": 1, "kept": SHARDS - 1}


def test_ctrl_c_keeps_what_is_finished_and_prints_the_line_that_goes_on(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    plain, calls = LiveTeacher.rows, []

    def interrupted(self: LiveTeacher, examples: Any) -> Any:
        calls.append(examples)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return plain(self, examples)

    with monkeypatch.context() as patch:
        patch.setattr(LiveTeacher, "rows", interrupted)
        assert main([*words, "--fresh"]) == 130
    said = capfd.readouterr().err
    assert "interrupted; finished shards are kept in" in said
    assert f"resume with: telbench {' '.join(words)}\n" in said
    assert main(words) == 0
    assert f"{SHARDS - 3} shards made, 3 kept" in capfd.readouterr().out


def test_a_disk_without_room_is_refused_before_the_model_is_loaded(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(caching.shutil, "disk_usage", lambda folder: usage(90_000))
    monkeypatch.setattr(caching, "load_model", lambda *_: pytest.fail("the model was loaded"))
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "the teacher cache needs 0.1 MiB more" in said
    assert "--dtype bfloat16" in said


def test_another_cache_a_users_folder_and_an_empty_split_are_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    for more, message in (
        (["--limit", "3"], "caches something else (other items or texts): choose another --out, or --fresh"),
        (
            ["--max-length", "2"],
            "nothing to cache in facts, split train: 25 items too long for the teacher, 1 items no answer",
        ),
        (["--out", str(tmp_path)], "was not made by telbench: move it away"),
        (["--split", "tets"], "has no split 'tets'"),
    ):
        capsys.readouterr()
        assert main([*words, *more]) == 2
        assert message in capsys.readouterr().err
    # Three items are drawn, the same ones every time; one of them has no answer.
    assert document([*words, "--limit", "3", "--fresh"], capsys)["examples"] == 2
    assert [file.name for file in sorted(Path(words[-1]).glob("rows-*"))] == ["rows-00000.safetensors"]


def test_without_out_caches_lie_apart_by_what_they_depend_on(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {
        document([*words[:-2], *more], capsys)["path"] for more in ([], ["--dtype", "bfloat16"], ["--limit", "3"])
    }
    assert len(places) == 3
    assert all(Path(place).parent == tmp_path / "scratch" / "teacher-rows" for place in places)


KILLED = """
import os, signal, sys
from telbench.harness.cli.main import main
from telbench.kd.teacher import shards
shards.SHARD_ROWS = 200
plain, left = os.fsync, int(sys.argv[1])
def fsync(descriptor):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    plain(descriptor)
os.fsync = fsync
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("write", [1, 6, 12])
def test_killed_at_any_write_the_same_command_ends_with_the_same_files(
    words: list[str], tmp_path: Path, write: int
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(write), *words], capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert not (Path(words[-1]) / "index.json").exists()
    assert main(words) == 0
    whole = [*words[:-1], str(tmp_path / "whole")]
    assert main(whole) == 0
    for file in ("index.json", *(f"rows-{number:05d}.safetensors" for number in range(SHARDS))):
        assert (Path(words[-1]) / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert not list(Path(words[-1]).glob("*.unfinished"))
