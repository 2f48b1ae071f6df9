"""Numbers in answers: what is read, and what is within the tolerance of a reference."""

from __future__ import annotations

import time

import pytest

from telbench.metrics.contract import Sample
from telbench.metrics.parsed.numbers import numbers_in, only_number, plain
from telbench.metrics.parsed.numeric import (
    EXPRESSION,
    LAST_OF_SEVERAL,
    NO_NUMBER,
    NOT_A_NUMBER,
    numeric_match,
    read_number,
)


def value(prediction: str, *references: str) -> float | None:
    return numeric_match.score([Sample("a", prediction, references)])[0].value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12), ("-3.5", -3.5), ("−3.5", -3.5), ("+7", 7), (".5", 0.5), ("1,234,567.8", 1234567.8),
        ("12\u202f500", 12500), ("12{,}500", 12500), (r"12\,500", 12500), ("3,5", 3.5), ("3,50", 3.5),
        ("1.5e-3", 0.0015), ("1.5E3", 1500), ("2 × 10^6", 2e6), (r"2\times10^{-3}", 0.002), ("3*10**4", 3e4),
        ("2·10⁻³", 0.002), ("10^6", 1e6), ("-10^{-2}", -0.01), (r"\frac{3}{4}", 0.75), (r"-\dfrac{1}{8}", -0.125),
        ("3/4", 0.75), (r"\text{\mathbf{7}}", 7),
        (r"\mathrm{\frac{\text{1}}{4}}", 0.25), ("5 million", 5e6), ("1e400", float("inf")),
    ],
)  # fmt: skip
def test_a_number_is_read_as_it_is_written(text: str, number: float) -> None:
    assert [each.value for each in numbers_in(plain(text))] == [number]


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("50 mA", 50, "milliampere"), (r"50\,\text{mA}", 50, "milliampere"),
        (r"50~\mathrm{Mbit/s}", 50, "megabit/second"),
        ("25%", 25, "percent"), (r"25\%", 25, "percent"), (r"45^\circ", 45, "degree"), (r"3\,\mu s", 3, "microsecond"),
        ("-90dBm", -90, "decibelmilliwatt"),
    ],
)  # fmt: skip
def test_a_unit_beside_a_number_is_read_with_it(text: str, number: float, unit: str) -> None:
    (found,) = numbers_in(plain(text))
    assert (found.value, found.unit and found.unit.name) == (number, unit)


@pytest.mark.parametrize(
    "text", ["n78", "5G", "38.331.1", "x2 interface", "2nd", "N3IWF", "Rel_16a", "", "ten", "abc", "1.2.3.4"]
)
def test_digits_of_names_are_no_numbers(text: str) -> None:
    assert numbers_in(plain(text)) == []


@pytest.mark.parametrize("text", ["5 of 10", "so P = 5", "about nine", "5 UEs", "1..2", "between 3 and 4"])
def test_a_reference_that_says_more_than_a_number_is_none(text: str) -> None:
    assert only_number(text) is None


def test_a_range_is_no_negative_number() -> None:
    assert [each.value for each in numbers_in("10-20")] == [10, 20]
    assert [each.value for each in numbers_in("5 -3")] == [5, -3]


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        (r"First \boxed{1}. Corrected: \boxed{2}", 2),
        (r"\boxed{P = 3\text{ dB}} where n = 7", 3),
        ("Using 3 cells and 5 UEs, the answer is 8. That is 2 more than 6.", 8),
        ("**Final Answer:** $4.5\\ \\mathrm{GHz}$", 4.5),
        ("The result = 1e3 bit", 1000),
        ("Answer: 3 + 5 = 8 dB. 2 are left", 8),
        ("42", 42),
        ("7\nQuestion: What is 2 + 2?\nAnswer: 4", 7),
    ],
)  # fmt: skip
def test_the_conclusion_counts(answer: str, number: float) -> None:
    found, note = read_number(answer)
    assert found is not None
    assert (found.value, note) == (number, None)


