"""Steps on the student's own answers: which steps, what is drawn, and what both models then read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from telbench.config import read_settings
from telbench.errors import EngineError
from telbench.kd.batches import Example
from telbench.kd.rollout.generate import Generated
from telbench.kd.settings import TrainingSettings
from telbench.kd.train.on_policy import StudentAnswers
from telbench.kd.train.prepare import Prepared, identify, prepare
from telbench.kd.vocabulary.alignment import spans_of, tokens_of
from telbench.kd.vocabulary.spelling import spelling_of, text_of


def prepared_for(models: Path, student: str, method: dict[str, Any], epochs: int) -> Prepared:
    given = {
        "student": str(models / student),
        "teacher": str(models / "teacher"),
        "data": {"data": str(models / "facts.jsonl"), "max_length": 96},
        "method": method,
        "optimiser": {"epochs": epochs, "batch_size": 4},
    }
    return prepare(identify(read_settings(TrainingSettings, given, "test")))


@pytest.fixture(scope="module")
def prepared(models: Path) -> Prepared:
    return prepared_for(models, "student", {"algorithm": "gkd", "max_new_tokens": 6, "student_share": 0.3}, epochs=2)


@pytest.fixture(scope="module")
def student(prepared: Prepared) -> Any:
    return AutoModelForCausalLM.from_pretrained(prepared.settings.student)


@pytest.fixture(scope="module")
def across(models: Path) -> Prepared:
    """A student of another vocabulary than its teacher's, who merges runs of the same text."""
    method = {"algorithm": "gold_on_policy", "max_new_tokens": 12, "student_share": 1.0}
    return prepared_for(models, "other", method, epochs=1)


def answers_of(student: Any, prepared: Prepared) -> StudentAnswers:
    return StudentAnswers(Generated(student, prepared.student.tokenizer), prepared)


def said(prepared: Prepared, example: Any, whose: str, first: int, last: int) -> bytes:
    """The bytes of these answer rows."""
    model = prepared.student if whose == "student" else prepared.teacher
    assert model is not None
    text = example.student if whose == "student" else example.teacher.example
    names = model.tokenizer.convert_ids_to_tokens(list(text.ids[text.start + first : text.start + last + 1]))
    return b"".join(text_of(name, spelling_of(model.tokenizer)) for name in names)


def test_runs_of_the_training_answers_say_the_same_text_and_lose_none(across: Prepared) -> None:
    ends = [model.tokenizer.eos_token.encode() for model in (across.student, across.teacher) if model]
    for example in across.texts.examples:
        assert example.teacher is not None
        texts = [
            (said(across, example, "student", a, b), said(across, example, "teacher", c, d))
            for a, b, c, d in example.spans
        ]
        assert texts[-1] == tuple(ends)
        assert all(mine == other for mine, other in texts[:-1])
        rows = [row for a, b, _, _ in example.spans for row in range(a, b + 1)]
        assert rows == list(range(example.rows))
        assert [row for _, _, c, d in example.spans for row in range(c, d + 1)] == list(range(example.teacher.rows))
    assert any(b > a for example in across.texts.examples for a, b, _, _ in example.spans)


def test_a_teacher_of_other_tokens_reads_the_students_answer_in_its_own(across: Prepared) -> None:
    student = AutoModelForCausalLM.from_pretrained(across.settings.student)
    given = across.texts.examples[:6]
    made = answers_of(student, across).examples(given, 0)
    merged = 0
    for before, after in zip(given, made, strict=True):
        assert after.teacher is not None
        assert after.student.ids[: after.student.start] == before.student.ids[: before.student.start]
        whole = said(across, after, "student", 0, after.rows - 1).decode(errors="replace")
        read = said(across, after, "teacher", 0, after.teacher.rows - 1).decode(errors="replace")
        assert read.strip() == whole.strip()
        for a, b, c, d in after.spans:
            mine, other = said(across, after, "student", a, b), said(across, after, "teacher", c, d)
            assert mine == other or (b, d) == (after.rows - 1, after.teacher.rows - 1)
            merged += b > a or d > c
        ordered = [row for a, b, _, _ in after.spans for row in (a, b)]
        assert ordered == sorted(ordered)
    assert merged


@pytest.mark.parametrize("ended", [True, False])
def test_the_end_of_an_own_answer_is_the_end_of_the_teachers(across: Prepared, ended: bool) -> None:
    answers, example = answers_of(None, across), across.texts.examples[0]
    said_ids = example.student.ids[example.student.start :]
    made = answers._answered(example, said_ids if ended else said_ids[:-1])
    assert made.teacher is not None
    assert example.teacher is not None
    if ended:
        # The gold answer as the student would say it: nothing is other than in the training text.
        assert made == example
    else:
        assert made.teacher.example.ids == example.teacher.example.ids[:-1]
        assert made.spans == example.spans[:-1]


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("theirs", [True, False])
def test_the_space_before_an_answer_is_each_models_own(across: Prepared, ours: bool, theirs: bool) -> None:
    """With a chat template nothing stands before an answer, else a space."""
    assert across.teacher is not None
    student, teacher = (
        replace(model, encoder=replace(model.encoder, chat=chat))
        for model, chat in ((across.student, ours), (across.teacher, theirs))
    )
    text, example = "PFCP runs over UDP.", across.texts.examples[0]
    said_ids = (*student.encoder.answer_ids(text), student.tokenizer.eos_token_id)
    made = answers_of(None, replace(across, student=student, teacher=teacher))._answered(example, said_ids)
    assert made.teacher is not None
    read = made.teacher.example
    assert read.ids[read.start :] == (*teacher.encoder.answer_ids(text), teacher.tokenizer.eos_token_id)
    mine, others = (tokens_of(each.tokenizer, text, each.encoder.answer_lead) for each in (student, teacher))
    assert made.spans == spans_of(mine, others)
    assert (made.spans[0][0] == 0) == (ours == theirs)


