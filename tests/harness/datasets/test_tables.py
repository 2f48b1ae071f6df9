"""Tables of text: what parts their fields, odd bytes, cells that hold lists, and rows that are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.datasets.canonical import json_lines_of
from telbench.harness.datasets.items import DataSet, Item
from telbench.harness.datasets.loading import WholeSet, load_whole
from telbench.harness.datasets.rows import list_in
from telbench.harness.datasets.settings import DataSettings


def table(folder: Path, text: str | bytes, name: str = "a.csv", **arguments: Any) -> WholeSet:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_whole(DataSettings(str(path), **arguments))


# --- fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'question;references;"a, b"\n"A, B; C?";x, y;z\n'),
        ("a.csv", 'question,references,"a; b"\n"A, B; C?","x, y",z\n'),
        ("a.csv", "question\treferences\nA, B; C?\tx, y\n"),
        ("a.tsv", "question\treferences\ta, b\nA, B; C?\tx, y\tz\n"),
        ("a.csv", "sep=;\nquestion;references\nA, B; C?;x, y\n".replace("A, B; C?", '"A, B; C?"')),
        ("a.csv", '\ufeffquestion;references\r\n"A, B; C?";x, y\r\n'),
    ],
)
def test_commas_semicolons_and_tabs_are_told_by_the_header(name: str, text: str, tmp_path: Path) -> None:
    (item,) = table(tmp_path, text, name).items
    assert (item.question, item.references) == ("A, B; C?", ("x, y",))


def test_a_single_column_is_refused_for_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no item can be used"):
        table(tmp_path, "question\nA?\n")


def test_a_row_too_long_says_what_to_quote(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2: 3 fields where the header has 2: quote fields that hold semicolons"):
        table(tmp_path, "question;answer\nA?;x;y\n")


def test_lines_count_from_the_top_below_blank_and_separator_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 4: 3 fields"):
        table(tmp_path, "sep=,\nquestion,answer\nA?,x\nB?,y,z\n")
    with pytest.raises(InputError, match="line 3: 3 fields"):
        table(tmp_path, ",\nquestion,answer\nB?,y,z\n")


def test_columns_without_a_name_are_no_twins(tmp_path: Path) -> None:
    whole = table(tmp_path, ",question,answer,,\n0,A?,x,,\n")
    assert whole.items[0].references == ("x",)
    assert whole.unread == ("(unnamed)",)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_with_or_without_its_mark(encoding: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="UTF-16: save it as UTF-8"):
        table(tmp_path, "question,answer\nWhat is NR?,x\n".encode(encoding))


def test_emoji_long_contexts_and_nul_characters(tmp_path: Path) -> None:
    whole = table(tmp_path, f"question,context,A,B,answer\n📶\0?,{'word ' * 6000},x 📶,y,A\n")
    (item,) = whole.items
    assert (item.question, item.choices, len((item.context or "").split())) == ("📶?", ("x 📶", "y"), 6000)
    assert whole.repaired["NUL characters removed"] == 1


# --- cells -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("['a', 'b']", ["a", "b"]),
        ("['a' 'b']", ["a", "b"]),
        ("['a'\n \"it's\"]", ["a", "it's"]),
        ('["a", "b, c"]', ["a", "b, c"]),
        ('["a\\u0041"]', ["aA"]),
        ("array(['a', 'b'], dtype=object)", ["a", "b"]),
        ("['a', 2]", ["a", 2]),
        ("['\\d']", ["\\d"]),
        ("[1] see clause 5", "[1] see clause 5"),
        ("['a', b]", "['a', b]"),
        ("[__import__('os')]", "[__import__('os')]"),
        ("a, b", "a, b"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_lists_in_cells(text: str, held: Any, recwarn: pytest.WarningsRecorder) -> None:
    assert list_in(text) == held
    assert not list(recwarn)


def test_a_context_in_a_cell_may_be_a_list_and_in_json_a_text_stays_one(tmp_path: Path) -> None:
    (item,) = table(tmp_path, "question,answer,context\nA?,x,\"['one', 'two']\"\n").items
    assert (item.context, item.passages) == ("one\n\ntwo", ("one", "two"))
    row = {"question": "A?", "answer": "x", "context": '["one", "two"]'}
    (item,) = table(tmp_path, json.dumps(row), "a.jsonl").items
    assert (item.context, item.passages) == ('["one", "two"]', ())


# --- passages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "context", "passages"),
    [
        ({"context": ["one ", "", "two\n2"]}, "one\n\ntwo\n2", ("one", "two\n2")),
        ({"context": ["one"]}, "one", ()),
        ({"context": []}, None, ()),
        ({"passages": ["one", "two"]}, "one\n\ntwo", ("one", "two")),
        ({"context": "both", "passages": ["one", "two"]}, "both", ("one", "two")),
    ],
)
def test_passages_are_kept_beside_the_context(
    fields: dict[str, Any], context: str | None, passages: tuple[str, ...], tmp_path: Path
) -> None:
    (item,) = table(tmp_path, json.dumps({"question": "A?", "answer": "x", **fields}), "a.jsonl").items
    assert (item.context, item.passages) == (context, passages)


def test_passages_that_are_no_list_are_refused(tmp_path: Path) -> None:
    row = {"question": "A?", "answer": "x", "passages": {"text": "one"}}
    with pytest.raises(InputError, match="line 1: 'passages' must be a list of texts, this is a object"):
        table(tmp_path, json.dumps(row), "a.jsonl")


def test_items_without_passages_keep_their_record_and_their_fingerprint() -> None:
    plain = Item("a", "A?", ("x",), split="test")
    assert "passages" not in json.loads(json_lines_of([plain]))
    # As computed before items could have passages.
    assert (
        DataSet("d", "test", (plain,)).items_sha256
        == "8844f0568678895ce4f9b60c667c96bb33759e827e622746dc089401f154d9b1"
    )
    parts = Item("a", "A?", ("x",), "one\n\ntwo", split="test", passages=("one", "two"))
    whole = Item("a", "A?", ("x",), "one\n\ntwo", split="test")
    assert DataSet("d", "test", (parts,)).items_sha256 != DataSet("d", "test", (whole,)).items_sha256


# --- rows that are left out ------------------------------------------------------------------------------------------

MIXED = [
    json.dumps({"id": "a", "question": "A?", "choices": ["x", "y"], "answer": "A"}),
    json.dumps({"id": "b", "question": "B?", "choices": ["x", "y"], "answer": "neither"}),
    '{"id": "c", "question": ',
    json.dumps(["no", "object"]),
    json.dumps({"id": "a", "question": "D?", "choices": ["x", "y"], "answer": "B"}),
    json.dumps({"id": "e", "question": "E?", "choices": ["x"], "answer": "A"}),
    json.dumps({"id": "f", "question": "F?", "choices": ["x", "y"], "answer": "both"}),
    json.dumps({"id": "g", "question": "G?", "choices": ["x", "y"], "answer": "B"}),
]


def test_bad_rows_are_left_out_by_counted_reason_only_where_asked(tmp_path: Path) -> None:
    text = "\n".join(MIXED)
    with pytest.raises(InputError, match=r"a\.jsonl, line 3"):
        table(tmp_path, text, "a.jsonl")
    whole = table(tmp_path, text, "a.jsonl", skip_bad=True)
    assert [item.id for item in whole.items] == ["a", "g"]
    assert whole.dropped == {
        "bad row: not JSON": 1,
        "bad row: no object": 1,
        "bad row: answer names no choice": 2,
        "bad row: repeated id": 1,
        "bad row: fewer than two options, or an empty one": 1,
    }
    (warning,) = whole.warnings
    assert "left out: 6, the first: " in warning
    assert "a.jsonl, line 2: answer 'neither'" in warning


def test_rows_of_other_lengths_are_left_out_too(tmp_path: Path) -> None:
    whole = table(tmp_path, "question,answer\nA?,x\nB?,y,z\nC?,t\n", skip_bad=True)
    assert [item.question for item in whole.items] == ["A?", "C?"]
    assert whole.dropped == {"bad row: not as many fields as the header": 1}


def test_a_number_beyond_the_options_is_left_out(tmp_path: Path) -> None:
    whole = table(tmp_path, "question,A,B,answer\nA?,x,y,0\nB?,x,y,7\nC?,x,y,1\n", skip_bad=True)
    assert [(item.question, item.answer) for item in whole.items] == [("A?", (0,)), ("C?", (1,))]
    assert whole.dropped == {"bad row: answer is none of the choices": 1}


def test_a_file_of_bad_rows_alone_is_refused_with_the_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no item can be used.*line 2: answer 'z'"):
        table(tmp_path, "question,A,B,answer\nA?,x,y,z\n", skip_bad=True)


def test_registered_sets_refuse_the_setting() -> None:
    with pytest.raises(InputError, match="--skip-bad is for files"):
        load_whole(DataSettings("telecom-nano", skip_bad=True))


def test_a_run_records_what_was_left_out_and_tells_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["id,question,A,B,answer", "a,A?,x,y,A", "b,B?,x,y,neither", "c,C?,x,y,B"]
    (tmp_path / "d.csv").write_text("\n".join(rows), "utf-8")
    (tmp_path / "p.jsonl").write_text(
        "".join(json.dumps({"id": key, "prediction": "x"}) + "\n" for key in "ac"), "utf-8"
    )
    words = ["score", str(tmp_path / "p.jsonl"), "--data", str(tmp_path / "d.csv"), "--out", str(tmp_path / "run")]
    words += ["--metrics", "choice_accuracy"]
    assert main(words) == 2
    assert "line 3: answer 'neither'" in capsys.readouterr().err
    assert main([*words, "--skip-bad"]) == 0
    told = capsys.readouterr().err
    assert "--skip-bad left out: 1, the first: " in told
    assert "options taken from columns A, B: 2" in told
    header = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert header["data"]["dropped"] == {"bad row: answer names no choice": 1}
    assert header["data"]["repaired"] == {"options taken from columns A, B": 2}
    assert header["metrics"]["choice_accuracy"]["value"] == 0.5
