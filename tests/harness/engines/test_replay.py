"""Answers from a file: found by id or by line, and every fault of the file told in one line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.engines.contract import EngineSettings, Request, Sampling
from telbench.harness.engines.replay import describe, open_engine, read_answers

ITEMS = ("q0", "q1", "q2")
GIVEN = {"q0": "AMF", "q1": "SMF", "q2": "UPF"}


def saved(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def records(answers: dict[str, str | None]) -> list[dict[str, str | None]]:
    return [{"id": item_id, "prediction": answer} for item_id, answer in answers.items()]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", "".join(json.dumps(record) + "\n" for record in records({**GIVEN}))),
        ("a.JSONL", "\n\n".join(json.dumps(record) for record in records({**GIVEN}))),
        ("bom.jsonl", "\ufeff" + "\n".join(json.dumps(record) for record in records({**GIVEN}))),
        ("a.json", json.dumps(records({**GIVEN}))),
        ("map.json", json.dumps(GIVEN)),
        ("a.csv", "id,prediction\nq0,AMF\nq1,SMF\nq2,UPF\n"),
        ("more.csv", 'doc_id,note,response\nq0,"a,\nb",AMF\r\nq1,,SMF\r\nq2,,UPF\r\n'),
        ("a.ndjson", "".join(json.dumps(record) + "\n" for record in records({**GIVEN}))),
        ("a.tsv", "id\tprediction\nq0\tAMF\nq1\tSMF\nq2\tUPF\n"),
        ("semicolons.csv", "id;prediction\nq0;AMF\nq1;SMF\nq2;UPF\n"),
        ("a.txt", "AMF\nSMF\nUPF\n"),
        ("dos.txt", "AMF\r\nSMF\r\nUPF"),
    ],
)
def test_every_form_of_file_gives_the_same_answers(tmp_path: Path, name: str, content: str) -> None:
    assert read_answers(saved(tmp_path / name, content), ITEMS).texts == GIVEN
    packed = saved(tmp_path / f"{name}.gz", gzip.compress(content.encode()))
    assert read_answers(packed, ITEMS).texts == GIVEN


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl.gz", b"no gzip at all", "not a readable .gz file"),
        ("a.csv.gz", gzip.compress(b"id,prediction\n" * 99, mtime=0)[:-9], "the packed file is truncated"),
        ("a.gz", gzip.compress(b"id", mtime=0), "the ending '.gz' is none of those of answers"),
        ("a.xlsx.gz", gzip.compress(b"id", mtime=0), "the ending '.xlsx.gz' is none of those of answers"),
        ("a.tsv", "id\tprediction\nq0\n", "line 2"),
    ],
)
def test_a_packed_or_parted_file_that_is_none_is_one_line(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_answers(saved(tmp_path / name, content), ITEMS)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet_gives_the_same_answers(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(records({**GIVEN})), tmp_path / "a.parquet")
    assert read_answers(tmp_path / "a.parquet", ITEMS).texts == GIVEN


def test_numbers_are_ids_too(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jsonl", '{"id": 1, "prediction": "a"}\n{"id": 2.0, "prediction": "b"}\n')
    assert read_answers(path, ("1", "2")).texts == {"1": "a", "2": "b"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", "", "the file is empty"),
        ("a.jsonl", '{"id": "q0", "prediction": "x"}\n{"id": "q1", "pre', "line 2: the JSON is truncated"),
        ("a.jsonl", '{"prediction": "x"}', "no field with an id (id, item_id, question_id, doc_id)"),
        ("a.jsonl", '{"id": "q0", "wrong": 1}', "no field with an answer (prediction, "),
        ("a.jsonl", '{"id": "z", "prediction": "x"}', "no answer's id is the id of an item (first answer 'z'"),
        ("a.jsonl", '{"id": "q0", "prediction": "x"}\n' * 2, "line 2: id 'q0' occurs twice"),
        ("a.jsonl", '{"id": "q0", "prediction": null}', "every answer to an item of the data is null"),
        ("a.jsonl", '{"id": "q0", "prediction": 5}', "must be text or null, this is a number"),
        ("a.jsonl", '{"id": "q0", "prediction": ["a"]}', "must be text or null, this is a list"),
        ("a.jsonl", '{"id": null, "prediction": "a"}', "'id' must be the id of an item, this is a null"),
        ("a.jsonl", '{"id": true, "prediction": "a"}', "'id' must be the id of an item, this is a boolean"),
        ("a.jsonl", '{"id": " ", "prediction": "a"}', "'id' is empty"),
        (
            "a.jsonl",
            '{"id": "q0", "prediction": "a"}\n{"id": "q1", "text": "b"}',
            "line 2: field 'prediction' is missing",
        ),
        ("a.jsonl", "[1]", "an object is expected, this is a list"),
        ("a.jsonl", "[" * 50_000, "nested too deeply"),
        ("a.jsonl", b'{"id": "q0", "prediction": "\xe9"}', "byte 0xe9 at offset 28 is not UTF-8"),
        ("a.jsonl", '{"id": 1}'.encode("utf-16"), "the file is UTF-16"),
        ("a.json", "5", "not a number"),
        ("a.json", "[5]", "element 1: an object is expected"),
        ("a.json", "[{", "the JSON is truncated"),
        ("a.json", "[]", "holds no answers"),
        ("a.csv", "id,prediction\n", "holds no answers"),
        ("a.csv", "id,prediction\nq0,a,b\n", "line 2: 3 fields where the header has 2"),
        ("a.csv", 'id,prediction\nq0,"a\n', "ends inside a quoted field"),
        ("a.parquet", b"PAR1xxxx", "not a readable parquet file"),
        ("a.txt", "AMF\nSMF\n", "lines: 2, items of the data: 3"),
        ("a.txt", "AMF\nSMF\nUPF\nNRF\n", "lines: 4, items of the data: 3"),
        (
            "a.xlsx",
            "PK",
            "the ending '.xlsx' is none of those of answers: .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .txt",
        ),
        ("a", "x", "the ending '' is none"),
    ],
)
def test_a_fault_is_one_line_with_file_and_place(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    path = saved(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        read_answers(path, ITEMS)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_csv_may_hold_nul(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.csv", 'id,prediction\nq0,"A\0MF"\n')
    assert read_answers(path, ITEMS).texts == {"q0": "AMF"}


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jsonl", r'{"id": "q0", "prediction": "\ud800 x \ud83d\ude00"}')
    assert read_answers(path, ITEMS).texts == {"q0": "\ufffd x \U0001f600"}


def test_a_line_separator_inside_a_line_of_text_does_not_end_it(tmp_path: Path) -> None:
    assert len(read_answers(saved(tmp_path / "a.txt", "A\u2028MF\nSMF\x0cx\n\n"), ITEMS).texts) == 3


def test_a_null_or_absent_answer_is_an_error_of_its_item_alone(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.json", json.dumps({"q0": "AMF", "q1": None}))
    engine = open_engine(EngineSettings(answers=path, item_ids=ITEMS, missing_cap=1))
    requests = [Request(f"key-{item_id}", item_id, ()) for item_id in ITEMS]
    completions = {each.key: each for each in engine.generate(requests, Sampling())}
    assert completions["key-q0"].text == "AMF"
    assert (completions["key-q1"].finish_reason, completions["key-q1"].error) == ("error", "the file's answer is null")
    assert completions["key-q2"].error == "the file has no answer"


def test_a_resumed_run_asks_for_the_rest_only(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.txt", "AMF\nSMF\nUPF\n")
    engine = open_engine(EngineSettings(answers=path, item_ids=ITEMS))
    assert [each.text for each in engine.generate([Request("k", "q2", ())], Sampling())] == ["UPF"]


def test_the_identity_is_the_content(tmp_path: Path) -> None:
    one, two = (describe(EngineSettings(answers=saved(tmp_path / name, "AMF\n"))) for name in ("a.txt", "b.txt"))
    other = describe(EngineSettings(answers=saved(tmp_path / "c.txt", "SMF\n")))
    assert one == two != other


@pytest.mark.parametrize("name", ["none.jsonl", ".", "x\0y"])
def test_what_is_no_file_is_one_line(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no such file|a folder"):
        describe(EngineSettings(answers=Path(name)))


def test_a_file_that_leaves_out_more_items_than_allowed_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.json", json.dumps({"q0": "AMF", "q2": None}))
    with pytest.raises(InputError, match=r"2 of 3 items have no answer \(the first: 'q1'\), more than 5%"):
        open_engine(EngineSettings(answers=path, item_ids=ITEMS))
    assert read_answers(path, ITEMS, missing_cap=0.7).texts == {"q0": "AMF", "q2": None}
    many = tuple(f"q{n}" for n in range(20))
    twenty = saved(tmp_path / "b.json", json.dumps(dict.fromkeys(many[1:], "x")))
    assert len(read_answers(twenty, many, missing_cap=0.05).texts) == 19
    with pytest.raises(InputError, match="1 of 20"):
        read_answers(twenty, many, missing_cap=0.04)


def test_answers_to_no_item_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.json", json.dumps({**GIVEN, "z1": "x", "z2": "y"}))
    assert tuple(read_answers(path, ITEMS).strangers) == ("z1", "z2")
    assert read_answers(saved(tmp_path / "b.json", json.dumps(GIVEN)), ITEMS).strangers[:] == ()


def test_the_files_own_names_of_id_and_answer_are_taken(tmp_path: Path) -> None:
    rows = [{"key": 1, "id": "other", "model_outputs": "AMF", "answer": "B"}]
    path = saved(tmp_path / "a.json", json.dumps(rows))
    found = read_answers(path, ("1",), fields={"id": "key", "prediction": "model_outputs"})
    assert found.texts == {"1": "AMF"}
    with pytest.raises(InputError, match=r"no field with an answer \(outputs\).*--map prediction=FIELD"):
        read_answers(path, ("1",), fields={"id": "key", "prediction": "outputs"})


def test_the_order_shown_and_the_trace_come_with_the_answer(tmp_path: Path) -> None:
    rows = [
        {"id": "q0", "prediction": "A", "shown_choices": [2, 0, 1], "reasoning": "since"},
        {"id": "q1", "prediction": "B"},
    ]
    engine = open_engine(EngineSettings(answers=saved(tmp_path / "a.json", json.dumps(rows)), item_ids=("q0", "q1")))
    assert engine.answers.shown == {"q0": (2, 0, 1)}
    requests = [Request(item_id, item_id, ()) for item_id in ("q0", "q1")]
    assert [each.reasoning for each in engine.generate(requests, Sampling())] == ["since", None]
    table = saved(tmp_path / "a.csv", 'id,prediction,shown_choices\nq0,A,"[1, 0]"\n')
    assert read_answers(table, ("q0",)).shown == {"q0": (1, 0)}


@pytest.mark.parametrize("shown", [[0, 0], [1, 2], "AB", [True, 0], {"A": 0}])
def test_an_order_that_is_none_is_refused_with_its_place(tmp_path: Path, shown: object) -> None:
    path = saved(tmp_path / "a.json", json.dumps([{"id": "q0", "prediction": "A", "shown_choices": shown}]))
    with pytest.raises(InputError, match="element 1"):
        read_answers(path, ("q0",))
