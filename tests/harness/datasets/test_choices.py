"""The forms of options: lists, labelled objects, columns, and labels within the texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.datasets.choices import in_sequence, unlabelled
from telbench.harness.datasets.items import Item
from telbench.harness.datasets.loading import load_whole
from telbench.harness.datasets.settings import DataSettings


def item_of(folder: Path, **fields: Any) -> Item:
    path = folder / "a.jsonl"
    path.write_text(json.dumps({"question": "Q?", **fields}) + "\n", "utf-8")
    (item,) = load_whole(DataSettings(str(path))).items
    return item


@pytest.mark.parametrize(
    ("choices", "answer"),
    [
        ({"A": "x", "B": "y", "C": "z"}, "C"),
        ({"a": "x", "b": "y", "c": "z", "d": ""}, "C"),
        ({"1": "x", "2": "y", "3": "z"}, "3"),
        ({"1": "x", "2": "y", "3": "z"}, 3),
        ({"0": "x", "1": "y", "2": "z"}, 2),
        ({"option_a": "x", "option_b": "y", "option_c": "z"}, "C"),
        ('{"A": "x", "B": "y", "C": "z"}', "C"),
        ("{'A': 'x', 'B': 'y', 'C': 'z'}", "C"),
        ({"text": ["x", "y", "z"], "label": ["A", "B", "C"]}, "C"),
        ({"text": ["x", "y", "z"], "label": ["1", "2", "3"]}, "3"),
        ({"label": ["C", "A", "B"], "text": ["x", "y", "z"]}, "B"),
        ([{"label": "A", "text": "x"}, {"label": "B", "text": "y"}, {"label": "C", "text": "z"}], "C"),
        ('[{"key": "A", "text": "x"}, {"key": "B", "text": "y"}, {"key": "C", "text": "z"}]', "C"),
        ("['x', 'y', 'z']", "C"),
        ("['x' 'y'\n 'z']", "C"),
        ("array(['x', 'y', 'z'], dtype=object)", "C"),
        ("A. x\nB. y\nC. z", "C"),
        (["A. x", "B. y", "C. z"], "C"),
        (["(a) x", "(b) y", "(c) z"], "C"),
        (["1) x", "2) y", "3) z"], "3) z"),
        (["Option A: x", "Option B: y", "Option C: z"], "C. z"),
    ],
)
def test_options_in_each_form_give_the_same_item(choices: Any, answer: Any, tmp_path: Path) -> None:
    item = item_of(tmp_path, choices=choices, answer=answer)
    assert (item.choices, item.answer, item.references) == (("x", "y", "z"), (2,), ("z",))


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"x": "alpha", "y": "beta"}, "keys are no labels in sequence .* 'x', 'y'"),
        ({"A": "alpha", "C": "beta"}, "keys are no labels in sequence"),
        ({"A": "alpha", "B": "", "C": "gamma"}, "at least two texts, none of them empty"),
        ({"text": ["x", "y"], "label": ["A"]}, "2 texts and 1 labels"),
        ({"text": ["x", "y"], "label": ["A", "A"]}, "a label twice"),
        ([{"name": "x"}, {"name": "y"}], "list of objects without a 'text'"),
        ("x|y|z", "one text .'x|y|z'.: write a JSON list"),
        (["x"], "at least two texts"),
        (["x", ["y"]], "'choices' must be text, this is a list"),
    ],
)
def test_other_forms_are_refused(choices: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"a\.jsonl, line 1: .*{words}"):
        item_of(tmp_path, choices=choices, answer="A")


@pytest.mark.parametrize(
    "texts",
    [
        ["3 GHz", "4 GHz"],
        ["1.5 dB", "2.5 dB"],
        ["1:2", "2:3"],
        ["A. alpha", "beta"],
        ["B. alpha", "C. beta"],
        ["A. alpha", "C. beta"],
        ["2. x", "3. y"],
        ["A.", "B."],
        ["A. only one"],
        ["A plain text", "B another"],
        ["1 dB", "2 dB", "3 dB"],
    ],
)
def test_texts_that_only_look_like_labels_stay(texts: list[str]) -> None:
    assert unlabelled(texts) == ((), tuple(texts))


def test_labels_come_off_where_all_options_carry_them_and_it_is_counted(tmp_path: Path) -> None:
    assert unlabelled(["1. 5 dB", "2. 10 dB"]) == (("1", "2"), ("5 dB", "10 dB"))
    path = tmp_path / "a.jsonl"
    rows = [
        {"question": "A?", "choices": ["A) x", "B) y"], "answer": "A"},
        {"question": "B?", "choices": ["x", "y"], "answer": "A"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert load_whole(DataSettings(str(path))).repaired == {"labels taken off the options": 1}


def test_sequences_have_no_gap_and_start_where_they_may() -> None:
    assert in_sequence(["0", "1"], "A01")
    assert not in_sequence(["0", "1"])
    assert not in_sequence([])
    assert not in_sequence(["A", None])
    assert not in_sequence(["A", "2"])
