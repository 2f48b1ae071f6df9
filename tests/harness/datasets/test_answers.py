"""What an answer names: letters, names, numbers and texts, and what the other answers of a file decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.datasets.loading import WholeSet, load_whole
from telbench.harness.datasets.settings import DataSettings

TEXTS = ["AMF", "SMF", "UPF", "PCF"]


def loaded(folder: Path, *rows: tuple[list[str], Any], **arguments: Any) -> WholeSet:
    """A file of these options and answers."""
    path = folder / "a.jsonl"
    records = [{"question": f"Q{n}?", "choices": texts, "answer": answer} for n, (texts, answer) in enumerate(rows)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return load_whole(DataSettings(str(path), **arguments))


def indices(folder: Path, *rows: tuple[list[str], Any]) -> list[tuple[int, ...]]:
    return [item.answer for item in loaded(folder, *rows).items]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("(B)", (1,)),
        ("B.", (1,)),
        ("b)", (1,)),
        ("[B]", (1,)),
        ("**B**", (1,)),
        ("Option B", (1,)),
        ("option_b", (1,)),
        ("option 2", (1,)),
        ("Option 2  \n•", (1,)),
        ("choice4", (3,)),
        ("The correct answer is: C", (2,)),
        ("UPF", (2,)),
        (" upf. ", (2,)),
        ("B) SMF", (1,)),
        ("(b) smf", (1,)),
        ("option 2: SMF", (1,)),
        ("B) SMF - **", (1,)),
        ("B) SMF\n\n---", (1,)),
        ("A;C", (0, 2)),
        ("C, A", (0, 2)),
        ("A|C", (0, 2)),
        ("A and C", (0, 2)),
        ("(A), (C)", (0, 2)),
        ("Option 1, Option 3", (0, 2)),
        ("ACD", (0, 2, 3)),
        ("['A', 'C']", (0, 2)),
        ("['A' 'C']", (0, 2)),
        ('["A", "C"]', (0, 2)),
        (["AMF", "UPF"], (0, 2)),
        ("AMF; UPF", (0, 2)),
        (["Option 4", "Option 2"], (1, 3)),
    ],
)
def test_answers_as_people_write_them(answer: Any, expected: tuple[int, ...], tmp_path: Path) -> None:
    assert indices(tmp_path, (TEXTS, answer)) == [expected]


@pytest.mark.parametrize(
    "answer",
    [
        "E",
        "Option 5",
        "option 0",
        "C) SMF",
        "option 3: SMF",
        "AE",
        "AA",
        "A, E",
        "New Radio",
        "A, New Radio",
        "-1",
        "?",
        {"a": 1},
    ],
)
def test_answers_that_name_no_option_are_refused_with_their_place(answer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: answer .* is no letter, number or text of one of the 4"):
        loaded(tmp_path, (TEXTS, "A"), (TEXTS, answer))


def test_a_text_is_compared_as_written_first(tmp_path: Path) -> None:
    assert indices(tmp_path, (["BB bb", "bb BB"], "bb BB"), (["≥ 3", "≤ 3"], "≤ 3")) == [(1,), (1,)]


def test_letters_joined_are_labels_only_where_no_option_reads_so(tmp_path: Path) -> None:
    assert indices(tmp_path, (["BC", "ABD", "x", "y"], "ABD")) == [(1,)]
    assert indices(tmp_path, (["BC", "z", "x", "y"], "ABD")) == [(0, 1, 3)]


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_numbers_count_from_1_where_one_is_that_of_the_options_and_none_is_0(tmp_path: Path) -> None:
    whole = loaded(tmp_path, (TEXTS, "4"), (TEXTS, 1), (TEXTS, [2, 3]))
    assert [item.answer for item in whole.items] == [(3,), (0,), (1, 2)]
    assert [item.references for item in whole.items] == [("PCF",), ("AMF",), ("SMF", "UPF")]
    assert whole.repaired == {"answers that are numbers count from 1": 3}


def test_numbers_count_from_0_where_one_is_0(tmp_path: Path) -> None:
    whole = loaded(tmp_path, (TEXTS, "3"), (TEXTS, 0))
    assert [item.answer for item in whole.items] == [(3,), (0,)]
    assert not whole.repaired
    assert not whole.warnings


def test_whole_numbers_may_be_written_as_pandas_does(tmp_path: Path) -> None:
    assert indices(tmp_path, (TEXTS, "3.0"), (TEXTS, "0.0")) == [(3,), (0,)]
    assert indices(tmp_path, (["1.0", "2.0", "4.0"], "2.0")) == [(1,)]


def test_0_and_the_number_of_options_in_one_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: answer 4 counts the 4 choices from 1, but the answer 0 of .*line 2"):
        loaded(tmp_path, (TEXTS, "4"), (TEXTS, "0"))


def test_numbers_that_could_count_from_either_count_from_0_and_it_is_said(tmp_path: Path) -> None:
    whole = loaded(tmp_path, (TEXTS, 1), (TEXTS, 3))
    assert [item.answer for item in whole.items] == [(1,), (3,)]
    (warning,) = whole.warnings
    assert "count from 0, though none of them is 0" in warning


def test_ids_made_of_content_know_the_answer_that_was_decided_late(tmp_path: Path) -> None:
    lone = loaded(tmp_path, (TEXTS, "D")).items[0]
    assert loaded(tmp_path, (TEXTS, "4")).items[0].id == lone.id


def test_numbers_beyond_the_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2: answer 7 \(counted from 0\) is none of the 4 choices"):
        loaded(tmp_path, (TEXTS, "0"), (TEXTS, "7"))
    with pytest.raises(InputError, match=r"line 2: answer 7 \(counted from 1\) is none of the 4 choices"):
        loaded(tmp_path, (TEXTS, "4"), (TEXTS, "7"))
    with pytest.raises(InputError, match="line 1: answer -1"):
        loaded(tmp_path, (TEXTS, -1))


def test_labels_within_the_options_say_what_numbers_count_from(tmp_path: Path) -> None:
    labelled = ["1. x", "2. y", "3. z"]
    assert indices(tmp_path, (labelled, "2"), (labelled, "1")) == [(1,), (0,)]
    # A zero cannot be one of these labels: the file counts from 0 as documented.
    assert indices(tmp_path, (labelled, "2"), (labelled, "0")) == [(2,), (0,)]


# --- numbers and letters that are texts -------------------------------------------------------------------------------


def test_a_number_is_a_text_where_the_other_answers_can_only_be_texts(tmp_path: Path) -> None:
    rows = ((["4", "8", "32", "128"], "4"), (["10", "20", "30", "40"], "20"))
    assert indices(tmp_path, *rows) == [(0,), (1,)]
    assert indices(tmp_path, (["1", "2", "4", "8"], "2"), (TEXTS, "UPF")) == [(1,), (2,)]


def test_a_number_is_a_number_where_the_other_answers_can_only_be_labels(tmp_path: Path) -> None:
    assert indices(tmp_path, (["1", "2", "4", "8"], "2"), (TEXTS, "0")) == [(2,), (0,)]
    assert indices(tmp_path, (["B", "A", "x"], "A"), (TEXTS, "C")) == [(0,), (2,)]


@pytest.mark.parametrize("others", [(), ((TEXTS, "UPF"), (TEXTS, "0"))])
def test_a_number_that_is_a_text_is_refused_where_nothing_or_both_decide(others: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: answer '2' is the text of one option and the label of another"):
        loaded(tmp_path, (["1", "2", "4", "8"], "2"), *others)


def test_a_number_that_is_label_and_text_of_one_option_is_clear(tmp_path: Path) -> None:
    options = ["1", "2", "3", "4"]
    assert indices(tmp_path, (options, "4"), (options, "1")) == [(3,), (0,)]


def test_numbers_in_json_are_numbers_and_texts_only_beyond_the_options(tmp_path: Path) -> None:
    assert indices(tmp_path, (["1", "2", "4", "8"], 2), (TEXTS, 0)) == [(2,), (0,)]
    assert indices(tmp_path, (["10", "20", "30"], 20)) == [(1,)]


def test_an_answer_in_doubt_of_a_row_that_is_left_out_changes_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        {"question": "A?", "choices": TEXTS, "answer": 3, "meta": [1]},
        {"question": "B?", "choices": TEXTS, "answer": "A"},
        {"question": "C?", "choices": TEXTS, "answer": 4},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    whole = load_whole(DataSettings(str(path), skip_bad=True))
    assert [(item.question, item.answer) for item in whole.items] == [("B?", (0,)), ("C?", (3,))]
