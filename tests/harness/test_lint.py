"""Lint: what it counts, checked against the counts of the published files and on small sets made for a defect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.datasets.items import Item
from telbench.harness.datasets.loading import WholeSet, load_whole
from telbench.harness.datasets.settings import DataSettings
from telbench.harness.lint import Finding, lint, percentiles, prompt_lengths


def findings(*items: Item) -> dict[str, Finding]:
    return {found.check: found for found in lint(WholeSet("x", items, {}, {}, "", "")).findings}


def test_telequad_counts_are_those_of_the_published_file(shared_data: Path) -> None:
    report = lint(load_whole(DataSettings("telequad", data_dir=shared_data)), shared_data)
    by_check = {found.check: found for found in report.findings}
    assert by_check["impossible with answer"].count == 223
    assert by_check["reference of <= 3 words"].count == 1566
    assert by_check["reference of <= 5 words"].count == 2206
    assert report.lengths["context"]["max"] == 6127
    assert "context in several splits" not in by_check
    assert "source document in several splits" not in by_check
    assert report.dropped == {"is_impossible": 223}


def test_srsran_skew_and_twin_options_are_found(shared_data: Path) -> None:
    by_check = {
        found.check: found for found in lint(load_whole(DataSettings("srsranbench", data_dir=shared_data))).findings
    }
    assert by_check["answer position"].count == 1139
    assert by_check["repeated option"].count == 31


def test_balanced_positions_are_no_finding(shared_data: Path) -> None:
    checks = {found.check for found in lint(load_whole(DataSettings("teleqna", data_dir=shared_data))).findings}
    assert "answer position" not in checks


def test_tabular_answers_that_are_not_in_their_context_are_counted(shared_data: Path) -> None:
    whole = load_whole(DataSettings("telequad-tabular", data_dir=shared_data))
    found = {found.check: found for found in lint(whole).findings}["answer not in context"]
    by_hand = [
        item
        for item in whole.items
        if " ".join(item.references[0].split()).lower() not in " ".join((item.context or "").split()).lower()
    ]
    assert (found.count, found.level) == (len(by_hand), "note")


def test_repetition_ignores_case_and_punctuation_and_tells_context_apart() -> None:
    found = findings(
        Item("a", "What is NR?", ("x",), context="one"),
        Item("b", "what is nr", ("x",), context="two"),
        Item("c", "What is  NR ?", ("x",), context="one"),
    )
    assert found["repeated question"].examples == ("b", "c")
    assert found["repeated item"].examples == ("c",)


@pytest.mark.parametrize(
    ("field", "check"),
    [("question", "question"), ("context", "context"), ("source_document", "source document")],
)
def test_leak_between_splits_is_found(field: str, check: str) -> None:
    first: dict[str, Any] = {"id": "a", "question": "A?", "context": "x y", "source_document": "d", "split": "train"}
    second: dict[str, Any] = {"id": "b", "question": "B?", "context": "z", "source_document": "e", "split": "test"}
    second[field] = first[field]
    found = findings(Item(references=("x",), **first), Item(references=("z",), **second))
    assert [name for name in found if "splits" in name] == [f"{check} in several splits"]


def test_unanswerable_items_that_are_kept_are_a_finding() -> None:
    found = findings(Item("a", "A?", ("x",), meta={"unanswerable": True}))
    assert found["impossible with answer"].level == "finding"


def test_percentiles_are_nearest_rank() -> None:
    assert percentiles(range(1, 101)) == {"p50": 50, "p95": 95, "max": 100}
    assert percentiles([]) == {}


class WordTokenizer:
    """One token a word, no template, no special tokens."""

    chat_template = None
    bos_token_id = None
    eos_token_id = None

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [0 for _ in text.split()]}


SHORT_AND_LONG = [Item("short", "A?", ("x",), context="w " * 5), Item("long", "B?", ("x",), context="w " * 50)]


def check_prompt_lengths(folder: Path) -> None:
    counted = prompt_lengths(SHORT_AND_LONG, folder, 30)
    assert counted["max"] - counted["p50"] == 45
    assert (counted["truncated"], counted["examples"]) == (1, ["long"])
    assert counted["too_long_without_context"] == 0
    assert prompt_lengths(SHORT_AND_LONG, folder, counted["max"])["truncated"] == 0
    assert prompt_lengths(SHORT_AND_LONG, folder, counted["max"] - 1)["truncated"] == 1
    assert prompt_lengths(SHORT_AND_LONG, folder, 3)["too_long_without_context"] == 2


def test_prompts_over_the_context_length_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telbench.harness.tokenizing.load_tokenizer", lambda _: WordTokenizer())
    check_prompt_lengths(tmp_path)


@pytest.mark.slow
def test_prompts_are_counted_with_a_tokenizer_from_a_folder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]").save_pretrained(tmp_path)
    check_prompt_lengths(tmp_path)


@pytest.mark.slow
def test_folder_without_a_tokenizer_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tokenizer can be loaded"):
        prompt_lengths([], tmp_path, 10)


def test_missing_tokenizer_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        prompt_lengths([], tmp_path / "none", 10)
