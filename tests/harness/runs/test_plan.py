"""From settings to a plan: what is chosen when nothing is said, and what is refused before time is spent."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.terminal import Reporter
from telbench.harness.datasets.items import DataSet, Item
from telbench.harness.datasets.loading import limited
from telbench.harness.runs.plan import make_plan
from telbench.harness.runs.prepared import FACTS, RECALL, default_metrics
from telbench.harness.runs.settings import eval_settings

OPEN = Item("open", "What is the AMF?", ("a function",), context="The AMF is a function.")
CLOSED = Item("closed", "What is the SMF?", ("a function",))
FACT = Item("fact", "How long does the timer of the UE run?", ("T3510, 15 s",))
LONG = Item(
    "long", "How long does the timer of the UE run?", ("The timer T3510 of the UE runs for 15 s, then it ends.",)
)
CHOICE = Item("choice", "Which one?", ("A",), choices=("A", "B"), answer=(0,))


def dataset(*items: Item) -> DataSet:
    return DataSet("set", "test", items, split_rule="all")


@pytest.mark.parametrize(
    ("items", "metrics"),
    [
        ((OPEN, CLOSED), ("ngram", *RECALL)),
        ((CHOICE,), ("choice",)),
        ((OPEN, CHOICE), ("choice", "ngram", *RECALL)),
        ((FACT,), ("ngram", *RECALL, *FACTS)),
        ((LONG,), ("ngram", *FACTS)),
        # The rules of facts are English.
        ((replace(FACT, question="Welche Funktion vergibt Adressen bei dieser Anfrage?"),), ("ngram", *RECALL)),
        # Half of the items are enough, fewer are not.
        ((FACT, OPEN), ("ngram", *RECALL, *FACTS)),
        ((FACT, OPEN, CLOSED), ("ngram", *RECALL)),
    ],
)
def test_metrics_follow_the_items(items: tuple[Item, ...], metrics: tuple[str, ...]) -> None:
    assert default_metrics(dataset(*items)) == metrics


@pytest.mark.parametrize(
    ("items", "book"),
    [((OPEN, CLOSED), "open"), ((CLOSED,), "closed"), ((replace(OPEN, meta={"book": "closed"}),), "closed")],
)
def test_the_book_follows_the_data(items: tuple[Item, ...], book: str) -> None:
    assert dataset(*items).book == book


def test_a_limit_draws_with_the_seed_and_keeps_the_order() -> None:
    many = dataset(*(replace(CLOSED, id=f"{n:03}") for n in range(100)))
    first, again, other = limited(many, 10, 0), limited(many, 10, 0), limited(many, 10, 1)
    assert first == again != other
    assert [item.id for item in first.items] == sorted(item.id for item in first.items)
    assert first.split_rule == "all; 10 of 100 items drawn with seed 0"
    assert limited(many, 100, 0) is limited(many, None, 0) is many


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_no_items_is_refused(limit: int) -> None:
    with pytest.raises(InputError, match=f"--limit {limit}"):
        limited(dataset(CLOSED), limit, 0)


def complaint(**settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        make_plan(eval_settings(**settings), Reporter())
    return str(caught.value)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder that looks like a checkpoint with a window of 64 tokens; nothing can load it."""
    config = {"model_type": "llama", "vocab_size": 300, "max_position_embeddings": 64}
    header = json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"x")
    return tmp_path


def test_a_local_engine_needs_a_model() -> None:
    assert complaint(engine="transformers") == "--engine transformers needs --model with the folder of a checkpoint"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"engine": "transformers", "model": "m", "answers": Path("a")}, "--answers belongs to --engine replay"),
        ({"engine": "transformers", "model": "m", "base_url": "http://x"}, "--base-url belongs to --engine openai"),
        ({"engine": "replay", "model": "m"}, "--engine replay takes --answers FILE"),
        ({"engine": "replay"}, "--engine replay needs --answers FILE"),
        ({"engine": "vlm"}, "did you mean vllm?"),
    ],
)
def test_an_option_of_another_engine_is_refused(settings: dict[str, Any], said: str) -> None:
    assert said in complaint(**settings)


def test_a_window_without_room_for_a_question_is_refused_before_any_import(checkpoint: Path) -> None:
    line = complaint(engine="transformers", model=str(checkpoint), max_tokens=64)
    assert line == (
        f"the window of {checkpoint} (64 tokens) leaves no room for a question beside --max-tokens 64: "
        "lower --max-tokens"
    )
    line = complaint(engine="transformers", model=str(checkpoint), max_model_len=1)
    assert line == "--max-model-len 1 leaves no room for a question beside --max-tokens 128: take a longer one"


def test_faults_of_the_answers_are_told_before_there_is_a_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"id": "none", "prediction": "x"}')
    assert "no answer's id is the id of an item" in complaint(engine="replay", answers=Path("a.jsonl"))
