"""Tables in answers: what is read, and which cells agree with a reference table's."""

from __future__ import annotations

import time

import pytest

from telbench.metrics.contract import Sample
from telbench.metrics.parsed.tables import NO_TABLE, NO_TABLE_IN_REFERENCE, cells_of, table_f1, table_in, table_match

BANDS = "| Band | Uplink (MHz) | Duplex |\n|------|:---:|---|\n| n1 | 1,920 | FDD |\n| n78 | 3300 | TDD |\n"


def both(prediction: str, reference: str = BANDS) -> tuple[float | None, float | None]:
    sample = Sample("a", prediction, (reference,))
    return table_match.score([sample])[0].value, table_f1.score([sample])[0].value


@pytest.mark.parametrize(
    "answer",
    [
        BANDS,
        f"As asked:\n\n{BANDS}\nn78 is TDD.",
        "Band | Uplink (MHz) | Duplex\n--- | --- | ---\nn1 | 1920 | FDD\nn78 | 3300.0 | tdd",
        "| Duplex | Band | Uplink (MHz) |\n|-|-|-|\n",
        "```csv\nBand,Uplink (MHz),Duplex\nn78,3300,TDD\nn1,1920,FDD\n```",
        "Band\tUplink (MHz)\tDuplex\nn1\t1920\tFDD\nn78\t3300\tTDD",
        "| **Band** | Uplink (MHz) | Duplex |\n| --- | --- | --- |\n| `n78` | 3300 | TDD |\n| n1 | 1920 | *FDD* |",
    ],
)
def test_the_same_cells_in_any_writing_are_a_match(answer: str) -> None:
    assert both(answer) == ((1, 1) if "3300" in answer else (0, 0))


def test_values_by_hand() -> None:
    # Six cells each; one value wrong: five agree.
    assert both(BANDS.replace("3300", "3400")) == (0, 5 / 6)
    # A row left out: three of three and six.
    assert both(BANDS.replace("| n78 | 3300 | TDD |\n", "")) == (0, 6 / 9)
    # Right values under the wrong names: only the names of rows are left.
    assert both(BANDS.replace("Uplink (MHz)", "x").replace("Duplex", "y")) == (0, 2 / 6)


def test_columns_may_stand_in_another_order_after_the_first() -> None:
    turned = "| Band | Duplex | Uplink (MHz) |\n|---|---|---|\n| n78 | TDD | 3300 |\n| n1 | FDD | 1920 |"
    assert both(turned) == (1, 1)


def test_rows_of_one_name_count_as_often_as_they_stand_there() -> None:
    reference = "|a|b|\n|---|---|\n|x|1|\n|x|1|"
    assert both("|a|b|\n|---|---|\n|x|1|", reference) == (0, 2 * 2 / 6)


def test_a_bar_inside_a_cell_parts_nothing() -> None:
    assert table_in("| a | b |\n|---|---|\n| x \\| y | 1 |") == [["a", "b"], ["x | y", "1"]]


@pytest.mark.parametrize("answer", ["", "n1 is FDD, n78 is TDD", "| Band |", "a | b", "- n1\n- n78", "|---|---|"])
def test_an_answer_without_a_table_has_0_and_is_counted(answer: str) -> None:
    (score,) = table_f1.score([Sample("a", answer, (BANDS,))])
    assert (score.value, score.reason) == (0.0, NO_TABLE)


def test_a_reference_that_is_no_table_has_no_score() -> None:
    (score,) = table_f1.score([Sample("a", BANDS, ("FDD",))])
    assert (score.value, score.reason) == (None, NO_TABLE_IN_REFERENCE)


@pytest.mark.parametrize(
    "text",
    ["|" * 90_000, "|a" * 40_000, "|a|\n" * 20_000, "a,b\n" * 20_000, '"' * 90_000, "|-" * 40_000, "| --- " * 15_000],
)
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    table_f1.score([Sample("a", text, (BANDS,))])
    assert time.process_time() - started < 20


def test_lines_of_other_lengths_are_no_table() -> None:
    assert table_in("a,b\n1,2,3") is None
    assert table_in("Hello, all,\nthe bands are n1, n78 and n79, I think") is None


def test_tables_with_the_same_cells_say_the_same() -> None:
    says = table_match.says
    assert says is not None
    turned = "| Band | Duplex | Uplink (MHz) |\n|---|---|---|\n| n78 | TDD | 3300 |\n| n1 | FDD | 1920 |"
    assert says(Sample("a", BANDS)) == says(Sample("a", turned))
    assert says(Sample("a", BANDS)) != says(Sample("a", BANDS.replace("FDD", "TDD")))
    assert says(Sample("a", "none")) is None
    # A part of a table is neither right nor wrong: there is nothing to vote on.
    assert table_f1.says is None


def test_a_table_without_a_rule_begins_and_ends_with_bars() -> None:
    assert table_in("|a|b|\n|1|2|") == [["a", "b"], ["1", "2"]]
    assert table_in("a | b\n1 | 2") is None


def test_a_table_of_one_column_has_no_names_of_rows() -> None:
    assert cells_of([["Band"], ["n1"], ["n78"]]) == {("", "band", "n1"): 1, ("", "band", "n78"): 1}
    assert cells_of([["a", "b"], ["x", "1"]]) == {("x", "a", "x"): 1, ("x", "b", "1"): 1}
