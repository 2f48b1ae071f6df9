"""Which columns are read as what, and what is refused because it would be a guess."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.datasets.loading import WholeSet, load_whole
from telbench.harness.datasets.settings import DataSettings


def table(folder: Path, text: str, **arguments: Any) -> WholeSet:
    path = folder / "a.csv"
    path.write_text(text, "utf-8")
    return load_whole(DataSettings(str(path), **arguments))


@pytest.mark.parametrize(
    "header",
    [
        "question,A,B,C,D,answer",
        "question,a,b,c,d,answer",
        "Question,Option 1,Option 2,Option 3,Option 4,Answer",
        "question,Option A,Option B,Option C,Option D,answer",
        "question,option_a,option_b,option_c,option_d,correct_option",
        "question,optionA,optionB,optionC,optionD,answerKey",
        "question,choice1,choice2,choice3,choice4,correct_answer",
        "question,op1,op2,op3,op4,answer",
        "question,opa,opb,opc,opd,label",
        "question,option_0,option_1,option_2,option_3,answer",
    ],
)
def test_options_in_columns_of_their_own(header: str, tmp_path: Path) -> None:
    whole = table(tmp_path, f"{header}\nWhat is NR?,x,y,z,t,B\n")
    (item,) = whole.items
    assert (item.choices, item.answer, item.references) == (("x", "y", "z", "t"), (1,), ("y",))
    names = header.split(",")
    assert f"options taken from columns {', '.join(names[1:5])}" in whole.repaired
    assert not whole.unread


def test_option_columns_are_taken_by_label_and_not_by_place(tmp_path: Path) -> None:
    (item,) = table(tmp_path, "question,D,C,B,A,answer\nQ?,t,z,y,x,A\n").items
    assert (item.choices, item.answer) == (("x", "y", "z", "t"), (0,))


def test_ten_option_columns_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    header = ",".join(f"Option {n}" for n in (1, 10, 2, 3, 4, 5, 6, 7, 8, 9))
    (item,) = table(tmp_path, f"question,{header},answer\nQ?,a1,a10,a2,a3,a4,a5,a6,a7,a8,a9,Option 10\n").items
    assert item.choices == tuple(f"a{n}" for n in range(1, 11))
    assert item.references == ("a10",)


def test_names_of_option_columns_that_start_at_0_are_names(tmp_path: Path) -> None:
    (item,) = table(tmp_path, "question,ending0,ending1,answer\nQ?,x,y,ending1\n").items
    assert item.answer == (1,)


def test_numbers_in_option_columns_follow_the_file_and_not_the_names(tmp_path: Path) -> None:
    text = "question,choice1,choice2,label\nA?,x,y,0\nB?,x,y,1\n"
    assert [item.answer for item in table(tmp_path, text).items] == [(0,), (1,)]


def test_medmcqa_rows(tmp_path: Path) -> None:
    text = "id,question,opa,opb,opc,opd,cop,choice_type\n1,A?,x,y,z,t,2,single\n2,B?,x,y,z,t,0,multi\n"
    whole = table(tmp_path, text)
    assert [item.answer for item in whole.items] == [(2,), (0,)]
    assert whole.unread == ("choice_type",)


def test_gpqa_columns_put_the_correct_answer_first(tmp_path: Path) -> None:
    text = (
        "Pre-Revision Question,Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3\n"
        "p,Q?,B,w1,w2,w3\n"
    )
    whole = table(tmp_path, text)
    (item,) = whole.items
    assert (item.choices, item.answer, item.references) == (("B", "w1", "w2", "w3"), (0,), ("B",))
    assert whole.unread == ("Pre-Revision Question",)


@pytest.mark.parametrize("name", ["options", "Options", "endings"])
def test_lists_of_options_under_other_names(name: str, tmp_path: Path) -> None:
    whole = table(tmp_path, f"question,{name},label\nA?,\"['x', 'y', 'z']\",2\nB?,\"['x', 'y', 'z']\",0\n")
    assert [item.answer for item in whole.items] == [(2,), (0,)]
    assert f"options taken from column {name}" in whole.repaired
    assert "answers taken from column label" in whole.repaired


def test_empty_cells_at_the_end_are_fewer_options_and_a_gap_is_refused(tmp_path: Path) -> None:
    head = "question,A,B,C,D,answer\n"
    first, second = table(tmp_path, f"{head}A?,x,y,z,,C\nB?,x,y,z,t,D\n").items
    assert (first.choices, first.answer) == (("x", "y", "z"), (2,))
    assert second.choices == ("x", "y", "z", "t")
    with pytest.raises(InputError, match=r"line 2: 'choices' needs at least two texts, none of them empty.*place 2"):
        table(tmp_path, f"{head}A?,x,,z,t,C\n")


def test_rows_without_options_in_such_a_table_are_open_questions(tmp_path: Path) -> None:
    first, second = table(tmp_path, "question,A,B,answer\nA?,x,y,B\nB?,,,New Radio\n").items
    assert (first.choices, second.choices) == (("x", "y"), ())
    assert second.references == ("New Radio",)


def test_fields_in_another_spelling_are_taken_and_said(tmp_path: Path) -> None:
    whole = table(tmp_path, "Question,ANSWER,Source Document,Context\nA?,x,TS 1,c\n")
    (item,) = whole.items
    assert (item.question, item.references, item.source_document, item.context) == ("A?", ("x",), "TS 1", "c")
    assert list(whole.repaired) == ["fields taken from columns spelt Question, Context, ANSWER, Source Document"]


def test_the_exact_name_comes_before_another_spelling(tmp_path: Path) -> None:
    whole = table(tmp_path, "Question,question,answer\nno,A?,x\n")
    assert whole.items[0].question == "A?"
    assert whole.unread == ("Question",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Question,QUESTION,answer\nA?,B?,x\n",
            "'Question', 'QUESTION' could each be 'question'.*--map question=Question",
        ),
        ("question,A,B,C,D\nA?,x,y,z,t\n", "'A', 'B', 'C', 'D' look like options, but no column says.*--map answer="),
        (
            "question,A,B,answer\nA?,x,y,New Radio\n",
            r"line 2: answer 'New Radio' .*taken from A, B; .*references=answer",
        ),
        ("question,A,B,Option 1,Option 2,answer\nA?,x,y,z,t,A\n", r"could all be options.*--map choices=A\+B"),
        ("question,A,B,label,correct\nA?,x,y,A,B\n", "'label', 'correct' could each be the answer"),
        ("question,answer,ground_truth\nA?,x,y\n", "could each be the reference.*--map references=ground_truth"),
        ("instruction,input,output\nA?,,x\n", "--map question=instruction,references=output"),
        ("prompt,answer\nA?,x\n", "no field 'question'"),
    ],
)
def test_what_would_be_a_guess_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        table(tmp_path, text)
    assert "a.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_option_like_columns_beside_references_alone_stay_unread(tmp_path: Path) -> None:
    whole = table(tmp_path, "question,references,A,B\nA?,x,3,4\n")
    assert not whole.items[0].choices
    assert whole.unread == ("A", "B")


def test_references_by_map_make_open_questions_of_such_a_table(tmp_path: Path) -> None:
    text = "question,A,B,answer\nA?,x,y,New Radio\n"
    whole = table(tmp_path, text, mapping={"references": "answer"})
    assert (whole.items[0].choices, whole.items[0].references) == ((), ("New Radio",))


def test_references_in_a_column_answers(tmp_path: Path) -> None:
    whole = table(tmp_path, "question,answers\nA?,\"['x', 'y']\"\n")
    assert whole.items[0].references == ("x", "y")


def test_fields_of_later_rows_count_as_much_as_those_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        {"question": "A?", "A": "x", "B": "y", "answer": "A"},
        {"question": "B?", "A": "x", "B": "y", "C": "z", "answer": "C", "note": "n"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    whole = load_whole(DataSettings(str(path)))
    assert [item.choices for item in whole.items] == [("x", "y"), ("x", "y", "z")]
    assert whole.unread == ("note",)


# --- map -------------------------------------------------------------------------------------------------------------


def test_map_joins_columns_for_options_references_and_contexts(tmp_path: Path) -> None:
    text = "q,w,x,p1,p2,answer\nA?,left,right,one,two,B\n"
    mapping = {"question": "q", "choices": "w+x", "context": "p1+p2"}
    (item,) = table(tmp_path, text, mapping=mapping).items
    assert (item.choices, item.answer) == (("left", "right"), (1,))
    assert (item.context, item.passages) == ("one\n\ntwo", ("one", "two"))
    (item,) = table(tmp_path, "question,r1,r2\nA?,x,y\n", mapping={"references": "r1+r2"}).items
    assert item.references == ("x", "y")


def test_a_column_with_a_plus_in_its_name_is_one_column(tmp_path: Path) -> None:
    (item,) = table(tmp_path, "question,A+B\nA?,x\n", mapping={"references": "A+B"}).items
    assert item.references == ("x",)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"choices": "A+E"}, r"--map choices=A\+E: .* has no column 'E'"),
        ({"question": "question+A"}, r"'\+' joins columns for context, references, choices only"),
    ],
)
def test_a_join_that_cannot_be_is_refused(mapping: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        table(tmp_path, "question,A,B,answer\nA?,x,y,A\n", mapping=mapping)


def test_a_repeated_map_on_the_command_line_keeps_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("frage,antwort,A,B\nA?,B,x,y\n", "utf-8")
    words = ["data", "show", str(path), "--json"]
    assert main([*words, "--map", "question=frage", "--map", "choices=A+B", "--map", "answer=antwort"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["shown"]
    assert (shown["question"], shown["choices"], shown["answer"]) == ("A?", ["x", "y"], [1])
    assert main([*words, "--map", "question=frage", "--map", "question=A"]) == 2
    assert "'question' is given twice" in capsys.readouterr().err


def test_columns_that_stay_unread_are_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.csv"
    names = [f"extra{n}" for n in range(98)]
    path.write_text(f"question,answer,{','.join(names)}\n" + f"A?,x{',1' * 98}\n" * 2, "utf-8")
    for action, said in (("lint", "columns not read: extra0, "), ("show", "unread: extra0, ")):
        assert main(["data", action, str(path)]) == 0
        out = capsys.readouterr().out
        assert out.count(said) == 1
        assert "extra11 and 86 more" in out
    assert main(["data", "lint", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unread"] == names
