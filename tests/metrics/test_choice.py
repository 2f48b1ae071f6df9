"""Choice metrics: which option an answer names, and which one is likeliest."""

from __future__ import annotations

import math

import pytest

from telbench.metrics.choice import MULTI_SELECT, NO_CHOICE, choice_accuracy, choice_likelihood, named_choices
from telbench.metrics.contract import Metric, Sample

CHOICES = ("Handover failure", "Random access", "Random access response", "Beam recovery")


@pytest.mark.parametrize(
    ("prediction", "named"),
    [
        ("B", "B"),
        (" b ", "B"),
        ("(b)", "B"),
        ("b.", "B"),
        ("**B**", "B"),
        ("Ｂ", "B"),
        ("Answer: B", "B"),
        ("answer: (b)", "B"),
        ("Answer: B\n", "B"),
        ("B) foo", "B"),
        ("B. foo bar", "B"),
        ("(C) foo", "C"),
        ("B - foo", "B"),
        ("**C.** foo", "C"),
        ("The answer is option B", "B"),
        ("The correct answer is **D**.", "D"),
        ("The correct answer is: (d) because A is wrong", "D"),
        ("The answer is A because it fits.", "A"),
        ("option 2", "B"),
        ("Option 2: foo", "B"),
        ("2", "B"),
        ("I choose C.", "C"),
        ("Let me think. Option A fails, option C is slow.\nTherefore the answer is B.", "B"),
        ("A) seems wrong at first. The answer is C.", "C"),
        ("Answer: A. No, wait.\nFinal answer: D", "D"),
        ("I am sure that option D holds here.", "D"),
        (r"So we get $\boxed{B}$", "B"),
        (r"\boxed{\text{C}}", "C"),
        ("B and D", "BD"),
        ("B, D", "BD"),
        ("A, B, and D", "ABD"),
        ("BD", "BD"),
        ("Answers: A, C", "AC"),
        ("The correct options are B and D.", "BD"),
        ("The answer is options A and C, since both hold.", "AC"),
        ("A or B", "AB"),
        ("handover failure", "A"),
        ("It is due to beam recovery, I believe.", "D"),
        ("The random access response comes first.", "C"),
        ("The answer is a random access.", "B"),
    ],
)
def test_the_label_or_text_in_an_answer_is_recognised(prediction: str, named: str) -> None:
    assert named_choices(prediction, CHOICES) == {ord(letter) - ord("A") for letter in named}


@pytest.mark.parametrize(
    "prediction",
    [
        "",
        "   ",
        "E",
        "option 7",
        "I do not know.",
        "A base station decides.",
        "It may be option A, it may be option B.",
        "Either handover failure or beam recovery.",
        "None of these",
        "A" * 5000,
    ],
)
def test_an_answer_that_names_no_single_choice_is_not_guessed(prediction: str) -> None:
    assert named_choices(prediction, CHOICES) is None


@pytest.mark.parametrize("prediction", ["0", "option 0", "The answer is 0.", "é", "The answer is (é)."])
def test_what_is_no_label_at_all_is_not_the_last_choice(prediction: str) -> None:
    assert named_choices(prediction, CHOICES) is None


def test_the_letters_end_with_the_last_choice() -> None:
    three = CHOICES[:3]
    assert named_choices("The answer is C.", three) == {2}
    assert named_choices("The answer is D.", three) is None
    # A letter beyond the choices is no second answer.
    assert named_choices("The answer is B, D being the name of a bearer.", three) == {1}
    assert named_choices("The answer is B, D being the name of a bearer.", CHOICES) == {1, 3}
    for count in (26, 27):
        many = tuple(f"cause {k}" for k in range(100, 100 + count))
        assert named_choices("The answer is Z because it fits.", many) == {25}
        assert named_choices("The answer is option 26.", many) == {25}


def test_letters_stand_for_the_order_that_the_prompt_showed() -> None:
    assert named_choices("A", CHOICES, (3, 1, 0, 2)) == {3}
    assert named_choices("Beam recovery", CHOICES, (3, 1, 0, 2)) == {3}


def test_a_number_that_is_an_options_text_is_that_option() -> None:
    assert named_choices("4", ("2", "4", "8", "16")) == {1}
    assert named_choices("Answer: 4", ("2", "4", "8", "16")) == {1}
    assert named_choices("option 4", ("2", "4", "8", "16")) == {3}


def test_an_option_that_quotes_other_labels_is_read_as_itself() -> None:
    choices = ("LTE", "NR", "UMTS", "Both A and B")
    assert named_choices("Both A and B", choices) == {3}
    assert named_choices("D) Both A and B", choices) == {3}


def test_accuracy_of_multi_select_asks_for_the_exact_set() -> None:
    samples = [Sample("x", text, choices=CHOICES, answer=(1, 3)) for text in ("B and D", "D, B", "B", "A, B, D")]
    assert [score.value for score in choice_accuracy.score(samples)] == [1.0, 1.0, 0.0, 0.0]


def test_an_unparsable_answer_is_wrong_and_says_why() -> None:
    (score,) = choice_accuracy.score([Sample("x", "no idea", choices=CHOICES, answer=(1,))])
    assert (score.value, score.reason) == (0.0, NO_CHOICE)


def test_a_sample_without_choices_is_missing() -> None:
    (score,) = choice_accuracy.score([Sample("x", "B", references=("b",))])
    assert (score.value, score.reason) == (None, "no choices")


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


@pytest.mark.parametrize("metric", [choice_accuracy, choice_likelihood])
def test_both_are_shares_of_right_answers(metric: Metric) -> None:
    assert (metric.range, metric.higher_is_better, metric.level) == ((0, 1), True, "item")


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