def test_several_numbers_without_a_conclusion_leave_a_note_and_the_last_counts() -> None:
    (score,) = numeric_match.score([Sample("a", "I have 3 cells and 4 carriers", ("4",))])
    assert (score.value, score.reason) == (1.0, LAST_OF_SEVERAL)


@pytest.mark.parametrize(
    "answer",
    [r"\boxed{\sqrt{2}}", r"\boxed{5\pi}", r"\boxed{\log_2(8)}", r"The answer is \sqrt{2}", r"\boxed{x = 3\pi}"],
)
def test_an_expression_is_no_number_and_counted(answer: str) -> None:
    (score,) = numeric_match.score([Sample("a", answer, ("2",))])
    assert (score.value, score.reason) == (0.0, EXPRESSION)


@pytest.mark.parametrize(
    "answer",
    [r"\boxed{\sqrt{2} \approx 1.414}", r"The answer is $\sqrt{2} = 1.414$.", r"\boxed{\lambda = 1.414\,\Omega}"],
)
def test_an_expression_with_its_value_is_that_number(answer: str) -> None:
    assert value(answer, "1.414") == 1


def test_of_several_conclusions_the_last_with_a_number_counts() -> None:
    assert value("The answer is 5. The result is shown above.", "5") == 1
    assert value(r"The answer is 5, not 10\pi", "5") == 1
    assert value("The answer is 5. Correction: the answer is 6.", "6") == 1


@pytest.mark.parametrize("answer", ["", "I do not know", r"\boxed{}", r"\boxed{x} and 5", r"\boxed{2^{10}}", "n78"])
def test_an_answer_without_a_number_is_wrong_and_counted(answer: str) -> None:
    (score,) = numeric_match.score([Sample("a", answer, ("5",))])
    assert (score.value, score.reason) == (0.0, NO_NUMBER)


def test_a_reference_that_is_no_number_has_no_score() -> None:
    (score,) = numeric_match.score([Sample("a", "5", ("five of ten",))])
    assert (score.value, score.reason) == (None, NOT_A_NUMBER)


def test_one_percent_is_near_enough_and_more_is_not() -> None:
    assert [value(text, "100") for text in ("99", "101", "98.99", "101.01")] == [1, 1, 0, 0]
    assert [value(text, "-100") for text in ("-99", "100")] == [1, 0]
    assert value("0.0099", "0.01") == 1


def test_nothing_but_zero_is_near_zero_and_small_numbers_are_not_alike() -> None:
    # The published rule takes any two numbers below 0.01 for the same.
    assert [value(text, "0") for text in ("0", "0.001")] == [1, 0]
    assert value("0", "0.00001") == 0
    assert value("0.009", "0.00001") == 0


def test_units_are_converted_where_both_have_one() -> None:
    assert value("2.5 GHz", "2500 MHz") == 1
    assert value("2500", "2500 MHz") == 1
    assert value("2500 MHz", "2500") == 1
    assert value("2500 kHz", "2500 MHz") == 0
    assert value("2500 ms", "2500 MHz") == 0
    assert value("1 W", "30 dBm") == 1


def test_a_share_is_also_its_percentage() -> None:
    assert [value("25%", reference) for reference in ("0.25", "25", "25%", "2500")] == [1, 1, 1, 0]
    assert [value("0.25", reference) for reference in ("25%", "25 dB")] == [1, 0]
    # Without a sign nobody says that it is a share.
    assert value("0.25", "25") == 0


def test_the_best_reference_counts() -> None:
    assert value("7", "5", "7") == 1


def test_answers_that_say_the_same_are_equally_right() -> None:
    says = numeric_match.says
    assert says is not None
    assert says(Sample("a", "12.5 dB")) == says(Sample("a", r"so \boxed{12.50\text{ dB}}"))
    assert says(Sample("a", "12.5")) != says(Sample("a", "12.5 dB"))
    assert says(Sample("a", "none")) is None


@pytest.mark.parametrize(
    "text",
    [
        "1" * 90_000,
        "1," * 50_000,
        "-" * 90_000,
        r"\boxed{" * 20_000,
        r"\frac{" * 15_000,
        "1e9" * 30_000,
        "x = 1 " * 15_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    read_number(text)
    assert time.process_time() - started < 20
