"""Croissant metadata of telecom-nano: what they say of the file beside them is so, and mlcroissant reads it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main
from telbench.harness.datasets.loading import load_dataset


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    words = ["data", "croissant", "telecom-nano", "--out", str(tmp_path / "nano"), "--published", "2026-11-28"]
    assert main(words) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "nano" / name) for name in ("items.jsonl", "croissant.json")
    ]
    return tmp_path / "nano"


def test_metadata_describe_the_file_beside_them(folder: Path) -> None:
    told = json.loads((folder / "croissant.json").read_text())
    lines = (folder / "items.jsonl").read_bytes()
    assert told["distribution"][0]["sha256"] == hashlib.sha256(lines).hexdigest()
    first = json.loads(lines.split(b"\n")[0])
    fields = {field["name"] for field in told["recordSet"][0]["field"]}
    assert fields <= first.keys()
    assert isinstance(first["references"], list)
    # The file is a data set of its own: the same items are read from it.
    assert load_dataset(str(folder / "items.jsonl"), split="test").items_sha256 == (
        load_dataset("telecom-nano", split="test").items_sha256
    )


def test_mlcroissant_finds_no_fault_and_reads_every_item(folder: Path) -> None:
    mlcroissant: Any = pytest.importorskip("mlcroissant", reason="no mlcroissant, which validates")
    data = mlcroissant.Dataset(str(folder / "croissant.json"))
    issues = data.metadata.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    records = list(data.records("items"))
    assert len(records) == (folder / "items.jsonl").read_bytes().count(b"\n")
    assert set(records[0]) == {f"items/{field}" for field in (
        "id", "question", "references", "context", "source_document", "category", "split",
    )}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["telecom-nano", "--published", "soon"], "--published soon: write a day"),
        (["mine.jsonl"], "croissant: metadata are made of registered sets alone"),
    ],
)
def test_what_cannot_be_described_is_refused(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.jsonl").write_text('{"id": "a", "question": "Why?", "references": ["so"]}\n')
    assert main(["data", "croissant", *words, "--out", "out"]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
