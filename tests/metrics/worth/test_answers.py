"""Answers of known worth: what each sort is, and that no right answer is among the wrong ones."""

from __future__ import annotations

from dataclasses import replace

from telbench.metrics.contract import Sample
from telbench.metrics.worth.answers import ANOTHER, RESTATED, answers_to


def items(count: int, references: int = 2, documents: int = 50) -> list[Sample]:
    wordings = ("The timer T{} runs for {} ms in the uplink.", "Its length in the uplink is {1} milliseconds, T{0}.")
    return [
        Sample(
            f"i{k}",
            "ignored",
            tuple(text.format(k, 100 + k) for text in wordings[:references]),
            "How long?",
            cluster_id=f"d{k % documents}",
        )
        for k in range(count)
    ]


def test_each_sort_is_what_it_is_called() -> None:
    samples = items(20)
    found = answers_to(samples)
    assert found.right_from == ANOTHER
    by_id = {sample.item_id: sample for sample in samples}
    for answer in found.right:
        assert answer.references == by_id[answer.item_id].references[:1]
        assert answer.prediction == by_id[answer.item_id].references[1]
    assert all(answer.prediction == answer.references[0] for answer in found.itself)
    assert {answer.prediction for answer in found.empty} == {""}
    for answer in found.unrelated:
        owner = next(sample for sample in samples if answer.prediction in sample.references)
        assert owner.cluster_id != answer.cluster_id
    assert set(found.by_kind) == {"number", "unit", "direction"}
    for answer in found.wrong:
        assert answer.prediction not in by_id[answer.item_id].references
    assert all("Its length" in answer.prediction for answer in found.wrong_wording)
    assert answers_to(samples) == found


def test_without_second_references_right_answers_are_restated_by_rule_and_it_says_so() -> None:
    found = answers_to(items(20, references=1))
    assert found.right_from == RESTATED
    assert all("milliseconds" in answer.prediction for answer in found.right)


def test_items_of_one_document_are_still_paired_and_a_single_item_is_not() -> None:
    assert len(answers_to(items(5, documents=1)).unrelated) == 5
    assert answers_to(items(1)).unrelated == ()


def test_items_without_a_reference_give_no_answer() -> None:
    blank = [replace(sample, references=("", " ")) for sample in items(3)]
    found = answers_to(blank)
    assert (found.right_from, found.itself, found.wrong) == (None, (), ())
