"""Splits: documents stay together, file order does not matter, the rule is recorded."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.errors import InputError
from telbench.harness.datasets.items import Item
from telbench.harness.datasets.loading import WholeSet, load_dataset, load_whole
from telbench.harness.datasets.settings import DataSettings
from telbench.harness.datasets.splits import SplitRule, by_hash

ITEMS = tuple(
    Item(f"i{n}", f"Question number {n}?", ("x",), source_document=f"d{n % 97}" if n % 3 else None) for n in range(1500)
)


def with_splits(items: Sequence[Item], rule: SplitRule) -> tuple[Item, ...]:
    return tuple(replace(item, split=rule.assign(item)) for item in items)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_file_order_and_other_items_change_no_assignment(seed: int) -> None:
    rule = by_hash()
    expected = {item.id: item.split for item in with_splits(ITEMS, rule)}
    shuffled = list(ITEMS)
    random.Random(seed).shuffle(shuffled)
    part = with_splits(shuffled[:200], rule)
    assert all(item.split == expected[item.id] for item in part)


def test_documents_stay_together_and_shares_are_near_the_fractions() -> None:
    parted = with_splits(ITEMS, by_hash())
    homes: dict[str, set[str | None]] = {}
    for item in parted:
        if item.source_document:
            homes.setdefault(item.source_document, set()).add(item.split)
    assert all(len(splits) == 1 for splits in homes.values())
    loose = [item for item in parted if item.source_document is None]
    # 500 items: the binomial standard deviation of a share of 0.8 is 0.018.
    assert sum(item.split == "train" for item in loose) / len(loose) == pytest.approx(0.8, abs=0.07)


def test_equal_questions_never_part() -> None:
    rule = by_hash("item")
    for n in range(200):
        assert rule.assign(Item("a", f"What is T{n}?")) == rule.assign(Item("b", f" what is t{n}"))


def test_another_seed_gives_another_division() -> None:
    assert with_splits(ITEMS, by_hash(seed="a")) != with_splits(ITEMS, by_hash(seed="b"))


@pytest.mark.parametrize("shares", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0, 0.5), (0.5, 0.5, 0)])
def test_share_of_zero_gets_nothing(shares: tuple[float, ...]) -> None:
    found = {item.split for item in with_splits(ITEMS, by_hash(fractions=shares))}
    assert found == {name for name, share in zip(("train", "dev", "test"), shares, strict=True) if share}


@pytest.mark.parametrize("shares", [(0.8, 0.1), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)])
def test_fractions_that_are_no_division_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="three shares"):
        by_hash(fractions=shares)


def test_division_of_a_published_set_is_the_same_whatever_the_order_of_its_file(
    shared_data: Path, tmp_path: Path
) -> None:
    source = (shared_data / "mm-telcobench" / "clean_1000_entities.csv").read_bytes()
    import csv
    import io

    header, *rows = csv.reader(io.StringIO(source.decode("utf-8-sig"), newline=""))
    random.Random(1).shuffle(rows)
    with (tmp_path / "clean_1000_entities.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])

    def division(folder: Path) -> dict[tuple[str, str | None, tuple[str, ...]], str | None]:
        items = load_whole(DataSettings("mm-entities", data_dir=folder)).items
        return {(item.question, item.context, item.references): item.split for item in items}

    assert division(shared_data) == division(tmp_path)


def test_rule_is_recorded_in_words(shared_data: Path) -> None:
    assert "38305, 25996, 45009" in load_dataset("telequad", data_dir=shared_data).split_rule
    assert "not to be trained on" in load_dataset("srsranbench", data_dir=shared_data).split_rule
    assert "SHA-256" in load_dataset("mm-long", data_dir=shared_data).split_rule


def test_all_is_the_union_of_the_splits() -> None:
    whole = WholeSet("x", with_splits(ITEMS, by_hash()), {}, {}, "", "")
    union = {item.id for name in ("train", "dev", "test") for item in whole.split(name).items}
    assert union == {item.id for item in whole.split("all").items}
