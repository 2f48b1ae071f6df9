"""A cache on disk: made shard by shard, made further after whatever stopped it, and never read when it is not whole."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch

from telbench.errors import InputError, TelbenchError
from telbench.kd.batches import Example
from telbench.kd.teacher import shards as teacher_shards
from telbench.kd.teacher.cache import INDEX, PARTIAL, CacheKey, TeacherCache, examples_sha256
from telbench.kd.teacher.rows import TeacherExample
from telbench.kd.teacher.shards import CacheWriter, bytes_needed, shards_of
from telbench.kd.teacher.tables import HeadSource

SOURCE = HeadSource("lm_head.weight", None, 1.0, None, "float32", None, 1.0)
WIDTH = 6
# Answers of one to seven rows; the names need escapes in JSON.
EXAMPLES = [
    TeacherExample(f"µ-{k}", Example(tuple(range(k, k + 4 + k % 7)), start=3)) for k in range(23)
]  # fmt: skip


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_shards, "SHARD_ROWS", 20)


def told(example: TeacherExample) -> torch.Tensor:
    """Rows that name the tokens they belong to."""
    labels = torch.tensor(example.example.ids[example.example.start :], dtype=torch.float32)
    return labels[:, None] + torch.arange(WIDTH) / 10


def rows_of(examples: Sequence[TeacherExample]) -> torch.Tensor:
    return torch.cat([told(each) for each in examples])


def key(examples: Sequence[TeacherExample] = EXAMPLES, changes: Mapping[str, str] | None = None) -> CacheKey:
    return CacheKey(**{
        "weights_sha256": "w", "config_sha256": "c", "tokenizer_sha256": "t", "chat_template_sha256": None,
        "prompts": {"book": "closed"}, "max_length": 64, "dtype": "float32",
        "examples_sha256": examples_sha256(examples), **(changes or {}),
    })  # fmt: skip


def make(folder: Path, of: Callable[..., torch.Tensor] = rows_of, examples: Sequence[TeacherExample] = EXAMPLES) -> int:
    """Make what is missing; how many shards that were."""
    folder.mkdir(exist_ok=True)
    writer = CacheWriter(folder, key(examples), examples, {"teacher": "x"})
    writer.source = SOURCE
    missing = writer.missing
    for number in missing:
        writer.make(number, of, 3)
    writer.finish()
    return len(missing)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    assert make(tmp_path / "cache") == len(shards_of(EXAMPLES)) > 3
    return tmp_path / "cache"


def test_every_item_gets_back_its_own_rows(made: Path) -> None:
    cache = TeacherCache(made, verify=True)
    assert len(cache) == len(EXAMPLES)
    for each in reversed(EXAMPLES):
        assert torch.equal(cache.rows(each), told(each))
    assert sorted(name for name in contents(made) if not name.startswith("rows-")) == [INDEX]


def test_shards_hold_all_examples_in_order_and_no_more_rows_than_they_may() -> None:
    shards = shards_of(EXAMPLES)
    assert [each for shard in shards for each in shard] == EXAMPLES
    assert all(sum(each.rows for each in shard) <= 20 for shard in shards)
    long = TeacherExample("long", Example(tuple(range(50)), start=1))
    assert [len(shard) for shard in shards_of([EXAMPLES[0], long, EXAMPLES[1]])] == [1, 1, 1]
    assert shards_of([]) == []


@pytest.mark.parametrize(("dtype", "width"), [("float32", 64), ("bfloat16", 256)])
def test_the_estimate_is_the_size_on_disk_to_a_few_percent(
    tmp_path: Path, dtype: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher_shards, "SHARD_ROWS", 400)
    examples = [TeacherExample(f"item-{k}", Example(tuple(range(40 + k % 5)), start=20)) for k in range(60)]
    states = torch.zeros(1, width, dtype=getattr(torch, dtype))
    make(tmp_path / "cache", lambda part: states.repeat(sum(each.rows for each in part), 1), examples)
    size = sum(map(len, contents(tmp_path / "cache").values()))
    assert bytes_needed(examples, width, dtype) == pytest.approx(size, rel=0.05)


class Stopping:
    """Rows for so many calls, and then something happens."""

    def __init__(self, calls: int, what: BaseException) -> None:
        self.left, self.what = calls, what

    def __call__(self, examples: Sequence[TeacherExample]) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise self.what
        return rows_of(examples)


@pytest.mark.parametrize("calls", [0, 1, 3, 6, 9])
def test_stopped_anywhere_it_goes_on_to_the_same_files(tmp_path: Path, made: Path, calls: int) -> None:
    other = tmp_path / "other"
    with pytest.raises(KeyboardInterrupt):
        make(other, Stopping(calls, KeyboardInterrupt()))
    assert INDEX not in contents(other)
    with pytest.raises(InputError, match="is not finished: run the same telbench kd cache again"):
        TeacherCache(other)
    finished = json.loads((other / PARTIAL).read_text())["shards"]
    assert make(other) == len(shards_of(EXAMPLES)) - len(finished)
    assert contents(other) == contents(made)


@pytest.mark.parametrize("writes", range(6))
def test_a_full_disk_is_one_line_and_loses_no_finished_shard(
    tmp_path: Path, made: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [writes]
    plain = os.fsync

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"the disk is full: .* again; \d finished shards are kept"):
            make(tmp_path / "other")
    assert not list((tmp_path / "other").glob("*.unfinished"))
    # Every shard takes two writes, itself and its note, after the note that opens the folder.
    assert make(tmp_path / "other") == len(shards_of(EXAMPLES)) - max(0, writes - 1) // 2
    assert contents(tmp_path / "other") == contents(made)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "words", "verify"),
    [
        (cut, r"is damaged \(\d+ bytes of \d+\)", False),
        (flip, r"is damaged \(its SHA-256 is not the index's\)", True),
        (Path.unlink, "is missing", False),
        (lambda file: file.write_bytes(b"\xff" * file.stat().st_size), r"is damaged \(it cannot be read\)", False),
    ],
)
def test_a_damaged_shard_is_named_and_made_again_alone(
    made: Path, harm: Callable[[Path], object], words: str, verify: bool
) -> None:
    whole = contents(made)
    harm(made / "rows-00001.safetensors")
    with pytest.raises(InputError, match=f"rows-00001.safetensors {words}: run the same telbench kd cache again"):
        TeacherCache(made, verify=verify)
    assert make(made) == 1
    assert contents(made) == whole


def test_a_shard_of_another_cache_is_not_taken_for_ones_own(tmp_path: Path, made: Path) -> None:
    others = [TeacherExample(f"ν-{each.item_id[2:]}", each.example) for each in EXAMPLES]
    make(tmp_path / "other", examples=others)
    name = "rows-00001.safetensors"
    assert (tmp_path / "other" / name).stat().st_size == (made / name).stat().st_size
    (made / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(InputError, match=f"{name} belongs to another cache"):
        TeacherCache(made)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights_sha256": "v"}, "other weights"),
        ({"tokenizer_sha256": "u", "chat_template_sha256": "n"}, "another tokenizer, another chat template"),
        ({"dtype": "bfloat16"}, "another number format"),
        ({"examples_sha256": "e"}, "other items or texts"),
    ],
)
def test_a_folder_with_another_cache_is_left_alone(made: Path, changes: dict[str, str], words: str) -> None:
    whole = contents(made)
    with pytest.raises(InputError, match=rf"caches something else \({words}\): choose another --out"):
        CacheWriter(made, key(changes=changes), EXAMPLES, {})
    assert contents(made) == whole


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "head": 3}'])
def test_a_garbled_index_is_one_line(made: Path, text: str) -> None:
    (made / INDEX).write_text(text)
    with pytest.raises(InputError, match=r"index.json .*: make the cache again with --fresh"):
        TeacherCache(made)


def test_an_index_of_a_later_version_and_a_folder_without_one_are_refused(tmp_path: Path, made: Path) -> None:
    record = json.loads((made / INDEX).read_text())
    (made / INDEX).write_text(json.dumps({**record, "schema_version": 2}))
    with pytest.raises(InputError, match="written by another version of telbench"):
        TeacherCache(made)
    with pytest.raises(InputError, match="is no teacher cache"):
        TeacherCache(tmp_path)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_states_that_are_no_numbers_are_never_stored(tmp_path: Path, value: float) -> None:
    def broken(examples: Sequence[TeacherExample]) -> torch.Tensor:
        rows = rows_of(examples)
        rows[(rows[:, 0] == EXAMPLES[9].example.ids[-1])] = value
        return rows

    with pytest.raises(TelbenchError, match=r"item µ-\d+: the teacher's rows are no finite numbers"):
        make(tmp_path / "cache", broken)
    assert INDEX not in contents(tmp_path / "cache")
