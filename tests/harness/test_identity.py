"""Hashes that a run depends on: any changed byte shows, an untouched file is read once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.identity import cache_folder, file_sha256, identify_checkpoint, text_sha256
from telbench.metrics import fingerprints as content

BIG = 5 << 20


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stamps count as old enough at once."""
    monkeypatch.setattr(content, "_FRESH_NS", -(10**18))


def big_file(path: Path) -> str:
    content = os.urandom(BIG)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def test_a_large_file_is_read_once(tmp_path: Path, cache: Path, settled: None, monkeypatch: pytest.MonkeyPatch):
    wanted = big_file(tmp_path / "weights")
    assert file_sha256(tmp_path / "weights") == wanted
    real = Path.open

    def opened(path: Path, *rest: Any, **more: Any) -> Any:
        assert path.name != "weights", "the file was read again"
        return real(path, *rest, **more)

    monkeypatch.setattr(Path, "open", opened)
    assert file_sha256(tmp_path / "weights") == wanted


def test_one_byte_changed_in_place_shows_though_size_and_mtime_stay(tmp_path: Path, cache: Path, settled: None):
    file = tmp_path / "weights"
    before = big_file(file)
    assert file_sha256(file) == before
    status = file.stat()
    with file.open("r+b") as stream:
        first = stream.read(1)
        stream.seek(0)
        stream.write(bytes([first[0] ^ 1]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert file_sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest() != before


def test_a_file_written_just_now_is_not_remembered(tmp_path: Path, cache: Path):
    big_file(tmp_path / "weights")
    assert time.time_ns() - (tmp_path / "weights").stat().st_mtime_ns < content._FRESH_NS
    file_sha256(tmp_path / "weights")
    assert not (cache / "file-hashes").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: "{",
        lambda record: "[]",
        lambda record: json.dumps({**record, "sha256": 7}),
        lambda record: json.dumps({**record, "sha256": "short"}),
        lambda record: json.dumps({**record, "stamp": []}),
    ],
)
def test_a_spoilt_memory_is_passed_over(
    tmp_path: Path, cache: Path, settled: None, spoil: Callable[[dict[str, object]], str]
):
    wanted = big_file(tmp_path / "weights")
    file_sha256(tmp_path / "weights")
    (memory,) = (cache / "file-hashes").iterdir()
    memory.write_text(spoil(json.loads(memory.read_text())))
    assert file_sha256(tmp_path / "weights") == wanted


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, cache: Path, settled: None):
    cache.write_text("a file")
    wanted = big_file(tmp_path / "weights")
    assert file_sha256(tmp_path / "weights") == wanted


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, cache: Path):
    with pytest.raises(InputError, match=r"cannot read .*absent"):
        file_sha256(tmp_path / "absent")


def test_any_part_of_a_checkpoint_that_answers_depend_on_changes_its_identity(
    tiny_checkpoint: Path, tmp_path: Path, cache: Path
):
    folder = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, folder)

    def now(template: str | None = "t") -> str:
        return identify_checkpoint(open_checkpoint(str(folder)), template).sha256

    seen = {now(), now("other template"), now(None)}
    assert len(seen) == 3
    assert now() in seen
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        record = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**record, "note": "changed"}))
        assert now() not in seen
        seen.add(now())
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    assert now() not in seen
    seen.add(now())
    (folder / "README.md").write_text("words")
    assert now() in seen


def test_a_copy_and_another_folder_name_have_the_same_identity(tiny_checkpoint: Path, tmp_path: Path, cache: Path):
    shutil.copytree(tiny_checkpoint, tmp_path / "renamed")
    one, other = (
        identify_checkpoint(open_checkpoint(str(path)), "t") for path in (tiny_checkpoint, tmp_path / "renamed")
    )
    assert one == other


def test_weights_beside_those_of_the_index_count_too(tiny_checkpoint: Path, tmp_path: Path, cache: Path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, folder)
    before = identify_checkpoint(open_checkpoint(str(folder)), None)
    shutil.copy(folder / "model.safetensors", folder / "adapter_model.safetensors")
    checkpoint = open_checkpoint(str(tiny_checkpoint))
    beside = type(checkpoint)(folder, "model", checkpoint.config, (folder / "model.safetensors",))
    after = identify_checkpoint(beside, None)
    assert after.weights_sha256 != before.weights_sha256
    assert after.parameters == before.parameters


def test_text_with_lone_surrogates_has_a_hash():
    assert text_sha256("a\ud800") != text_sha256("a")


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("TELBENCH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "telbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "telbench"
    monkeypatch.setenv("TELBENCH_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "home" / "mine"
