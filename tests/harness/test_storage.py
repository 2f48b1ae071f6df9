"""The journal: nothing finished is lost, whatever cuts its file."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.errors import InputError
from telbench.harness import storage
from telbench.harness.storage import FolderLock, RecordStore, shared_store

TEXTS = ["the AMF", "", 'quotes " and \\ and \n', "Δf ≥ 15 kHz 📡", "lone \ud800 surrogate", "x" * 300]


def filled(path: Path) -> bytes:
    with RecordStore(path) as store:
        for index, text in enumerate(TEXTS):
            store.put(f"k{index}", {"text": text})
    return path.read_bytes()


def test_every_text_comes_back_as_it_was_written(tmp_path: Path):
    filled(tmp_path / "j")
    with RecordStore(tmp_path / "j") as store:
        assert [(store.get(f"k{index}") or {})["text"] for index in range(len(TEXTS))] == TEXTS
        assert store.get("unknown") is None
        assert (store.torn, store.garbled, len(store)) == (0, 0, len(TEXTS))


def test_the_last_record_of_a_key_counts(tmp_path: Path):
    with RecordStore(tmp_path / "j") as store:
        store.put("k", {"text": "first"})
        store.put("k", {"text": "second"})
        assert store.get("k") == {"key": "k", "text": "second"}
    with RecordStore(tmp_path / "j") as store:
        assert (store.get("k") or {})["text"] == "second"
        assert len(store) == 1


def test_a_cut_at_any_byte_keeps_the_whole_lines_and_takes_other_text_after_them(tmp_path: Path):
    path = tmp_path / "j"
    content = filled(path)
    ends = [index + 1 for index, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        # A record whose line feed alone is missing is whole.
        whole = sum(end - 1 <= cut for end in ends)
        with RecordStore(path) as store:
            assert set(store.keys()) == {f"k{index}" for index in range(whole)}
            torn = cut not in (0, *ends, *(end - 1 for end in ends))
            assert bool(store.torn) == torn
            assert store.garbled == 0
            # What a reader has buffered of the torn line must not come back in the place of what replaced it.
            for index in range(whole, len(TEXTS)):
                store.put(f"k{index}", {"text": f"again {index}"})
            for index, text in enumerate(TEXTS):
                record = store.get(f"k{index}")
                assert record is not None
                assert record["text"] == (text if index < whole else f"again {index}")
        for line in path.read_bytes().splitlines():
            json.loads(line)


@settings(max_examples=60, deadline=None)
@given(noise=st.lists(st.binary(max_size=60), max_size=4), place=st.integers(0, len(TEXTS)))
def test_noise_between_lines_is_counted_and_costs_no_other_record(
    tmp_path_factory: pytest.TempPathFactory, noise: list[bytes], place: int
):
    path = tmp_path_factory.mktemp("noise") / "j"
    lines = filled(path).splitlines(keepends=True)
    foreign = [piece.replace(b"\n", b"") + b"\n" for piece in noise]
    path.write_bytes(b"".join([*lines[:place], *foreign, *lines[place:]]))
    with RecordStore(path) as store:
        assert set(store.keys()) == {f"k{index}" for index in range(len(TEXTS))}
        assert store.garbled == len(foreign)
        assert all((store.get(f"k{index}") or {})["text"] == text for index, text in enumerate(TEXTS))


@pytest.mark.parametrize(
    "line", ['{"key": 3}', '{"key": ["a"]}', "[]", "7", '{"text": "no key"}', "[" * 5000, "\0" * 20]
)
def test_a_line_that_is_no_record_is_counted_not_raised(tmp_path: Path, line: str):
    (tmp_path / "j").write_text(line + '\n{"key": "good", "text": "t"}\n')
    with RecordStore(tmp_path / "j") as store:
        assert store.garbled == 1
        assert list(store.keys()) == ["good"]


def test_nan_is_never_written(tmp_path: Path):
    with RecordStore(tmp_path / "j") as store, pytest.raises(ValueError, match="not JSON compliant"):
        store.put("k", {"log_likelihood": float("nan")})
    assert (tmp_path / "j").read_bytes() == b""


def test_a_disk_that_takes_half_a_line_leaves_whole_lines_and_one_message(tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with RecordStore(tmp_path / "j") as store:
        store.put("a", {"text": "x" * 50})
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
        try:
            with pytest.raises(InputError, match=r"1 finished records are kept") as caught:
                store.put("b", {"text": "y" * 500})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "\n" not in str(caught.value)
        assert "b" not in store
        assert (tmp_path / "j").read_bytes().count(b"\n") == 1
        store.put("b", {"text": "there is room again"})
        assert (store.get("b") or {})["text"] == "there is room again"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot open"):
        RecordStore(tmp_path / "file" / "j")


def test_a_shared_store_is_found_again_and_is_one_for_each_kind_and_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    for turn in range(2):
        with shared_store("answers", "one") as store:
            assert store is not None
            assert list(store.keys()) == ["k"] * turn
            store.put("k", {"text": f"turn {turn}"})
    for kind, identity, keys in (("answers", "one", ["k"]), ("answers", "two", []), ("scores", "one", [])):
        with shared_store(kind, identity) as store:
            assert store is not None
            assert list(store.keys()) == keys


def test_a_shared_store_that_another_holds_is_waited_for_and_then_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(storage, "_PATIENCE", 0.3)
    with shared_store("answers", "one") as held:
        assert held is not None
        began = time.monotonic()
        with shared_store("answers", "one") as store:
            assert store is None
        assert time.monotonic() - began >= 0.3
        with shared_store("answers", "two") as other:
            assert other is not None
    with shared_store("answers", "one") as store:
        assert store is not None


def test_a_cache_folder_that_cannot_be_made_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    with shared_store("answers", "one") as store:
        assert store is None


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot write .*gone: No such file or directory: choose a writable --out"):
        FolderLock(tmp_path / "gone")


def test_closing_pushes_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pushed: list[int] = []
    monkeypatch.setattr(storage.os, "fsync", pushed.append)
    with RecordStore(tmp_path / "j") as store:
        store.put("k", {"text": "t"})
        assert pushed == []
    assert len(pushed) == 1
    with pytest.raises(ValueError, match="closed file"):
        store.get("k")
    with RecordStore(tmp_path / "j") as again:
        assert (again.torn, again.garbled, again.get("k")) == (0, 0, {"key": "k", "text": "t"})
