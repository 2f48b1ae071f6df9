"""Accuracy of named choices, and what of it depends on the reading."""

from __future__ import annotations

import pytest

from telbench.metrics.choice.accuracy import NO_CHOICE, by_reading, choice_accuracy, choice_by_text, choice_first
from telbench.metrics.choice.likelihood import choice_likelihood
from telbench.metrics.contract import Metric, Sample

CHOICES = ("Handover failure", "Random access", "Random access response", "Beam recovery")


def test_accuracy_of_multi_select_asks_for_the_exact_set() -> None:
    samples = [Sample("x", text, choices=CHOICES, answer=(1, 3)) for text in ("B and D", "D, B", "B", "A, B, D")]
    assert [score.value for score in choice_accuracy.score(samples)] == [1.0, 1.0, 0.0, 0.0]


def test_an_unparsable_answer_is_wrong_and_says_why() -> None:
    (score,) = choice_accuracy.score([Sample("x", "no idea", choices=CHOICES, answer=(1,))])
    assert (score.value, score.reason) == (0.0, NO_CHOICE)


def test_a_sample_without_choices_is_missing() -> None:
    (score,) = choice_accuracy.score([Sample("x", "B", references=("b",))])
    assert (score.value, score.reason) == (None, "no choices")


@pytest.mark.parametrize("metric", [choice_accuracy, choice_likelihood])
def test_both_are_shares_of_right_answers(metric: Metric) -> None:
    assert (metric.range, metric.higher_is_better, metric.level) == ((0, 1), True, "item")


def values(metric: Metric, *predictions: str, answer: tuple[int, ...] = (1,)) -> list[tuple[float | None, str | None]]:
    samples = [Sample("x", text, choices=CHOICES, answer=answer) for text in predictions]
    return [(score.value, score.reason) for score in metric.score(samples)]


def test_several_conclusions_are_scored_by_the_last_and_say_which_is_right() -> None:
    predictions = (
        "The answer is A.\nThe answer is B.",
        "The answer is B.\nThe answer is A.",
        "The answer is C.\nThe answer is A.",
        "The answer is B.\nThe answer is B.",
    )
    reasons = [f"several different conclusions, {which} is right" for which in ("the last", "the first", "neither")]
    assert values(choice_accuracy, *predictions) == list(zip([1.0, 0.0, 0.0, 1.0], [*reasons, None], strict=True))
    assert [value for value, _ in values(choice_first, *predictions)] == [0.0, 1.0, 0.0, 1.0]


def test_a_label_against_its_text_is_scored_by_the_label_and_says_which_is_right() -> None:
    predictions = ("B. Beam recovery", "D. Random access", "D. Handover failure")
    reasons = [
        f"the label contradicts the option text beside it, {which} is right"
        for which in ("the label", "the text", "neither")
    ]
    assert values(choice_accuracy, *predictions) == list(zip([1.0, 0.0, 0.0], reasons, strict=True))
    assert [value for value, _ in values(choice_by_text, *predictions)] == [0.0, 1.0, 0.0]


def test_accuracy_under_the_other_readings_follows_from_the_counted_reasons() -> None:
    predictions = ("The answer is A.\nThe answer is B.", "The answer is B.\nThe answer is A.", "D. Random access", "B")
    scores = values(choice_accuracy, *predictions)
    notes: dict[str, int] = {}
    for _, reason in scores:
        if reason:
            notes[reason] = notes.get(reason, 0) + 1
    headline = sum(value or 0 for value, _ in scores) / 4
    found = by_reading(headline, 4, notes)
    for reading, metric in (("first", choice_first), ("text", choice_by_text)):
        assert found[reading] == sum(value or 0 for value, _ in values(metric, *predictions)) / 4
    assert by_reading(0.5, 4, {NO_CHOICE: 2}) == {}


def test_equal_options_are_right_by_either_letter() -> None:
    choices = ("UE", "gNB", "UE")
    samples = [Sample("x", text, choices=choices, answer=(2,)) for text in ("A", "C", "UE", "B")]
    assert [score.value for score in choice_accuracy.score(samples)] == [1.0, 1.0, 1.0, 0.0]


def test_only_what_was_gained_or_lost_moves_another_reading() -> None:
    assert by_reading(0.5, 4, {"several different conclusions, the last is right": 1}) == {"first": 0.25}
    assert by_reading(0.5, 4, {"several different conclusions, neither is right": 1}) == {}
    assert choice_accuracy.readings is by_reading
    assert choice_first.readings is None


@pytest.mark.parametrize(
    ("choices", "answer", "chance"),
    [
        (("a", "b", "c", "d"), (1,), 1 / 4),
        (("a", "b", "a"), (1,), 1 / 2),
        (("a", "b", "c"), (0, 1), 1 / 7),
        (("a", "b", "c"), (0, 1, 2), 1 / 7),
    ],
)
def test_chance_is_one_option_or_one_of_their_sets(
    choices: tuple[str, ...], answer: tuple[int, ...], chance: float
) -> None:
    for each in (choice_accuracy, choice_likelihood):
        assert each.chance is not None
        assert each.chance(Sample("x", "", choices=choices, answer=answer)) == chance


def test_the_signatures_tell_the_readings_apart() -> None:
    parsed = "parse:copy-or-label|reading:{}|unparsed:wrong|v3"
    assert choice_accuracy.signature == f"choice_accuracy|{parsed.format('last-label')}"
    assert choice_first.signature == f"choice_first|{parsed.format('first-label')}"
    assert choice_by_text.signature == f"choice_by_text|{parsed.format('last-text')}"
    assert choice_likelihood.signature == "choice_likelihood|norm:utf8-bytes|ties:first|v2"
