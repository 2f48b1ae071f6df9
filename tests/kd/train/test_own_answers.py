"""Trainings on the student's own answers, as their records tell them."""

from __future__ import annotations

import pytest

from .trainings import Train, losses, records


def test_own_answers_have_no_labels_and_come_at_steps_the_seed_alone_decides(train: Train) -> None:
    method = {"algorithm": "gkd", "max_new_tokens": 3, "student_share": 0.5}
    made = train(method=method)
    own = [record["own_answers"] for record in records(made) if "loss" in record]
    assert set(own) == {True, False}
    assert own == [record["own_answers"] for record in records(train("again", method=method)) if "loss" in record]
    never = train("never", method={**method, "student_share": 0.0})
    assert losses(never) == losses(train("vanilla", method={"algorithm": "vanilla_kd"}))


def test_the_labels_of_the_data_say_nothing_about_an_answer_of_the_students_own(train: Train) -> None:
    method = {"algorithm": "gkd", "max_new_tokens": 3, "student_share": 0.5, "kd_rate": 0.25}
    steps = [record for record in records(train(method=method)) if "loss" in record]
    own = [record for record in steps if record["own_answers"]]
    given = [record for record in steps if not record["own_answers"]]
    assert own
    assert given
    # The record has both terms unweighted, a token.
    for record in own:
        assert record["loss"] == pytest.approx(record["kd"], rel=1e-5)
        assert record["ce"] > 1
    for record in given:
        assert record["loss"] == pytest.approx(0.75 * record["ce"] + 0.25 * record["kd"], rel=1e-5)
