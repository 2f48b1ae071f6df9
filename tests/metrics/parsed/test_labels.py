"""Labels in answers: root causes, working groups, sets of them."""

from __future__ import annotations

import time

import pytest

from telbench.metrics.contract import Sample
from telbench.metrics.parsed.labels import (
    NO_LABEL,
    NO_LABEL_IN_REFERENCE,
    SEVERAL_LABELS,
    label_f1,
    label_match,
    read_labels,
)

CAUSES = tuple(f"C{number}" for number in range(1, 9))
GROUPS = (
    "CT1",
    "CT3",
    "CT4",
    "CT6",
    "RAN1",
    "RAN2",
    "RAN3",
    "RAN4",
    "RAN5",
    "RAN_AH1",
    "SA1",
    "SA2",
    "SA3",
    "SA4",
    "SA5",
    "SA6",
)


def score(prediction: str, reference: str, known: tuple[str, ...] = ()) -> tuple[float | None, str | None]:
    found = label_match.score([Sample("a", prediction, (reference,), labels=known)])[0]
    return found.value, found.reason


@pytest.mark.parametrize(
    "answer",
    [
        r"\boxed{C3}", r"\boxed{3}", r"\boxed{\text{C3}}", r"The cause is C1, no: \boxed{C3}", "C3", "c3.", "**C3**",
        "C 3", "3",
        "C1 and C2 are ruled out. The root cause is C3",
        "Answer: C3 - a neighbour cell is faster",
        '{"cause": "C3"}',
        '```json\n{"cause": "C3"}\n```', "It must be C3, as C3 alone explains it",
        '{"reasoning": "C1 and C2 are ruled out", "answer": "C3"}', '{"cause": 3, "why": "not C1"}',
        "The cause is C3. The result is shown above.",
    ],
)  # fmt: skip
def test_the_label_that_an_answer_comes_to(answer: str) -> None:
    assert score(answer, "C3", CAUSES) == (1.0, None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", NO_LABEL), ("I cannot tell", NO_LABEL), ("C1, C2 and C3 are all likely", SEVERAL_LABELS),
        ("C33", NO_LABEL),
        (r"\boxed{} although C3", NO_LABEL), (r"\boxed{9}", NO_LABEL), ("There were 3 handovers", NO_LABEL),
        ("The cause is an overlap of 3 cells", NO_LABEL),
        ("AC3", NO_LABEL),
        (r"\boxed{3.5}", NO_LABEL),
    ],
)  # fmt: skip
def test_what_names_no_single_label_is_wrong_and_counted(answer: str, reason: str) -> None:
    assert score(answer, "C3", CAUSES) == (0.0, reason)


def test_another_label_is_wrong_without_a_note() -> None:
    assert score(r"\boxed{C4}", "C3", CAUSES) == (0.0, None)


def test_working_groups_as_models_write_them() -> None:
    for answer in ('{"WORKING GROUP": "RAN_AH1"}', "RAN AH1", "ran_ah1", '{"WORKING GROUP": "RAN-AH1"}'):
        assert score(answer, "RAN_AH1", GROUPS) == (1.0, None), answer
    assert score('{"WORKING GROUP": "RAN1"}', "RAN_AH1", GROUPS) == (0.0, None)
    # A release is no group.
    assert score("For Rel18 this is RAN2", "RAN2", GROUPS) == (1.0, None)


def test_a_published_answer_may_itself_be_an_object() -> None:
    assert score("SA5", '{"WORKING GROUP": "SA5"}', GROUPS) == (1.0, None)


def test_sets_of_labels_have_an_exact_match_and_an_f1() -> None:
    def both(prediction: str, reference: str) -> tuple[float | None, float | None]:
        sample = Sample("a", prediction, (reference,), labels=CAUSES)
        return label_match.score([sample])[0].value, label_f1.score([sample])[0].value

    assert both(r"\boxed{C3, C1}", "C1, C3") == (1.0, 1.0)
    assert both(r"\boxed{C1}", "C1, C3") == (0.0, 2 / 3)
    assert both('{"causes": ["C1", "C2", "C4"]}', "C1, C3") == (0.0, 2 / 5)
    assert both("none", "C1, C3") == (0.0, 0.0)


def test_without_known_labels_the_conclusion_is_the_label() -> None:
    assert score("The label is Congestion.", "congestion") == (1.0, None)
    assert score('{"fault": "Link Down"}', "link down") == (1.0, None)
    assert score("congestion or link down", "congestion")[0] == 0.0
    # That the reference's word occurs somewhere is not enough: the reading must not know it.
    assert score("It may be congestion", "congestion")[0] == 0.0


def test_a_reference_without_a_known_label_has_no_score() -> None:
    assert score("C3", "all of them", CAUSES) == (None, NO_LABEL_IN_REFERENCE)


def test_guessing_among_the_labels_is_the_chance() -> None:
    assert label_match.chance is not None
    assert label_match.chance(Sample("a", "", labels=CAUSES)) == 1 / 8


def test_answers_that_name_the_same_agree() -> None:
    says = label_match.says
    assert says is not None
    assert says(Sample("a", r"\boxed{3}", labels=CAUSES)) == says(Sample("a", "C3", labels=CAUSES)) == frozenset({"C3"})
    assert says(Sample("a", "no idea", labels=CAUSES)) is None


@pytest.mark.parametrize(
    "text",
    [
        "{" * 90_000,
        '{"a": 1} ' * 10_000,
        "C1 " * 30_000,
        "answer is " * 9_000,
        "```\n" * 20_000,
        "\\boxed{C1} " * 9_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    read_labels(text, CAUSES)
    assert time.process_time() - started < 20


@pytest.mark.parametrize("known", [("C1", "C2", "other"), ("A1", "B2"), ("one", "two")])
def test_a_number_alone_names_no_label_among_labels_of_other_kinds(known: tuple[str, ...]) -> None:
    assert read_labels(r"\boxed{1}", known).named == frozenset()
