"""telecom-nano: how facts become items, and what its checker finds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.datasets.loading import load_dataset
from telbench.harness.datasets.sets.nano import check_nano, load_folder, overlap

QUESTIONS = [
    "Which port does the protocol GTP-U listen on?",
    "On what UDP port number are GTP-U packets received?",
    "Name the port reserved for user plane tunnelling by GTP-U.",
    "If you filter GTP-U in a capture, what port do you enter?",
    "A firewall must let GTP-U through; which destination should be opened?",
    "Tell me where GTP-U traffic arrives at a tunnel endpoint.",
]
FACT: dict[str, Any] = {
    "id": "core-001",
    "category": "core",
    "pool": "recall",
    "specification": "3GPP TS 29.281",
    "term": "GTP-U",
    "answer": "GTP-U packets are received on the UDP destination port 2152 of a tunnel endpoint.",
    "alternative": "The destination port of GTP-U is UDP port 2152.",
    "context": "GTP-U carries user packets. They are received on UDP destination port 2152 of the tunnel endpoint.",
    "questions": QUESTIONS,
}


def write(folder: Path, *facts: Any, file: str = "core.jsonl") -> Path:
    (folder / file).write_text("".join(json.dumps(fact) + "\n" for fact in facts), "utf-8")
    return folder


def test_recall_fact_gives_four_train_questions_and_new_wordings_for_dev_and_test(tmp_path: Path) -> None:
    items = load_folder(write(tmp_path, FACT)).items
    assert [item.split for item in items] == ["train"] * 4 + ["dev", "test"]
    assert [item.question for item in items] == QUESTIONS
    last = items[5]
    assert (last.id, last.source_document, last.category) == ("nano-core-001-q6", "core-001", "core")
    assert last.references == (FACT["answer"], FACT["alternative"])
    assert last.context == FACT["context"]
    assert (last.meta["book"], last.meta["specification"]) == ("closed", "3GPP TS 29.281")


def test_reading_fact_gives_one_open_book_question(tmp_path: Path) -> None:
    (item,) = load_folder(write(tmp_path, {**FACT, "pool": "reading"})).items
    assert (item.split, item.meta["book"], item.question) == ("reading", "open", QUESTIONS[0])


def test_line_that_is_no_fact_names_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"core\.jsonl, line 2: 'answer' is missing"):
        load_folder(write(tmp_path, FACT, {**FACT, "answer": ""}))


def found(folder: Path) -> list[str]:
    """Problems other than that so small a set has too few facts."""
    return [problem for problem in check_nano(folder) if "facts in all" not in problem]


def test_sound_fact_has_no_problem(tmp_path: Path) -> None:
    assert found(write(tmp_path, FACT)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answer": "GTP-U packets are received on the UDP destination port 2153 of a tunnel endpoint."}, "2153"),
        ({"answer": "Seven green elephants dance merrily around GTP-U."}, "content words of the answer"),
        ({"specification": "TS 29.281"}, "names no body"),
        ({"questions": QUESTIONS[:3]}, "3 questions, 6 are needed"),
        ({"pool": "reading", "questions": QUESTIONS[:3]}, "3 questions, 4 are needed"),
        (
            {"questions": [*QUESTIONS[:5], "Which port does the GTP-U protocol listen on now?"]},
            "questions 1 and 6 share",
        ),
        ({"questions": [*QUESTIONS[:5], QUESTIONS[0].upper()]}, "occurs 2 times"),
        ({"extra": 1}, "keys are"),
        ({"pool": "other"}, "pool 'other'"),
        ({"category": "radio"}, "category 'radio' in file core.jsonl"),
        ({"term": 5}, "'term' is missing or no text"),
        ({"alternative": FACT["answer"].upper()}, "the alternative is the answer"),
        ({"context": f"{FACT['context']} "}, "white space"),
        ({"context": f"{FACT['context']}\0"}, "a character that is none"),
        ({"questions": [*QUESTIONS[:5], QUESTIONS[5].replace(" ", "  ")]}, "white space"),
    ],
)
def test_checker_finds(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert any(words in problem for problem in found(write(tmp_path, {**FACT, **change})))


def test_checker_finds_questions_ids_and_terms_repeated_over_files(tmp_path: Path) -> None:
    write(tmp_path, FACT)
    write(tmp_path, {**FACT, "category": "radio"}, file="radio.jsonl")
    kinds = Counter(problem.split(" '")[0] for problem in found(tmp_path))
    assert kinds["question"] == 6
    assert (kinds["id"], kinds["term"]) == (1, 1)


def test_checker_finds_imbalance_and_too_few_facts(tmp_path: Path) -> None:
    write(tmp_path, FACT, FACT)
    write(tmp_path, FACT, file="radio.jsonl")
    write(tmp_path, {**FACT, "category": "radio"}, file="radio.jsonl")
    problems = check_nano(tmp_path)
    assert any("out of balance" in problem for problem in problems)
    assert any("3 facts in all" in problem for problem in problems)


def test_checker_survives_broken_lines(tmp_path: Path) -> None:
    (tmp_path / "core.jsonl").write_text("{", "utf-8")
    assert any("truncated" in problem for problem in check_nano(tmp_path))


def test_overlap_counts_words_of_the_longer_text() -> None:
    assert overlap("a b c", "a b c d e f") == 0.5
    assert overlap("a a", "a") == 0.5


def test_embedded_set_loads_with_disjoint_wordings() -> None:
    data = load_dataset("telecom-nano", split="all")
    sizes = Counter(item.split for item in data.items)
    assert sizes["train"] == 4 * sizes["test"] == 4 * sizes["dev"]
    assert sizes["reading"] > 0
    homes: dict[str, set[str | None]] = {}
    for item in data.items:
        homes.setdefault(item.question.casefold(), set()).add(item.split)
    assert all(len(splits) == 1 for splits in homes.values())
    read = {item.source_document for item in data.items if item.split == "reading"}
    assert not read & {item.source_document for item in data.items if item.split != "reading"}
