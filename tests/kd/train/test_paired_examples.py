"""Two token streams of one item: each model's own prompt, one answer, and which rows belong together."""

from __future__ import annotations

from typing import Any

import pytest

from telbench.harness.datasets.items import DataSet, Item
from telbench.harness.prompts.build import PromptSettings, encoder_for
from telbench.kd.batches import Reader, reader
from telbench.kd.tiny.tokenizer import tokenizer_texts, train_tokenizer
from telbench.kd.train.examples import PairedExample, pair_examples

CLOSED = PromptSettings("closed")
ANSWERS = ("yes", "at 5 µs\nor ≥ 28 GHz", "基站 sends an 😀", "PFCP uses port 8805.", "")


@pytest.fixture(scope="module")
def readers(facts: DataSet) -> tuple[Reader, Reader]:
    texts = [*tokenizer_texts(facts, CLOSED), *ANSWERS]
    return (
        reader(encoder_for(train_tokenizer(texts, 400, 128), CLOSED), 128, "student"),
        reader(encoder_for(train_tokenizer(texts[::2], 330, 128), CLOSED), 128, "teacher"),
    )


def paired(answer: str, readers: tuple[Reader, Reader], **more: Any) -> PairedExample:
    found, dropped = pair_examples([Item("a", "What?", (answer,))], CLOSED, *readers, **more)
    assert not dropped
    return found[0]


@pytest.mark.parametrize("answer", ANSWERS)
def test_aligned_rows_predict_the_same_text_in_both_vocabularies(answer: str, readers: tuple[Reader, Reader]) -> None:
    found = paired(answer, readers)
    assert found.teacher is not None
    ours, theirs = found.student, found.teacher.example
    assert found.rows == len(ours.ids) - ours.start
    for row, other in found.aligned:
        # The whole answer up to and with that token, so that both rows stand at the same place of the text.
        read = [
            side.encoder.tokenizer.decode(ids.ids[ids.start : ids.start + last + 1], skip_special_tokens=True)
            for side, ids, last in zip(readers, (ours, theirs), (row, other), strict=True)
        ]
        assert read[0] == read[1]
    # Both end the same text, whatever they call its end.
    assert found.aligned[-1] == (found.rows - 1, found.teacher.rows - 1)


def test_a_one_token_answer_is_two_rows_with_its_end(readers: tuple[Reader, Reader]) -> None:
    item = Item("a", "What?", ("x",))
    found, _ = pair_examples([item], CLOSED, readers[0])
    tokens = readers[0].encoder.answer_ids("x")
    assert found[0].rows == len(tokens) + 1
    assert found[0].student.ids[-1] == readers[0].encoder.tokenizer.eos_token_id


def test_one_vocabulary_pairs_every_row_with_itself(readers: tuple[Reader, Reader]) -> None:
    found = paired("PFCP uses port 8805.", (readers[0], readers[0]), one_vocabulary=True)
    assert found.aligned == tuple((row, row) for row in range(found.rows))


@pytest.fixture(scope="module")
def renderings(facts: DataSet) -> tuple[Reader, Reader]:
    """A base student and an instruct teacher of one vocabulary: a space before the answer and one end, neither."""
    student, teacher = (train_tokenizer(tokenizer_texts(facts, CLOSED), 400, 128) for _ in range(2))
    student.chat_template = None
    teacher.eos_token = teacher.bos_token
    assert student.get_vocab() == teacher.get_vocab()
    return reader(encoder_for(student, CLOSED), 128, "student"), reader(encoder_for(teacher, CLOSED), 128, "teacher")


@pytest.mark.parametrize("answer", ["PFCP uses port 8805.", "yes", "at 5 µs\nor ≥ 28 GHz"])
def test_two_renderings_of_one_vocabulary_are_paired_where_both_have_the_same_token_to_say(
    answer: str, renderings: tuple[Reader, Reader]
) -> None:
    found = paired(answer, renderings, one_vocabulary=True)
    assert found.teacher is not None
    ours, theirs = (each.ids[each.start :] for each in (found.student, found.teacher.example))
    student, teacher = (each.encoder.tokenizer for each in renderings)
    assert student.decode(ours[:-1]) == " " + teacher.decode(theirs[:-1])
    # Neither the first token, which brings the space with it, nor the end has a partner; what follows the words has.
    assert found.aligned
    assert ours[0] not in {ours[row] for row, _ in found.aligned} or student.decode(ours[0]) == " "
    assert max(row for row, _ in found.aligned) == len(ours) - 2
    for row, partner in found.aligned:
        assert ours[row] == theirs[partner]
        assert student.decode(ours[: row + 1]) == " " + teacher.decode(theirs[: partner + 1])


def test_an_answer_that_both_render_as_other_tokens_has_no_pair(renderings: tuple[Reader, Reader]) -> None:
    """One token with the space, another without it."""
    student = renderings[0].encoder.tokenizer
    word = next(
        token[1:]
        for token in student.get_vocab()
        if token.startswith("\u0120") and token[1:] in student.get_vocab() and token[1:].isalpha()
    )
    found = paired(word, renderings, one_vocabulary=True)
    assert found.rows == 2
    assert found.aligned == ()


def test_a_long_context_is_cut_and_a_long_question_is_left_out_by_name(readers: tuple[Reader, Reader]) -> None:
    context = "The PFCP port is 8805. " + "Nothing of use stands here. " * 300
    items = [
        Item("cut", "Which port has PFCP?", ("8805",), context=context),
        Item("question", "Why? " * 200, ("8805",)),
        Item("silent", "Why?"),
        Item("unanswerable", "Why?", ("8805",), meta={"unanswerable": True}),
    ]
    found, dropped = pair_examples(items, PromptSettings("open"), *readers)
    assert [example.item_id for example in found] == ["cut"]
    assert found[0].teacher is not None
    for example, side in ((found[0].student, readers[0]), (found[0].teacher.example, readers[1])):
        assert len(example.ids) <= 128
        assert "8805" in side.encoder.tokenizer.decode(example.ids[: example.start])
    assert dropped == {"too long for the student": 1, "no answer": 2}


def test_given_answers_take_the_place_of_references_but_not_of_answerable_questions(
    readers: tuple[Reader, Reader],
) -> None:
    items = [Item("a", "What?", ("gold",)), Item("b", "What?", ("gold",), meta={"unanswerable": True})]
    found, dropped = pair_examples(items, CLOSED, readers[0], answers={"a": "PTP", "b": "PTP"})
    example = found[0].student
    assert readers[0].encoder.tokenizer.decode(example.ids[example.start : -1]).strip() == "PTP"
    assert dropped == {"no answer": 1}