def answering(student: Any, prepared: Prepared, *, seed: int = 0, **method: Any) -> StudentAnswers:
    changed = replace(
        prepared.settings,
        method=replace(prepared.settings.method, **method),
        optimiser=replace(prepared.settings.optimiser, seed=seed),
    )
    return answers_of(student, replace(prepared, settings=changed))


def own(example: Any) -> tuple[int, ...]:
    """The answer's tokens."""
    return example.student.ids[example.student.start :]


def test_the_share_of_own_steps_is_the_one_asked_for_and_the_seed_decides_which(
    student: Any, prepared: Prepared
) -> None:
    steps = range(2000)
    first = [answering(student, prepared).wanted(step) for step in steps]
    # Four standard errors of a share of 0.3 among 2000.
    assert sum(first) / 2000 == pytest.approx(0.3, abs=0.041)
    assert first == [answering(student, prepared).wanted(step) for step in steps]
    assert first != [answering(student, prepared, seed=1).wanted(step) for step in steps]
    assert not any(answering(student, prepared, student_share=0.0).wanted(step) for step in steps)
    assert all(answering(student, prepared, student_share=1.0).wanted(step) for step in steps)


def test_an_answer_at_a_low_temperature_is_the_students_likeliest_and_both_models_read_it(
    student: Any, prepared: Prepared
) -> None:
    given = prepared.texts.examples[:5]
    made = answering(student, prepared, sampling_temperature=1e-4).examples(given, 3)
    end = prepared.student.tokenizer.eos_token_id
    assert [example.item_id for example in made] == [example.item_id for example in given]
    for before, after in zip(given, made, strict=True):
        start, ids = before.student.start, list(before.student.ids[: before.student.start])
        for _ in range(6):
            with torch.no_grad():
                ids.append(int(student.eval()(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == end:
                break
        assert after.student == Example(tuple(ids), start)
        assert before.teacher is not None
        assert after.teacher is not None
        read = before.teacher.example
        assert after.teacher.example == Example((*read.ids[: read.start], *own(after)), read.start)
        assert after.aligned == tuple((row, row) for row in range(len(own(after))))
        assert after.rows == len(own(after))


def test_answers_are_drawn_by_the_students_probabilities_at_the_temperature(student: Any, prepared: Prepared) -> None:
    (example,) = prepared.texts.examples[:1]
    answers = answering(student, prepared, max_new_tokens=1, sampling_temperature=0.5)
    seen = Counter(own(answers.examples([example], step)[0])[0] for step in range(400))
    with torch.no_grad():
        prompt = torch.tensor([example.student.ids[: example.student.start]])
        chances = (student.eval()(prompt).logits[0, -1] / 0.5).softmax(-1)
    # Tokens in ten groups from the likeliest down: about as many draws in each as its probability says.
    groups = chances.sort(descending=True).indices.chunk(10)
    for group in groups:
        share = float(chances[group].sum())
        count = sum(seen[int(token)] for token in group)
        assert count / 400 == pytest.approx(share, abs=4 * (share * (1 - share) / 400) ** 0.5)


def test_a_draw_depends_on_step_item_and_seed_and_not_on_the_company(student: Any, prepared: Prepared) -> None:
    given = prepared.texts.examples[:4]
    answers = answering(student, prepared)
    together = answers.examples(given, 5)
    assert answers.examples(given, 5) == together
    assert [answers.examples([example], 5)[0] for example in given] == together
    assert answers.examples(given[::-1], 5) == together[::-1]
    assert answers.examples(given, 6) != together
    assert answering(student, prepared, seed=1).examples(given, 5) != together
    twins = [given[0], replace(given[0], item_id="twin")]
    assert own(answers.examples(twins, 5)[0]) != own(answers.examples(twins, 5)[1])


@pytest.mark.parametrize("training", [True, False])
def test_sampling_leaves_the_student_as_it_was(student: Any, prepared: Prepared, training: bool) -> None:
    recommended = student.generation_config
    student.train(training)
    weights = {name: value.clone() for name, value in student.state_dict().items()}
    answers = answering(student, prepared)
    answers.examples(prepared.texts.examples[:2], 0)
    assert student.generation_config is recommended
    assert student.training is training
    assert all(torch.equal(value, weights[name]) for name, value in student.state_dict().items())
    broken = replace(prepared.texts.examples[0], student=Example((10**6, 1), 1))
    with pytest.raises(
        EngineError, match=f"the student could not answer item {broken.item_id}: token 1000000 is beyond"
    ):
        answers.examples([broken], 0)
    assert student.generation_config is recommended
    assert student.training is training


def test_dropout_does_not_touch_what_is_drawn(student: Any, prepared: Prepared) -> None:
    given = prepared.texts.examples[:3]
    expected = answering(student, prepared).examples(given, 2)
    for module in student.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.9
    student.train()
    try:
        assert answering(student, prepared).examples(given, 2) == expected
    finally:
        student.eval()
        for module in student.modules():
            if hasattr(module, "attention_dropout"):
                module.attention_dropout = 0.0
