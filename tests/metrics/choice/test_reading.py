"""Which option an answer names."""

from __future__ import annotations

import pytest

from telbench.metrics.choice.reading import named_choices, read_answer

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


def letters(named: frozenset[int] | None) -> str:
    return "".join(sorted("ABCDEFGHIJ"[index] for index in named or ()))


@pytest.mark.parametrize(
    ("choices", "copy", "named"),
    [
        (("-7", "0", "7", "8", "9", "10", "14"), "7", "C"),
        (("(1, 2)", "(2, 1)", "(2, –2)"), "(2, –2)", "C"),
        (("8 lb", ".8 lb"), "8 lb", "A"),
        (("8 lb", ".8 lb"), ".8 lb", "B"),
        (("≥", "≤"), "≤", "B"),
        (("BB bb", "bb BB"), "bb BB", "B"),
        (("RICactionID", "ricActionID"), "ricActionID", "B"),
        (("Stop", "...", "Go"), "...", "B"),
        (("17", "−17"), "The answer is $-17$.", "B"),
        (("p ∪ q", "p ∩ q"), "It is p ∩ q, clearly", "B"),
        (("RICactionID", "ricActionID"), "the field is ricActionID here", "B"),
        (("A", "C", "B"), "B", "C"),
    ],
)
def test_a_copy_of_an_option_is_that_option_before_any_label(choices: tuple[str, ...], copy: str, named: str) -> None:
    assert letters(named_choices(copy, choices)) == named


@pytest.mark.parametrize("prediction", ["The answer is (B).", "Answer: B", "The answer is B. It is light."])
def test_a_letter_after_a_cue_is_a_label_though_an_option_reads_so(prediction: str) -> None:
    assert letters(named_choices(prediction, ("Al", "Tl", "C", "B"))) == "B"


def test_options_with_equal_texts_are_one() -> None:
    choices = ("UE", "gNB", "UE ")
    assert {letters(named_choices(text, choices)) for text in ("A", "C", "UE", "C) UE")} == {"A"}


@pytest.mark.parametrize(
    ("prediction", "first", "last"),
    [
        ("The answer is (A).\n\nThe answer is (C).", "A", "C"),
        ("The answer is (A).\n\nThe answer is (C).\n\nThe answer is (A).", "A", "A"),
        ("The answer is A. The answer is C.", "A", "C"),
        ("It is fast. The answer is B.\n\nNow, combining all answers:\nThe answer is A. 1000 times", "B", "A"),
        ("Question 1: The answer is (B)\n\nQuestion 2: The answer is (D)", "B", "D"),
    ],
)
def test_several_conclusions_are_a_first_and_a_last_and_never_a_multi_select(
    prediction: str, first: str, last: str
) -> None:
    reading = read_answer(prediction, CHOICES)
    assert (letters(reading.first), letters(reading.named)) == (first, last)
    assert reading.several == (first != last)


@pytest.mark.parametrize(
    "prediction",
    [
        "B\n\nQuestion: What is NR?\nA. foo\nB. bar\nAnswer: D",
        "The answer is (B).\n\nQuestion: What is NR?\nOptions: A. foo B. bar\nAnswer: The answer is (D).",
        "Answer: B\n\n### Question 2:\nWhich band?\nAnswer: D",
        "B. Random access\nUser: and now?\nThe answer is C.",
        "B<|im_end|>\n<|im_start|>user\nNext: the answer is C.",
    ],
)
def test_what_follows_the_next_question_is_not_the_answer(prediction: str) -> None:
    reading = read_answer(prediction, CHOICES)
    assert (letters(reading.named), reading.several) == ("B", False)


@pytest.mark.parametrize(
    ("prediction", "named"),
    [
        ("B) is incorrect; the right one is C.", "C"),
        ("The incorrect answer is B. The correct one is D.", "D"),
        ("Option B is wrong. Option C does it.", "C"),
        ("The answer is (G) is incorrect. The answer is (B).", "B"),
        ("The answer is (B) is incorrect. The answer is (C) is correct. The answer is (D) is incorrect.", "C"),
        ("The answer is C, but it is not listed.", "C"),
        ("B isn't it.", ""),
    ],
)
def test_a_label_that_the_text_calls_wrong_names_nothing(prediction: str, named: str) -> None:
    assert letters(named_choices(prediction, CHOICES)) == named


@pytest.mark.parametrize(
    "prediction",
    [
        "答案：B",
        "正确答案是B。",
        "答案是选项B",
        "选择B",
        "因此选B。",
        "答えはBです",
        "正解：B",
        "정답: B",
        "Antwort: B",
        "Die richtige Antwort ist B.",
        "Die Antwort lautet: B",
        "La respuesta es B",
        "La respuesta correcta es la B.",
        "La bonne réponse est l'option B",
        "Réponse : B",
        "La risposta è B",
        "A resposta é B.",
    ],
)
def test_conclusions_in_other_languages_are_read(prediction: str) -> None:
    assert letters(named_choices(prediction, CHOICES)) == "B"


