"""A LoRA adapter as a model: which base, whether they fit, what it is called and hashed by."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_rank, open_model
from telbench.harness.checkpoint import WEIGHTS
from telbench.harness.identity import identify_checkpoint

MODULE = "model.layers.0.self_attn.q_proj"


def safetensors(shapes: dict[str, tuple[int, int]]) -> bytes:
    header, end = {}, 0
    for name, (rows, columns) in shapes.items():
        header[name] = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [end, end + 4 * rows * columns]}
        end += 4 * rows * columns
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def lora(width: int = 8) -> bytes:
    name = f"base_model.model.{MODULE}"
    return safetensors({f"{name}.lora_A.weight": (2, width), f"{name}.lora_B.weight": (6, 2)})


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 300}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / WEIGHTS).write_bytes(safetensors({f"{MODULE}.weight": (6, 8)}))
    return folder


def configure(folder: Path, **changes: Any) -> None:
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], **changes}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config))


@pytest.fixture
def adapter(tmp_path: Path, base: Path) -> Path:
    folder = tmp_path / "tuned"
    folder.mkdir()
    configure(folder, base_model_name_or_path=str(base))
    (folder / ADAPTER_WEIGHTS).write_bytes(lora())
    return folder


def complaint(adapter: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        open_model(str(adapter), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_adapter_takes_the_base_that_it_names_and_its_own_name(adapter: Path, base: Path) -> None:
    (adapter / "telbench.json").write_text('{"factors": {"seed": 3}}')
    opened = open_model(str(adapter))
    assert (opened.path, opened.adapter, opened.folder, opened.name) == (base, adapter, adapter, "tuned")
    assert (opened.factors, opened.vocabulary_size) == ({"seed": 3}, 300)


def test_a_whole_checkpoint_is_opened_as_ever(base: Path) -> None:
    opened = open_model(str(base))
    assert (opened.folder, opened.adapter, opened.tokenizer_path) == (base, None, base)


def test_a_base_may_lie_within_the_adapter(adapter: Path, base: Path) -> None:
    shutil.copytree(base, adapter / "inner")
    configure(adapter, base_model_name_or_path="inner")
    assert open_model(str(adapter)).path == adapter / "inner"


def test_a_base_in_the_cache_of_the_hub_is_found_by_its_id(
    adapter: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked: list[tuple[str, Any]] = []

    def cached(name: str, *, revision: str | None, local_files_only: bool) -> str:
        asked.append((name, revision))
        assert local_files_only
        return str(base)

    monkeypatch.setattr(hub, "snapshot_download", cached)
    configure(adapter, base_model_name_or_path="some-org/some-base", revision="abc")
    assert open_model(str(adapter)).path == base
    assert asked == [("some-org/some-base", "abc")]


def test_another_base_is_taken_where_it_is_named(adapter: Path, base: Path) -> None:
    configure(adapter, base_model_name_or_path="nowhere/at-all")
    assert "give the base model's folder with --base PATH, or let it be fetched with --online" in complaint(adapter)
    assert open_model(str(adapter), base=str(base)).path == base


def test_the_tokenizer_is_the_adapters_if_it_has_a_whole_one(adapter: Path, base: Path) -> None:
    (adapter / "tokenizer.json").write_text("{}")
    assert open_model(str(adapter)).tokenizer_path == base
    (adapter / "tokenizer_config.json").write_text("{}")
    assert open_model(str(adapter)).tokenizer_path == adapter


def test_the_rank_is_the_highest_of_any_matrix(adapter: Path) -> None:
    assert adapter_rank(adapter) == 2
    configure(adapter, rank_pattern={"v_proj": 24})
    assert adapter_rank(adapter) == 24


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda folder: (folder / ADAPTER_WEIGHTS).unlink(), f"no {ADAPTER_WEIGHTS}"),
    "weights cut short": (lambda folder: (folder / ADAPTER_WEIGHTS).write_bytes(lora()[:-3]), "header promises"),
    "another kind": (lambda folder: configure(folder, peft_type="IA3"), "only LORA"),
    "no rank": (lambda folder: configure(folder, r=None), "r must be a whole number"),
    "a rank of a layer is no number": (lambda folder: configure(folder, rank_pattern={"x": "8"}), "r must be a whole"),
    "config half JSON": (lambda folder: (folder / ADAPTER_CONFIG).write_text("{"), "is not JSON"),
    "config is a list": (lambda folder: (folder / ADAPTER_CONFIG).write_text("[]"), "only LORA"),
    "names no base": (configure, "names no base model"),
    "another base": (lambda folder: (folder / ADAPTER_WEIGHTS).write_bytes(lora(9)), "made for 9 numbers"),
    "own code": (lambda folder: (folder / "tokenizer_config.json").write_text('{"auto_map": {}}'), "own Python code"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_adapter_is_refused_with_one_line(fault: str, adapter: Path) -> None:
    change, said = FAULTS[fault]
    change(adapter)
    line = complaint(adapter)
    assert said in line
    assert str(adapter) in line


def test_merged_weights_beside_an_adapter_are_ambiguous(adapter: Path, base: Path) -> None:
    for file in base.iterdir():
        shutil.copy(file, adapter / file.name)
    assert "take adapter_config.json away" in complaint(adapter)


def test_a_base_without_an_adapter_is_refused(base: Path) -> None:
    assert "drop --base" in complaint(base, base=str(base))


def test_a_revision_is_asked_of_the_hub_only(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked: list[tuple[str, Any]] = []

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision))
        return str(base)

    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    open_model("some-org/some-model", online=True, revision="v2")
    open_model("some-org/some-model", online=True)
    assert asked == [("some-org/some-model", "v2"), ("some-org/some-model", None)]
    assert "is a folder here" in complaint(base, revision="v2", online=True)
    assert "with --online only" in complaint(Path("some-org/some-model"), revision="v2")


def test_the_identity_is_that_of_base_adapter_and_settings_wherever_they_lie(
    adapter: Path, base: Path, tmp_path: Path
) -> None:
    def identity(base_folder: Path) -> Any:
        return identify_checkpoint(open_model(str(adapter), base=str(base_folder)), None)

    first = identity(base)
    assert first.parameters == 6 * 8 + 2 * 8 + 6 * 2
    moved = tmp_path / "moved"
    shutil.copytree(base, moved)
    configure(adapter, base_model_name_or_path="org/base", revision="abc")
    assert identity(moved) == first
    alone = identify_checkpoint(open_model(str(base)), None)
    assert alone.weights_sha256 != first.weights_sha256
    configure(adapter, lora_alpha=5)
    changed = identity(base)
    assert changed.weights_sha256 == first.weights_sha256
    assert changed.config_sha256 != first.config_sha256
    (adapter / ADAPTER_WEIGHTS).write_bytes(lora()[:-1] + b"\1")
    retrained = identity(base)
    assert retrained.weights_sha256 != first.weights_sha256
    (moved / WEIGHTS).write_bytes((base / WEIGHTS).read_bytes()[:-1] + b"\1")
    assert identity(moved).weights_sha256 != retrained.weights_sha256
