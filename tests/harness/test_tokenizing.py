"""A checkpoint's tokenizer, as it is found in its folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.tokenizing import load_tokenizer, read_tokenizer, special_tokens


def test_a_tokenizer_that_only_mistral_common_reads_is_refused_in_one_line(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    package = pytest.importorskip("mistral_common")
    folder = tmp_path / "tekken-only"
    shutil.copytree(tiny_checkpoint, folder)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    (folder / "config.json").write_text((folder / "config.json").read_text().replace('"llama"', '"mistral"'))
    shutil.copy(Path(package.__file__).parent / "data" / "tekken_240911.json", folder / "tekken.json")
    with pytest.raises(InputError, match="is one of mistral-common") as caught:
        read_tokenizer(open_checkpoint(str(folder)))
    assert "\n" not in str(caught.value)


def test_special_tokens_are_those_that_decoding_can_leave_out(tiny_checkpoint: Path) -> None:
    tokenizer = load_tokenizer(tiny_checkpoint)
    tokenizer.add_tokens(["plain"])
    found = special_tokens(tokenizer)
    assert tokenizer.decode(list(found), skip_special_tokens=True) == ""
    assert sorted(found.values()) == sorted(["<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"])
