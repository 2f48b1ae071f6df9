"""Refusals told from answers: precision and recall on answers labelled by hand, and what the two metrics count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.metrics.check import check_metric
from telbench.metrics.contract import Sample
from telbench.metrics.refusal import is_refusal, over_refusal, refusal_accuracy

from .refusal_rounds import ROUNDS
from .refusals import ANSWERS, HELD_OUT_ANSWERS, HELD_OUT_REFUSALS, REFUSALS

SEALED = Path(__file__).with_name("sealed_refusals.jsonl")
LATER = Path(__file__).with_name("later_refusal_rounds.jsonl")


def precision_and_recall(refusals: tuple[str, ...], answers: tuple[str, ...]) -> tuple[float, float]:
    found, wrong = sum(map(is_refusal, refusals)), sum(map(is_refusal, answers))
    return found / (found + wrong), found / len(refusals)


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_is_seen(answer: str):
    assert is_refusal(answer)


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_sounds_like_a_refusal_is_none(answer: str):
    assert not is_refusal(answer)


def test_precision_and_recall_on_answers_that_the_rules_were_not_made_for():
    assert len(set(REFUSALS + ANSWERS + HELD_OUT_REFUSALS + HELD_OUT_ANSWERS)) == 157
    assert precision_and_recall(HELD_OUT_REFUSALS, HELD_OUT_ANSWERS) == (1.0, 1.0)


def test_phrasings_of_four_rounds_are_found_without_a_false_alarm():
    refusals = [text for each in ROUNDS for text in each.refusals]
    answers = [text for each in ROUNDS for text in each.answers]
    assert (len(set(refusals)), len(set(answers))) == (172, 95)
    assert [text for text in answers if is_refusal(text)] == []
    assert sum(map(is_refusal, refusals)) >= 0.97 * len(refusals)


def test_phrasings_of_five_later_rounds_are_found_without_a_false_alarm():
    """Each written before the rules were tried on it, the last by an author who never saw them.

    When the rules first saw them: 42 of 60 and 3 of 40 answers taken for refusals; 31 of 60 and 2 of 40; 34 of 40 and
    1 of 30; 32 of 40 and 1 of 30; 95 of 120 and 2 of 80. The rules were mended after each.
    """
    lines = map(json.loads, LATER.read_text(encoding="utf-8").splitlines())
    texts = {(line["refuses"], line["text"]) for line in lines}
    refusals, answers = ([text for refuses, text in sorted(texts) if refuses == kind] for kind in (True, False))
    assert (len(refusals), len(answers)) == (317, 220)
    assert [text for text in answers if is_refusal(text)] == []
    assert sum(map(is_refusal, refusals)) >= 0.97 * len(refusals)


def test_phrasings_that_the_rules_were_not_made_for_are_found_in_two_cases_of_three():
    """By the author of the last round, and kept shut: make no rule with these in view."""
    lines = [json.loads(line) for line in SEALED.read_text(encoding="utf-8").splitlines()]
    refusals, answers = ([line["text"] for line in lines if line["refuses"] == kind] for kind in (True, False))
    assert (len(refusals), len(answers)) == (60, 40)
    assert sum(map(is_refusal, answers)) == 0
    assert sum(map(is_refusal, refusals)) >= 0.67 * len(refusals)


@pytest.mark.parametrize("answer", ["", " \n", "." * 100_000, "not " * 50_000, "I " * 50_000 + "do not know"])
def test_empty_endless_and_late_texts_are_no_refusals(answer: str):
    assert not is_refusal(answer)


def test_case_typographic_marks_and_line_breaks_do_not_hide_a_refusal():
    assert is_refusal("THE CONTEXT\ndoesn\u2019t\nMENTION it")


@pytest.mark.parametrize(
    ("answerable", "answer", "right", "refused_in_vain"),
    [
        (False, "I don't know.", 1.0, None),
        (False, "The AMF.", 0.0, None),
        (False, "", 0.0, None),
        (True, "I don't know.", None, 1.0),
        (True, "The AMF.", None, 0.0),
    ],
)
def test_each_item_counts_in_one_of_the_two(
    answerable: bool, answer: str, right: float | None, refused_in_vain: float | None
):
    sample = Sample("a", answer, answerable=answerable)
    scores = [metric.score([sample])[0] for metric in (refusal_accuracy, over_refusal)]
    assert [score.value for score in scores] == [right, refused_in_vain]
    assert [score.reason for score in scores if score.value is None] == ["answerable" if answerable else "unanswerable"]


@pytest.mark.parametrize("metric", [refusal_accuracy, over_refusal])
def test_the_contract_is_kept(metric):
    assert check_metric(metric) == []
