"""Files of many items: on disk they are what they are in memory, with the same faults in the same words."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness import spool
from telbench.harness.datasets import items as held
from telbench.harness.datasets.items import Item, Items
from telbench.harness.datasets.loading import limited, load_dataset

ODD = Item(
    "a\ud800",
    "Wer? \U0001f4e1",
    ("x", "y\ud800"),
    "context",
    ("one", "two"),
    (1,),
    None,
    "category",
    "dev",
    {"form": "label", "labels": ["x"], "deep": {"n": [1.5, None, True]}},
    ("part one", "part two"),
)


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "HELD", 3)
    monkeypatch.setattr(spool, "HELD", 100)
    monkeypatch.setattr(spool, "BLOCK", 256)


def write(path: Path, rows: Sequence[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def both(path: str, monkeypatch: pytest.MonkeyPatch, split: str = "test") -> tuple[Sequence[Item], Sequence[Item]]:
    """The items of a file in memory, and on disk."""
    few = load_dataset(path, split)
    with monkeypatch.context() as patch:
        patch.setattr(held, "HELD", 3)
        many = load_dataset(path, split)
    assert isinstance(few.items, tuple)
    assert isinstance(many.items, Items)
    assert many.items_sha256 == few.items_sha256
    assert many.book == few.book
    assert many.repaired == few.repaired
    assert many.dropped == few.dropped
    assert many.warnings == few.warnings
    assert list(many.item_ids) == list(few.item_ids)
    return few.items, many.items


@pytest.mark.usefixtures("on_disk")
def test_an_item_comes_back_from_disk_with_all_that_it_holds() -> None:
    given = [ODD, *(Item(str(number), "?", ("r",) * number) for number in range(50))]
    many = Items(given)
    assert many.kept is many
    assert list(many) == given
    assert many[0] == ODD
    assert many[-1] == given[-1]
    assert many[1:4] == tuple(given[1:4])
    assert many.ids[0] == ODD.id
    assert len(many.ids) == len(given)
    assert many.ids[1:3] == ("0", "1")


def test_a_files_items_are_the_same_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(3)
    rows = [
        {"id": f"q{number}", "question": f"Why {number}?", "references": [f"r{draw.random()}"], "meta": {"n": number}}
        for number in range(40)
    ]
    few, many = both(write(tmp_path / "a.jsonl", rows), monkeypatch)
    assert tuple(many) == few
    named = [{**row, "split": "dev" if number % 3 else "test"} for number, row in enumerate(rows)]
    few, many = both(write(tmp_path / "b.jsonl", named), monkeypatch)
    assert tuple(many) == few
    assert {item.split for item in many} == {"test"}
    data = load_dataset(str(tmp_path / "b.jsonl"), "all")
    with monkeypatch.context() as patch:
        patch.setattr(held, "HELD", 3)
        same = load_dataset(str(tmp_path / "b.jsonl"), "all")
    assert limited(data, 5, 1).items == limited(same, 5, 1).items


def test_items_without_ids_and_numbers_in_doubt_are_settled_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[dict[str, object]] = [
        {"question": f"Why {number % 7}?", "choices": ["a", "b", "c"], "answer": str(1 + number % 3)}
        for number in range(60)
    ]
    few, many = both(write(tmp_path / "a.jsonl", rows), monkeypatch)
    assert tuple(many) == few
    assert len({item.id for item in many}) == 60
    assert any("#" in item.id for item in many)


@pytest.mark.usefixtures("on_disk")
def test_faults_of_many_items_are_told_as_those_of_few(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": f"q{n}", "question": "?", "references": ["r"]} for n in range(20)]
    twice = write(tmp_path / "twice.jsonl", [*rows, {**rows[4], "question": "!"}])
    with pytest.raises(InputError, match="line 21: id 'q4' is that of line 5 too"):
        load_dataset(twice)
    some = write(tmp_path / "some.jsonl", [{**row, "split": "test"} for row in rows[:5]] + rows[5:])
    with pytest.raises(InputError, match="item 'q5' has no 'split' while 5 others have"):
        load_dataset(some)
    skipped = load_dataset(twice, skip_bad=True)
    assert len(skipped.items) == 20
    assert skipped.dropped == {"bad row: repeated id": 1}
