"""A checkpoint folder is inspected before anything heavy is imported: what is wrong with it is told in one line."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telbench.errors import InputError
from telbench.harness.checkpoint import INDEX, WEIGHTS, Checkpoint, check_safetensors, open_checkpoint

CONFIG = {"model_type": "llama", "vocab_size": 300, "max_position_embeddings": 512}
HEADER = {
    "__metadata__": {"format": "pt"},
    "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b.weight": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
}


def safetensors(header: Any = HEADER, data: bytes = bytes(32)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(**changes: Any) -> bytes:
    """A file whose second tensor is changed."""
    return safetensors({**HEADER, "b.weight": {**HEADER["b.weight"], **changes}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "student"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "tokenizer.json").write_text("{}")
    (path / WEIGHTS).write_bytes(safetensors())
    return path


def complaint(path: Path | str, **options: bool) -> str:
    with pytest.raises(InputError) as caught:
        open_checkpoint(str(path), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_checkpoint_is_opened(folder: Path) -> None:
    checkpoint = open_checkpoint(str(folder))
    assert (checkpoint.name, checkpoint.model_type) == ("student", "llama")
    assert (checkpoint.context_length, checkpoint.vocabulary_size) == (512, 300)
    assert checkpoint.weight_files == (folder / WEIGHTS,)
    assert checkpoint.factors == {}


def test_the_element_count_is_that_of_the_shapes(folder: Path) -> None:
    assert check_safetensors(folder / WEIGHTS) == 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "header is cut"),
        (b"\x07\0\0", "header is cut"),
        (b"\xff" * 8 + b"{}", "header is cut"),
        (safetensors()[:-5], "bytes where its header promises"),
        (safetensors() + b"x", "bytes where its header promises"),
        (safetensors(b"\xff" * 40), "header is garbled"),
        (safetensors(b"[]"), "header is garbled"),
        (safetensors(b"[" * 50_000), "header is garbled"),
        (safetensors(b"{}", b""), "holds no tensors"),
        (entry(data_offsets=[24, 10**9]), "header is garbled"),
        (entry(data_offsets=[-8, 0]), "header is garbled"),
        (entry(data_offsets=[24.0, 32.0]), "header is garbled"),
        (entry(data_offsets=["24", "32"]), "header is garbled"),
        (entry(data_offsets=[16, 24]), "overlap or leave gaps"),
        (entry(data_offsets=[28, 36]), "overlap or leave gaps"),
        (entry(shape=[7]), "header is garbled"),
        (entry(shape="4"), "header is garbled"),
        (entry(shape=[-4]), "header is garbled"),
        (entry(dtype=["F32"]), "header is garbled"),
    ],
)
def test_a_corrupt_weight_file_is_refused(folder: Path, content: bytes, said: str) -> None:
    (folder / WEIGHTS).write_bytes(content)
    line = complaint(folder)
    assert said in line
    assert str(folder / WEIGHTS) in line
    assert "copy the checkpoint again" in line


@given(position=st.integers(0, len(safetensors()) - 1), byte=st.integers(0, 255))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_wrong_byte_is_judged_as_the_reference_library_judges_it(folder: Path, position: int, byte: int) -> None:
    library = pytest.importorskip("safetensors")
    content = bytearray(safetensors())
    content[position] = byte
    file = folder / WEIGHTS
    file.write_bytes(content)
    try:
        with library.safe_open(file, "np") as opened:
            names = opened.keys()
            theirs = sum(_elements(opened.get_slice(name).get_shape()) for name in names)
    except Exception:
        theirs = None
    try:
        ours = check_safetensors(file)
    except InputError:
        ours = None
    # A number format of a later library is not ours to refuse: the engine does.
    if ours is None or (b'"F32"' in content and b'"BF16"' in content):
        assert ours == theirs


def _elements(shape: list[int]) -> int:
    total = 1
    for extent in shape:
        total *= extent
    return total


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def configure(**values: Any) -> Callable[[Path], None]:
    return write("config.json", json.dumps({**CONFIG, **values}))


def replace(name: str, change: Callable[[Path], object]) -> Callable[[Path], None]:
    def after(folder: Path) -> None:
        (folder / name).unlink()
        change(folder / name)

    return after


def index(*names: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / "model-00001-of-00002.safetensors").write_bytes(safetensors())
        weight_map = {f"tensor{number}": name for number, name in enumerate(names)}
        (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))

    return change


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def gguf_alone(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / WEIGHTS).rename(folder / "m.Q4_K_M.gguf")


def other_weights(folder: Path) -> None:
    (folder / "a.safetensors").write_bytes(safetensors())
    (folder / INDEX).write_text('{"weight_map": {"a": "a.safetensors"}}')


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "no readable config.json"),
    "config is half JSON": (write("config.json", '{"model_type"'), "is not JSON"),
    "config is empty": (write("config.json", ""), "is not JSON"),
    "config nested too deeply": (write("config.json", "[" * 50_000), "is not JSON that can be read"),
    "config not UTF-8": (write("config.json", b'{"model_type": "\xe9"}'), "is not UTF-8"),
    "config in UTF-16": (write("config.json", "{}".encode("utf-16")), "is not UTF-8"),
    "config is a list": (write("config.json", "[1]"), "names no model_type"),
    "model type is a number": (configure(model_type=5), "names no model_type"),
    "config is a folder": (replace("config.json", Path.mkdir), "no readable config.json"),
    "config links to itself": (replace("config.json", lambda file: file.symlink_to(file)), "no readable config.json"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer"),
    "tokenizer settings are a list": (write("tokenizer_config.json", "[]"), "is no JSON object"),
    "tokenizer settings half JSON": (write("tokenizer_config.json", "{"), "is not JSON"),
    "custom model code": (configure(auto_map={"AutoModel": "m.M"}), "pass --trust-remote-code"),
    "custom tokenizer code": (write("tokenizer_config.json", '{"auto_map": {}}'), "tokenizer_config.json"),
    "pickled weights": (pickled, "pickled weights only (pytorch_model.bin)"),
    "GGUF without a config": (gguf_alone, "serve it with llama.cpp"),
    "GGUF beside a config": (lambda folder: (folder / WEIGHTS).rename(folder / "m.gguf"), "serve it with llama.cpp"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "holds no weights"),
    "weights are a folder": (replace(WEIGHTS, Path.mkdir), "no readable file"),
    "weights link nowhere": (replace(WEIGHTS, lambda file: file.symlink_to("/nowhere")), "no readable file"),
    "weights link to themselves": (replace(WEIGHTS, lambda file: file.symlink_to(file)), "no readable file"),
    "two sets of weights": (write("backup.safetensors", safetensors()), "move backup.safetensors away"),
    "weights of another name": (lambda folder: (folder / WEIGHTS).rename(folder / "x.safetensors"), "rename it"),
    "shard missing": (index("model-00001-of-00002.safetensors", "b.safetensors"), "1 of 2 shards are missing"),
    "index leads outside": (index("../model.safetensors"), "points outside"),
    "index leads to the root": (index("/model.safetensors"), "points outside"),
    "index names a pickle": (index("pytorch_model.bin"), "only *.safetensors"),
    "index names a number": (index(1), "only *.safetensors"),
    "index is empty": (index(), "no weight_map"),
    "index is a list": (write(INDEX, "[]"), "no weight_map"),
    "index half JSON": (write(INDEX, "{"), "is not JSON"),
    "index of other weights": (other_weights, "keep one"),
    "an adapter": (write("adapter_config.json", "{}"), "merge it into its base model"),
    "generation config half JSON": (write("generation_config.json", "{"), "generation_config.json is not JSON"),
    "end token is text": (write("generation_config.json", '{"eos_token_id": "</s>"}'), "eos_token_id must be"),
    "factors are a list": (write("telbench.json", "[]"), "telbench.json must be"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_checkpoint_is_refused_with_one_line(fault: str, folder: Path) -> None:
    change, said = FAULTS[fault]
    change(folder)
    line = complaint(folder)
    assert said in line
    assert str(folder) in line


def test_shards_of_an_index_are_the_weights(folder: Path) -> None:
    index("model-00001-of-00002.safetensors")(folder)
    assert [file.name for file in open_checkpoint(str(folder)).weight_files] == ["model-00001-of-00002.safetensors"]


def test_shards_may_be_links_as_in_a_hub_cache(folder: Path, tmp_path: Path) -> None:
    (folder / WEIGHTS).rename(tmp_path / "blob")
    (folder / WEIGHTS).symlink_to(tmp_path / "blob")
    assert check_safetensors(open_checkpoint(str(folder)).weight_files[0]) == 10


def test_custom_code_is_let_in_when_asked(folder: Path) -> None:
    configure(auto_map={"AutoModel": "m.M"})(folder)
    assert open_checkpoint(str(folder), trust_remote_code=True).trust_remote_code


@pytest.mark.parametrize("name", ["", "nowhere", "some/hub-id", "x\0y", "a" * 5000, "~nobody-here/x"])
def test_a_path_that_leads_nowhere_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(complaint(name)) < 400


def test_a_hub_id_offline_says_what_allows_it() -> None:
    assert "a hub id needs --online" in complaint("some-org/some-model")


def test_a_file_is_no_folder(folder: Path) -> None:
    assert "give the folder that holds" in complaint(folder / WEIGHTS)


def test_a_gguf_file_is_told_what_serves_it(folder: Path) -> None:
    (folder / "m.GGUF").write_bytes(b"GGUF")
    assert "--engine openai --base-url URL" in complaint(folder / "m.GGUF")


def test_a_snapshot_of_the_hub_is_called_by_its_id(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--some-org--some-model" / "snapshots" / "0a1b2c"
    shutil.copytree(folder, snapshot)
    assert open_checkpoint(str(snapshot)).name == "some-org/some-model"
    (tmp_path / "link").symlink_to(snapshot)
    assert open_checkpoint(str(tmp_path / "link")).name == "some-org/some-model"


def test_the_folder_above_names_the_checkpoint_inside(folder: Path) -> None:
    assert f"do you mean {folder}?" in complaint(folder.parent)


def test_an_unreadable_file_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_text", refuse)
    assert complaint(folder) == f"cannot read {folder / 'config.json'}: Permission denied"


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"max_position_embeddings": 2048}, 2048),
        ({"text_config": {"max_position_embeddings": 4096}}, 4096),
        ({"n_positions": 1024}, 1024),
        ({"max_position_embeddings": True}, None),
        ({"max_position_embeddings": "2048", "text_config": "x"}, None),
        ({"max_position_embeddings": -1}, None),
    ],
)
def test_the_context_length_is_a_positive_number_or_unknown(config: dict[str, Any], length: int | None) -> None:
    assert Checkpoint(Path(), "", config, ()).context_length == length


def test_factors_come_from_the_note_beside_the_weights(folder: Path) -> None:
    write("telbench.json", '{"factors": {"seed": 1}}')(folder)
    assert open_checkpoint(str(folder)).factors == {"seed": 1}