def test_a_label_beside_the_text_of_another_option_is_a_contradiction() -> None:
    for prediction in ("B. Beam recovery", "The answer is (B) Beam recovery.", "B) Beam recovery\nThat is why."):
        reading = read_answer(prediction, CHOICES)
        assert (letters(reading.named), letters(reading.by_text), reading.contradicted) == ("B", "D", True)
    for prediction in ("B. Random access", "The answer is B: random access", "B"):
        assert not read_answer(prediction, CHOICES).contradicted


def test_a_list_of_the_options_is_no_answer() -> None:
    listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", CHOICES, strict=True))
    assert named_choices(listed, CHOICES) is None
    assert letters(named_choices(f"{listed}\nAnswer: D", CHOICES)) == "D"


@pytest.mark.parametrize(
    ("prediction", "named"),
    [
        ("The answer is (A, C).", "AC"),
        ("The answer is (A, B and D).", "ABD"),
        ("Hence. The answer is (C", "C"),
    ],
)
def test_lists_in_brackets_and_a_cut_off_bracket_are_read(prediction: str, named: str) -> None:
    assert letters(named_choices(prediction, CHOICES)) == named


@pytest.mark.parametrize(
    ("part", "times", "named"),
    [
        ("the answer is ", 20_000, ""),
        ("A, ", 50_000, "A"),
        ("(", 100_000, ""),
        ("答案是", 30_000, ""),
        ("\n\nQuestion: ", 10_000, ""),
        ("option ", 30_000, ""),
        ("random ", 30_000, ""),
    ],
)
def test_answers_of_a_hundred_thousand_characters_are_read(part: str, times: int, named: str) -> None:
    assert letters(named_choices(part * times, CHOICES)) == named


@pytest.mark.parametrize(
    "prediction",
    [
        "B\n\nExplanation: the beam recovery is done by the UE",
        "**B**\n\nHandover failure is another matter.",
        "B because the AMF does not do it",
        "B, since a handover failure needs a handover",
        "Ans: B",
        "Response: B",
        "I think it's B",
        "It must be B.",
        "I'd go with B",
        "I would say B",
        "Hence the correct letter is B.",
        "The correct answer to the question is B",
        "<answer>B</answer>",
        '{"answer": "B"}',
        "Option (B) is correct",
        "#### B",
    ],
)
def test_an_explicit_label_beats_the_words_of_an_explanation(prediction: str) -> None:
    assert letters(named_choices(prediction, CHOICES)) == "B"


def test_a_sentence_that_begins_with_a_capital_article_names_no_label() -> None:
    assert named_choices("It is A base station that decides.", CHOICES) is None
    assert letters(named_choices("A handover failure is it.", CHOICES)) == "A"
    assert letters(named_choices("A beam recovery is it.", CHOICES)) == "D"


def test_a_copy_beside_a_cue_may_differ_in_case_where_labels_could_be_read_too() -> None:
    assert letters(named_choices("Answer: A AND B", ("LTE", "NR", "a and b"))) == "C"


@pytest.mark.parametrize(
    ("prediction", "named"),
    [
        ("Beam recovery is older. The answer is random access.", "B"),
        ("The answer is random access. It is quicker than beam recovery.", "B"),
        ("The correct one is D. The incorrect answer is B.", "D"),
        ("b - something else", "B"),
        ("B) something\nA) is wrong", "B"),
    ],
)
def test_the_conclusion_decides_and_not_what_stands_around_it(prediction: str, named: str) -> None:
    assert letters(named_choices(prediction, CHOICES)) == named


def test_of_several_conclusions_each_reading_has_its_own() -> None:
    reading = read_answer("The answer is A: Beam recovery.\nThe answer is B.", CHOICES)
    assert tuple(map(letters, (reading.named, reading.first, reading.by_text))) == ("B", "A", "B")


@pytest.mark.parametrize(
    ("prediction", "choices", "named", "by_text"),
    [
        # Two labels name two options; no text beside them is a contradiction.
        ("The answer is A and B. Beam recovery", CHOICES, "AB", "AB"),
        ("Answer: B and D", CHOICES, "BD", "BD"),
        ("(A, C)", CHOICES, "AC", "AC"),
        ("The answer is NR.\nLTE came first.", ("LTE", "NR"), "B", "B"),
        # In lower case two options are the same; as written only one occurs.
        ("the field is rICActionID here", ("RICactionID", "rICActionID"), "B", "B"),
        ("B - Beam recovery", CHOICES, "B", "D"),
    ],
)
def test_labels_and_the_text_beside_them(prediction: str, choices: tuple[str, ...], named: str, by_text: str) -> None:
    reading = read_answer(prediction, choices)
    assert (letters(reading.named), letters(reading.by_text)) == (named, by_text)
