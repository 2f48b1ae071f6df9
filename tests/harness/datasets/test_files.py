"""Files that users bring: what is understood, and the one line for everything that is not."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.errors import InputError
from telbench.harness.datasets.canonical import json_lines_of
from telbench.harness.datasets.items import Item
from telbench.harness.datasets.loading import load_dataset
from telbench.harness.datasets.wording import clean, distinct, whole

GOOD = {"id": "a", "question": "What is the AMF?", "references": ["A core function."]}


def write(path: Path, *records: Any) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return str(path)


def only(path: str | Path, **arguments: Any) -> Item:
    (item,) = load_dataset(str(path), **arguments).items
    return item


# --- what is understood ---------------------------------------------------------------------------------------------


def test_references_are_cleaned_and_deduplicated_ignoring_case(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {**GOOD, "references": [" The  AMF ", "the amf", "", None, "SMF"]})
    assert only(path).references == ("The AMF", "SMF")


def test_context_keeps_its_line_breaks(tmp_path: Path) -> None:
    assert only(write(tmp_path / "a.jsonl", {**GOOD, "context": " | a | b |\n| 1 | 2 | "})).context == (
        "| a | b |\n| 1 | 2 |"
    )


def test_missing_ids_come_from_the_content_and_not_from_the_place(tmp_path: Path) -> None:
    one, two = {"question": "A?", "references": "x"}, {"question": "B?", "references": "y"}
    first = load_dataset(write(tmp_path / "a.jsonl", one, two)).items
    second = load_dataset(write(tmp_path / "b.jsonl", two, one)).items
    assert [item.id for item in first] == [item.id for item in reversed(second)]


def test_rows_that_say_the_same_are_numbered_and_counted(tmp_path: Path) -> None:
    row = {"question": "A?", "references": "x"}
    data = load_dataset(write(tmp_path / "a.jsonl", row, row))
    assert data.items[1].id == f"{data.items[0].id}#2"
    assert data.repaired == {"repeated id numbered": 1}


@pytest.mark.parametrize(
    ("answer", "indices"),
    [
        (1, (1,)),
        ("B", (1,)),
        ("b", (1,)),
        ("1", (1,)),
        ([2, 0], (0, 2)),
        (["A", "C"], (0, 2)),
        ("A, C", (0, 2)),
        (1.0, (1,)),
    ],
)
def test_answers_are_indices_or_letters(answer: Any, indices: tuple[int, ...], tmp_path: Path) -> None:
    item = only(write(tmp_path / "a.jsonl", {"question": "Q?", "choices": ["x", "y", "z"], "answer": answer}))
    assert item.answer == indices
    assert item.references == tuple("xyz"[index] for index in indices)


def test_text_in_answer_is_the_reference_of_an_open_question(tmp_path: Path) -> None:
    assert only(write(tmp_path / "a.jsonl", {"question": "Q?", "answer": "42 dBm"})).references == ("42 dBm",)


def test_map_renames_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Question,Answer\nWhat is NR?,5G radio\n", "utf-8")
    item = only(path, mapping={"question": "Question", "references": "Answer"})
    assert (item.question, item.references) == ("What is NR?", ("5G radio",))


def test_csv_cells_hold_json_lists_or_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('question,references\nA?,"[""x"", ""y""]"\nB?,"[1] see clause 5"\n', "utf-8")
    assert [item.references for item in load_dataset(str(path)).items] == [("x", "y"), ("[1] see clause 5",)]


def test_csv_field_of_a_megabyte_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'question,context,references\nA?,"{"word " * 220_000}",x\n', "utf-8")
    assert len(only(path).context or "") > 10**6


def test_nul_bytes_in_csv_are_removed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"question,references\nWhat\0 is NR?,5G\n")
    data = load_dataset(str(path))
    assert data.items[0].question == "What is NR?"
    assert data.repaired == {"NUL characters removed": 1}


def test_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfquestion,references\r\nA?,x\r\n\r\n")
    assert only(path).question == "A?"
    lines = tmp_path / "a.jsonl"
    lines.write_bytes(b'\xef\xbb\xbf{"question": "A?", "references": "x"}\r\n')
    assert only(lines).question == "A?"


def test_line_separator_inside_a_json_string_does_not_end_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "A\u2028B?", "references": "x"}\n', "utf-8")
    assert only(path).question == "A B?"


def test_lone_surrogate_becomes_a_replacement_character(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "A\\ud800?", "references": "x"}\n', "utf-8")
    assert only(path).question == "A\ufffd?"


def test_parquet_and_json_lists_are_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    rows = [
        {"question": "A?", "choices": ["x", "y"], "answer": 1},
        {"question": "B?", "choices": ["x", "y"], "answer": 0},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps(rows), "utf-8")
    tables = [load_dataset(str(tmp_path / name)).items for name in ("a.parquet", "a.json")]
    assert tables[0] == tables[1]
    assert [item.answer for item in tables[0]] == [(1,), (0,)]


def test_unusable_rows_are_dropped_by_counted_reason(tmp_path: Path) -> None:
    rows = [GOOD, {"question": " ", "references": "x"}, {"question": "B?"}, {"question": "C?", "choices": ["x", "y"]}]
    data = load_dataset(write(tmp_path / "a.jsonl", *rows))
    assert data.dropped == {"empty question": 1, "no reference": 1, "choices without an answer": 1}


def test_file_without_splits_is_all_test(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD)
    assert only(path).split == only(path, split="all").split == "test"


# --- what is refused ------------------------------------------------------------------------------------------------

CSV_HEAD = b"question,references\n"
BAD: dict[str, tuple[str, bytes, str]] = {
    "empty file": ("a.jsonl", b"", "the file is empty"),
    "only blanks": ("a.csv", b" \n\n", "the file is empty"),
    "header only": ("a.csv", CSV_HEAD, "no records"),
    "half JSON": (
        "a.jsonl",
        b'{"question": "A?", "references": "x"}\n{"question": "B',
        "line 2: the JSON is truncated",
    ),
    "record over many lines": ("a.jsonl", b'{\n  "question": "A?"\n}\n', "line 1: the record does not end on its line"),
    "half JSON list": ("a.json", b'[{"question": "A?",\n "refer', "line 2: the JSON is truncated"),
    "no JSON": ("a.jsonl", b"question\n", "line 1: not JSON"),
    "NaN": ("a.jsonl", b'{"question": "A?", "answer": NaN}\n', "line 1: not JSON: NaN"),
    "bottomless JSON": ("a.jsonl", b"[" * 200_000 + b"]" * 200_000, "line 1: JSON nested too deeply"),
    "half CSV": ("a.csv", CSV_HEAD + b'A?,x\nB?,"y\n', "line 3: .*truncated"),
    "short CSV row": ("a.csv", CSV_HEAD + b"A?\n", "line 2: 1 fields where the header has 2"),
    "long CSV row": ("a.csv", CSV_HEAD + b'"multi\nline",x\nA?,x,y\n', "line 4: 3 fields where the header has 2"),
    "twin columns": ("a.csv", b"question,question\nA?,x\n", "two columns are named 'question'"),
    "Latin-1": ("a.csv", CSV_HEAD + b"A?,x\nB?,caf\xe9\n", "line 3: byte 0xe9 at offset 31 is not UTF-8"),
    "UTF-16": ("a.csv", "question,references\nA?,x\n".encode("utf-16"), "UTF-16"),
    "list for a row": ("a.jsonl", b"[1, 2]\n", "line 1: an object is expected, this is a list"),
    "object for a list": ("a.json", b'{"question": "A?"}', "a list of items is expected"),
    "no question column": ("a.jsonl", b'{"Questoin": "A?", "references": "x"}\n', "--map question=Questoin"),
    "no references anywhere": ("a.jsonl", b'{"question": "A?", "reference": "x"}\n', "--map references=reference"),
    "repeated ids": (
        "a.jsonl",
        b'{"id": "a", "question": "A?", "references": "x"}\n\n{"id": "a", "question": "B?", "references": "y"}\n',
        "line 3: id 'a' is that of line 1 too",
    ),
    "answer beyond the choices": (
        "a.jsonl",
        b'{"question": "A?", "choices": ["x", "y"], "answer": 3}\n',
        "line 1: answer 3",
    ),
    "letter beyond the choices": (
        "a.jsonl",
        b'{"question": "A?", "choices": ["x", "y"], "answer": "C"}\n',
        "answer 'C'",
    ),
    "negative answer": ("a.jsonl", b'{"question": "A?", "choices": ["x", "y"], "answer": -1}\n', "answer -1"),
    "answer in words": (
        "a.jsonl",
        b'{"question": "A?", "choices": ["x", "y"], "answer": "why"}\n',
        "'why' is no letter, number or text",
    ),
    "truth for an answer": ("a.jsonl", b'{"question": "A?", "choices": ["x", "y"], "answer": true}\n', "'True' is no"),
    "one choice": ("a.jsonl", b'{"question": "A?", "choices": ["x"], "answer": 0}\n', "at least two texts"),
    "object for a question": (
        "a.jsonl",
        b'{"question": {"a": 1}, "references": "x"}\n',
        "must be text, this is a object",
    ),
    "list for meta": ("a.jsonl", b'{"question": "A?", "references": "x", "meta": [1]}\n', "'meta' must be an object"),
    "split for some": (
        "a.jsonl",
        b'{"question": "A?", "references": "x", "split": "dev"}\n{"question": "B?", "references": "x"}\n',
        "has no 'split'",
    ),
    "no parquet": ("a.parquet", b"PAR1 nothing", "not a readable parquet file"),
    "unknown ending": ("a.xlsx", b"PK", "the ending '.xlsx' is unknown"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_one_line_with_file_and_place(case: str, tmp_path: Path) -> None:
    name, content, words = BAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        load_dataset(str(tmp_path / name))
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"question": "Questoin"}, "no column 'Questoin': did you mean 'Question'"),
        ({"reference": "Question"}, "'reference' is no field of an item: did you mean 'references'"),
    ],
)
def test_unknown_name_in_map_suggests_a_near_one(mapping: dict[str, str], words: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Question,references\nA?,x\n", "utf-8")
    with pytest.raises(InputError, match=words):
        load_dataset(str(tmp_path / "a.csv"), mapping=mapping)


def test_unknown_split_lists_those_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {**GOOD, "split": "train"})
    with pytest.raises(InputError, match=r"no split 'test': there are train \(1\), and all"):
        load_dataset(path)


def test_missing_file_folder_and_unknown_name_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.jsonl: cannot be read: No such file"):
        load_dataset(str(tmp_path / "no.jsonl"))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        load_dataset(str(tmp_path / "folder.jsonl"))
    with pytest.raises(InputError, match="unknown data set 'telequat': did you mean telequad"):
        load_dataset("telequat")
    with pytest.raises(InputError):
        load_dataset("a\0b.jsonl")


def test_set_without_its_files_names_file_places_and_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TELBENCH_DATA", raising=False)
    with pytest.raises(InputError, match=r"needs TeleQnA.zip .*--data-dir DIR or TELBENCH_DATA"):
        load_dataset("teleqna")
    with pytest.raises(InputError) as caught:
        load_dataset("teleqna", data_dir=tmp_path)
    assert f"neither in {tmp_path} nor in {tmp_path / 'teleqna'}" in str(caught.value)
    with pytest.raises(InputError, match="no such folder"):
        load_dataset("teleqna", data_dir=tmp_path / "none")


def test_published_file_given_as_a_path_points_to_its_set(tmp_path: Path) -> None:
    (tmp_path / "TeleQuAD-v4-full.json").write_text("{}", "utf-8")
    with pytest.raises(InputError, match=r"belongs to the set 'telequad': use telequad with --data-dir"):
        load_dataset(str(tmp_path / "TeleQuAD-v4-full.json"))


def test_map_and_options_are_refused_where_they_mean_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--map"):
        load_dataset("telequad", mapping={"question": "q"})
    with pytest.raises(InputError, match="no option 'x': its options: unanswerable"):
        load_dataset("telequad", options={"x": "y"}, data_dir=tmp_path)
    with pytest.raises(InputError, match="'maybe' is unknown: use drop or keep"):
        load_dataset("telequad", options={"unanswerable": "maybe"}, data_dir=tmp_path)
    with pytest.raises(InputError, match="a file takes no option"):
        load_dataset(write(tmp_path / "a.jsonl", GOOD), options={"x": "y"})


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"needs the package 'pyarrow': pip install .*\[parquet\]"):
        load_dataset(str(tmp_path / "a.parquet"))


# --- there and back -------------------------------------------------------------------------------------------------

texts = st.text(max_size=30).map(clean).filter(bool)
values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@st.composite
def items(draw: st.DrawFn) -> Item:
    choices = tuple(draw(st.lists(texts, min_size=2, max_size=6))) if draw(st.booleans()) else ()
    answer = tuple(sorted(draw(st.sets(st.integers(0, len(choices) - 1), min_size=1)))) if choices else ()
    return Item(
        id=draw(texts),
        question=draw(texts),
        references=distinct(draw(st.lists(texts, min_size=1, max_size=4))),
        context=draw(st.none() | st.text().map(whole).filter(bool)),
        choices=choices,
        answer=answer,
        source_document=draw(st.none() | texts),
        category=draw(st.none() | texts),
        split=draw(st.sampled_from(["train", "dev", "test"])),
        meta=draw(st.dictionaries(st.text(max_size=8), values | st.lists(values, max_size=3), max_size=3)),
    )


@settings(max_examples=40, deadline=None)
@given(written=st.lists(items(), min_size=1, max_size=4, unique_by=lambda item: item.id))
def test_canonical_json_lines_read_back_as_the_same_items(
    written: list[Item], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    path.write_bytes(json_lines_of(written))
    assert load_dataset(str(path), split="all").items == tuple(written)
