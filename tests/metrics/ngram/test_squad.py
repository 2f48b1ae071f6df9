"""Exact match and token F1 against hand-worked values of the SQuAD v1.1 rules."""

from __future__ import annotations

import pytest

from telbench.metrics.contract import Metric, Sample
from telbench.metrics.ngram.squad import exact_match, normalised, token_f1


def value(metric: Metric, prediction: str, *references: str) -> float | None:
    return metric.score([Sample("x", prediction, references)])[0].value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The gNB.", "gnb"),
        ("  a  UE,\tan\nAMF ", "ue amf"),
        ("x-y", "xy"),
        ("theatre and another", "theatre and another"),
        ("the-end", "theend"),  # punctuation goes before articles are looked for
        ("1,000 m/s", "1000 ms"),
        ("“NR”", "“nr”"),  # only ASCII punctuation is removed
        ("!?", ""),
        ("", ""),
    ],
)
def test_normalisation_follows_squad(text: str, expected: str) -> None:
    assert normalised(text) == expected


def test_exact_match_takes_any_reference() -> None:
    assert value(exact_match, "The UPF", "AMF", "upf.") == 1.0
    assert value(exact_match, "The UPF", "AMF", "upfs") == 0.0


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("the session management function", "session management", 2 * (2 / 3) * 1 / (2 / 3 + 1)),
        ("a b b c", "b b b", 2 * (2 / 3) * (2 / 3) / (4 / 3)),  # "a" is an article
        ("AMF", "UPF", 0.0),
        ("UPF!", "the upf", 1.0),
        ("", "UPF", 0.0),
        ("UPF", "", 0.0),
        ("the", "UPF", 0.0),
    ],
)
def test_token_f1_is_the_harmonic_mean_over_the_bag_of_tokens(prediction: str, reference: str, expected: float) -> None:
    assert value(token_f1, prediction, reference) == pytest.approx(expected, abs=1e-15)


def test_token_f1_takes_the_best_reference() -> None:
    assert value(token_f1, "radio link failure", "link", "radio link", "x") == pytest.approx(0.8)


def test_two_texts_that_normalise_to_nothing_agree() -> None:
    assert value(token_f1, "The!", "...") == 1.0
    assert value(exact_match, "The!", "...") == 1.0


def test_a_sample_without_references_is_missing() -> None:
    (score,) = token_f1.score([Sample("x", "UPF")])
    assert (score.value, score.reason) == (None, "no reference")
