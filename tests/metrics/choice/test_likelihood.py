"""The choice that the checkpoint finds most likely."""

from __future__ import annotations

import math

import pytest

from telbench.metrics.choice.likelihood import MULTI_SELECT, choice_letter_likelihood, choice_likelihood
from telbench.metrics.contract import Sample


def likelihood(
    scores: tuple[float, ...] | None, answer: tuple[int, ...] = (1,), choices: tuple[str, ...] = ("ab", "é")
):
    (score,) = choice_likelihood.score([Sample("x", "", choices=choices, answer=answer, option_scores=scores)])
    return score


def test_likelihood_is_taken_a_byte_not_a_character() -> None:
    # Both texts have two bytes in UTF-8; a character, the second would be less likely.
    assert likelihood((-1.0, -0.9)).value == 1.0
    assert likelihood((-0.9, -1.0)).value == 0.0


def test_a_longer_choice_is_not_less_likely_for_its_length() -> None:
    # -4 over 16 bytes is likelier a byte than -2 over 4; summed, the shorter one would win.
    choices = ("slow", "much slower NR!!")
    assert likelihood((-2.0, -4.0), answer=(1,), choices=choices).value == 1.0
    assert likelihood((-0.9, -4.0), answer=(0,), choices=choices).value == 1.0


def test_a_choice_of_one_byte_is_divided_by_one() -> None:
    assert likelihood((-1.0, -1.5), answer=(1,), choices=("a", "bc")).value == 1.0


def test_likelihood_of_equal_choices_is_the_first() -> None:
    assert likelihood((-1.0, -1.0), answer=(0,)).value == 1.0


@pytest.mark.parametrize(
    ("scores", "answer", "reason"),
    [
        (None, (1,), "no option likelihoods from this engine"),
        ((-1.0, -2.0), (0, 1), MULTI_SELECT),
        ((-1.0,), (0,), "not one likelihood for each choice"),
        ((math.nan, -2.0), (1,), "a likelihood is not a number"),
    ],
)
def test_likelihood_that_cannot_be_had_is_missing_with_its_reason(
    scores: tuple[float, ...] | None, answer: tuple[int, ...], reason: str
) -> None:
    score = likelihood(scores, answer)
    assert (score.value, score.reason) == (None, reason)


def test_an_impossible_choice_loses_and_an_empty_one_does_not_crash() -> None:
    assert likelihood((-math.inf, -3.0)).value == 1.0
    assert likelihood((-1.0, -3.0), choices=("", "x")).value == 0.0


@pytest.mark.parametrize(
    ("scores", "answer", "value"),
    [((-1.0, -0.5, -2.0), (1,), 1.0), ((-0.1, -0.5, -2.0), (1,), 0.0), ((-1.0, -1.0, -2.0), (0,), 1.0)],
)
def test_the_likeliest_label_counts_whatever_the_length_of_its_text(
    scores: tuple[float, ...], answer: tuple[int, ...], value: float
) -> None:
    choices = ("a", "a very long text of an option", "b")
    sample = Sample("x", "", choices=choices, answer=answer, letter_scores=scores)
    assert choice_letter_likelihood.score([sample])[0].value == value


def test_without_label_likelihoods_there_is_no_value() -> None:
    sample = Sample("x", "", choices=("a", "b"), answer=(0,), option_scores=(-1.0, -2.0))
    (score,) = choice_letter_likelihood.score([sample])
    assert (score.value, score.reason) == (None, "no label likelihoods from this engine")
    assert choice_letter_likelihood.signature == "choice_letter_likelihood|prompt:options-listed|ties:first|v1"
