"""Words of technical text, and what an answer holds of its reference, against values by hand."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telbench.metrics.contract import Metric, Sample, metrics_named
from telbench.metrics.ngram.inclusion import (
    reference_included,
    technical_f1,
    technical_match,
    token_precision,
    token_recall,
)
from telbench.metrics.ngram.squad import exact_match
from telbench.metrics.ngram.technical import technical_words


def value(metric: Metric, prediction: str, *references: str) -> float:
    found = metric.score([Sample("x", prediction, references)])[0].value
    assert found is not None
    return found


# What SQuAD's normalisation makes equal, though it says something else.
DIFFERENT = [
    (">10 ms", "<10 ms"),
    ("-90 dBm", "90 dBm"),
    ("\u221290 dBm", "90 dBm"),
    ("3.14", "314"),
    ("10^-5", "105"),
    ("10⁻⁵", "105"),
    ("≥ 5", "≤ 5"),
    ("", "A"),
    ("38.331", "38331"),
    ("5-10 ms", "510 ms"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_says_something_else_does_not_match(one: str, other: str) -> None:
    assert value(technical_match, one, other) == 0.0
    assert value(reference_included, one, other) == 0.0


@pytest.mark.parametrize(("one", "other"), [case for case in DIFFERENT if not set("≥≤⁻\u2212") & set(case[0])])
def test_exact_match_takes_them_for_equal(one: str, other: str) -> None:
    assert value(exact_match, one, other) == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10ms", "10 ms"),
        ("10 µs", "10 μs"),  # micro sign and Greek letter
        ("10^-5", "1e-5"),
        ("10⁻⁵", "10^-5"),
        ("-90 dBm", "\u221290dBm"),
        (">= 5", "≥5"),
        ("1,000 m/s", "1000 m/s"),
        ("The AMF’s role.", "AMF role"),
        ("+3 dB", "3 dB"),
        ("５Ｇ", "5g"),
        ("uplink/downlink", "uplink-downlink"),
    ],
)
def test_spellings_of_the_same_match(one: str, other: str) -> None:
    assert value(technical_match, one, other) == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A range of 5-10 ms", ["range", "of", "5", "10", "ms"]),
        ("from -5 to -3 dB", ["from", "-5", "to", "-3", "db"]),
        ("SINR(-3)", ["sinr", "-3"]),
        ("TS 23.501 v17.2.0", ["ts", "23.501", "v17.2.0"]),
        ("1,2 and 1,234,567", ["1", "2", "and", "1234567"]),
        ("n78, F1-C, 0x8100", ["n78", "f1", "c", "0x8100"]),
        ("±2.5%", ["±", "2.5", "%"]),
        ("由AMF负责", ["由", "amf", "负", "责"]),
        ("\x00😀", []),
        ("A", ["a"]),
        ("A UE", ["ue"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert technical_words(text) == words


def test_a_right_answer_in_a_sentence_has_full_recall_and_little_precision() -> None:
    answer, reference = "It is the AMF that terminates NAS signalling.", "the AMF"
    assert value(token_recall, answer, reference) == 1.0
    assert value(token_precision, answer, reference) == 1 / 7
    assert value(technical_f1, answer, reference) == pytest.approx(2 / 8)
    assert value(reference_included, answer, reference) == 1.0


def test_a_token_counts_as_often_as_both_have_it() -> None:
    assert value(token_recall, "1 1 2", "1 2 2") == 2 / 3
    assert value(token_precision, "1 1 2 5", "1 2 2") == 2 / 4


def test_the_best_reference_counts() -> None:
    assert value(token_recall, "AMF", "AMF and SMF", "AMF") == 1.0
    assert value(reference_included, "by the UPF", "AMF", "UPF") == 1.0
    assert value(technical_match, "UPF.", "AMF", "the UPF") == 1.0


@pytest.mark.parametrize("metric", [token_recall, token_precision, technical_f1, reference_included, technical_match])
def test_texts_without_words_match_only_each_other(metric: Metric) -> None:
    assert value(metric, "", "AMF") == 0.0
    assert value(metric, "?!", "…") == 1.0
    assert value(metric, "AMF", "?!") == 0.0


def test_a_reference_is_included_as_whole_words_in_a_row() -> None:
    assert value(reference_included, "within 110 ms", "10 ms") == 0.0
    assert value(reference_included, "10 or 20 ms", "10 ms") == 0.0
    assert value(reference_included, "after 10 ms at most", "10 ms") == 1.0


WORDS = st.lists(st.sampled_from(["amf", "smf", "10", "-10", "3.5", "ms", "≥", "upf"]), max_size=8)


@given(WORDS, WORDS)
def test_f1_is_the_harmonic_mean_and_inclusion_has_full_recall(said: list[str], wanted: list[str]) -> None:
    answer, reference = " ".join(said), " ".join(wanted)
    recall, precision = value(token_recall, answer, reference), value(token_precision, answer, reference)
    common = (Counter(said) & Counter(wanted)).total()
    if said and wanted:
        assert (recall, precision) == (common / len(wanted), common / len(said))
    mean = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
    assert value(technical_f1, answer, reference) == pytest.approx(mean)
    if wanted and value(reference_included, answer, reference):
        assert recall == 1.0


def test_a_long_answer_of_digits_and_signs_takes_linear_time() -> None:
    def seconds(text: str) -> float:
        start = time.process_time()
        technical_words(text)
        return time.process_time() - start

    for piece in ("1,", "1,111", "-+", "a'", "9" * 50 + "x", "<="):
        short, long = (min(seconds(piece * count) for _ in range(3)) for count in (2_000, 20_000))
        assert long < 40 * short + 0.05


def test_they_are_found_by_name() -> None:
    names = ["token_recall", "token_precision", "technical_f1", "technical_match", "reference_included"]
    assert [metric.signature for metric in metrics_named(names)] == [f"{name}|norm:technical|v1" for name in names]
