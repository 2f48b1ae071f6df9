"""Rows in other people's shapes: wrapped lists, SQuAD, chats, and files that are not what their ending says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.datasets.loading import WholeSet, load_whole
from telbench.harness.datasets.settings import DataSettings

ROW = {"question": "A?", "references": ["x"]}
ANSWER = {"text": "radio", "answer_start": 6}


def document(folder: Path, value: Any, name: str = "a.json") -> WholeSet:
    path = folder / name
    path.write_text(json.dumps(value), "utf-8")
    return load_whole(DataSettings(str(path)))


def lines(folder: Path, *rows: Any, **arguments: Any) -> WholeSet:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return load_whole(DataSettings(str(path), **arguments))


def squad(*questions: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "2",
        "data": [{"title": "TS 1", "paragraphs": [{"context": "NR\nis radio.", "qas": list(questions)}]}],
    }


# --- documents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["questions", "data", "items", "examples"])
def test_a_list_inside_an_object_is_taken_and_said(name: str, tmp_path: Path) -> None:
    whole = document(tmp_path, {"version": 1, name: [ROW]})
    assert whole.items[0].references == ("x",)
    assert whole.repaired == {f"items taken from the list '{name}'": 1}


def test_an_object_of_items_gives_their_ids(tmp_path: Path) -> None:
    entry = {"question": "A?", "option 1": "x", "option 2": "y", "answer": "option 2: y", "category": "Lexicon"}
    whole = document(tmp_path, {"question 7": entry})
    (item,) = whole.items
    assert (item.id, item.choices, item.answer, item.category) == ("question 7", ("x", "y"), (1,), "Lexicon")
    assert "items taken from an object, their keys as ids" in whole.repaired


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"data": [ROW], "items": [ROW]}, "'data' and 'items' are both lists"),
        ({"data": {"test": [ROW]}}, "a list of items is expected, this is a JSON object: it may lie in one of"),
        ({"question": {"0": "A?"}, "answer": {"0": "x"}}, "orient='records'"),
        ([[ROW]], "element 1: an object is expected, this is a list"),
        ({"data": ["A?"]}, "element 1: an object is expected, this is a string"),
        ("A?", "a list of items is expected, this is a JSON string"),
        ({"data": [{"title": "T", "paragraphs": [{"context": "c"}]}]}, "a paragraph without a list 'qas'"),
        (squad({"id": "1", "question": "A?", "answers": "radio"}), "question 1: 'answers' must hold a list of texts"),
    ],
)
def test_other_nesting_is_refused(value: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        document(tmp_path, value)
    assert "a.json" in str(caught.value)


# --- SQuAD -----------------------------------------------------------------------------------------------------------


def test_squad_documents_become_items_with_clusters_and_refusals(tmp_path: Path) -> None:
    value = squad(
        {"id": "1", "question": "A?", "answers": [ANSWER, ANSWER], "is_impossible": False},
        {"id": "2", "question": "B?", "answers": [], "is_impossible": True, "plausible_answers": [ANSWER]},
    )
    whole = document(tmp_path, value)
    first, second = whole.items
    assert (first.id, first.references, first.context, first.source_document) == (
        "1",
        ("radio",),
        "NR\nis radio.",
        "TS 1",
    )
    assert first.answerable
    assert (second.references, second.answerable, second.meta["answer_entries"]) == ((), False, 0)
    assert "SQuAD: title taken as source_document" in whole.repaired


def test_squad_questions_marked_impossible_stay_so_where_they_carry_answers(tmp_path: Path) -> None:
    (item,) = document(tmp_path, squad({"id": "1", "question": "A?", "answers": [ANSWER], "is_impossible": True})).items
    assert item.references == ("radio",)
    assert item.meta == {"unanswerable": True, "answer_entries": 1}
    assert item.gold_references == ()


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["radio"], "answer_start": [6]},
        "{'text': ['radio'], 'answer_start': [6]}",
        "{'text': array(['radio'], dtype=object), 'answer_start': array([6])}",
        [ANSWER],
    ],
)
def test_squad_rows(answers: Any, tmp_path: Path) -> None:
    row = {"id": "1", "title": "TS 1", "context": "NR is radio.", "question": "A?", "answers": answers}
    none = {**row, "id": "2", "answers": {"text": [], "answer_start": []}}
    first, second = lines(tmp_path, row, none).items
    assert (first.references, first.source_document, first.answerable) == (("radio",), "TS 1", True)
    assert (second.references, second.answerable) == ((), False)


# --- chats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [{"from": "human", "value": "A?"}, {"from": "gpt", "value": "x"}]},
        {"messages": [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "x"}]},
        {"messages": '[{"role": "user", "content": "A?"}, {"role": "assistant", "content": "x"}]'},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "A?"}]},
                {"role": "assistant", "content": "x"},
            ]
        },
    ],
)
def test_a_chat_of_one_question_and_one_answer_is_an_item(row: dict[str, Any], tmp_path: Path) -> None:
    whole = lines(tmp_path, {"id": "1", "category": "c", **row})
    (item,) = whole.items
    assert (item.id, item.question, item.references, item.category) == ("1", "A?", ("x",), "c")
    assert list(whole.repaired) == [
        f"question and answer taken from the turns of '{next(iter(row))}', a system message to meta.system"
    ]


def test_a_system_message_is_kept_in_meta_and_said(tmp_path: Path) -> None:
    turns = [
        {"role": role, "content": text} for role, text in (("system", "Be brief."), ("user", "A?"), ("assistant", "x"))
    ]
    whole = lines(tmp_path, {"messages": turns, "meta": {"k": 1}})
    assert whole.items[0].meta == {"k": 1, "system": "Be brief."}
    assert "a system message to meta.system" in next(iter(whole.repaired))


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        (
            ["user", "assistant", "user", "assistant"],
            "one question and one answer, its turns are user, assistant, user",
        ),
        (["user"], "one question and one answer, its turns are user"),
        (["assistant", "user"], "its turns are assistant, user"),
        (["user", "tool"], "its turns are user, tool"),
    ],
)
def test_other_chats_are_refused(turns: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"a\.jsonl, line 1: .*{words}"):
        lines(tmp_path, {"messages": [{"role": role, "content": "t"} for role in turns]})


@pytest.mark.parametrize(
    ("turns", "words"), [("hello", "a list of turns"), ([{"role": "user", "content": 7}] * 2, "no text but a number")]
)
def test_turns_that_are_none_are_refused(turns: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        lines(tmp_path, {"messages": turns})


def test_a_question_of_its_own_comes_before_turns(tmp_path: Path) -> None:
    whole = lines(tmp_path, {"question": "A?", "answer": "x", "messages": "m"})
    assert whole.items[0].question == "A?"
    assert whole.unread == ("messages",)


# --- files that are not what their ending says, or packed ------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ['[{"question": "A?", "answer": "x"}]', '[\n {"question": "A?",\n "answer": "x"}\n]\n']
)
def test_a_list_under_the_name_of_json_lines_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(text, "utf-8")
    assert load_whole(DataSettings(str(tmp_path / "a.jsonl"))).items[0].references == ("x",)


def test_json_lines_under_the_name_of_json_are_read_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"question": "A?", "answer": "x"}\n{"question": "B?", "answer": "y"}\n', "utf-8")
    assert len(load_whole(DataSettings(str(path))).items) == 2
    path.write_text('{"question": "A?", "answer": "x"}\n{"question": "B?", "answer"\n', "utf-8")
    with pytest.raises(InputError, match=r"a\.json, line 2: the JSON is truncated"):
        load_whole(DataSettings(str(path)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.ndjson", '{"question": "A?", "answer": "x"}\n'),
        ("a.tsv", "question\tanswer\nA?\tx\n"),
        ("a.v2.jsonl.gz", '{"question": "A?", "answer": "x"}\n'),
        ("a.json.gz", '[{"question": "A?", "answer": "x"}]'),
        ("a.csv.gz", "question,answer\nA?,x\n"),
        ("a.TSV.GZ", "question\tanswer\nA?\tx\n"),
        ("a.ndjson.gz", '{"question": "A?", "answer": "x"}\n'),
    ],
)
def test_more_endings(name: str, text: str, tmp_path: Path) -> None:
    packed = name.lower().endswith(".gz")
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    whole = load_whole(DataSettings(str(tmp_path / name)))
    assert (whole.items[0].question, whole.items[0].references) == ("A?", ("x",))
    assert whole.name == ("a.v2" if "v2" in name else "a")
    assert whole.source.startswith(f"{name} sha256:")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz", "a.json.gz"])
def test_damaged_gzip_is_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content = gzip.compress(b'{"question": "A?", "answer": "x"}\n' * 5000, mtime=0)
    for damaged, words in (
        (content[:-20], "truncated"),
        (content[:60], "truncated"),
        (b'{"question": "A?"}', "not a readable .gz"),
        (content[:40] + bytes(40) + content[80:], "not a readable .gz|truncated"),
        (b"", "the file is empty"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=words) as caught:
            load_whole(DataSettings(str(path)))
        assert name in str(caught.value)


def test_a_folder_is_named_as_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is a folder: name a file in it"):
        load_whole(DataSettings(str(tmp_path)))


def test_unknown_endings_are_listed_once(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx.gz").write_bytes(b"x")
    with pytest.raises(InputError, match=r"the ending '\.xlsx\.gz' is unknown: use \.jsonl, .*also as \.gz"):
        load_whole(DataSettings(str(tmp_path / "a.xlsx.gz")))
