"""Items as the student and the teacher read them: two token streams of one question and one answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..harness.items import Item
from ..harness.prompts import Encoder, PromptSettings, build_prompt, whole_characters
from ..judges.errors import InputError
from .alignment import align, tokens_of, with_end
from .batches import Example
from .teacher import TeacherExample

RowPairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PairedExample:
    """One item's training texts; ``aligned`` pairs (student row, teacher row), counted from the first answer token."""

    item_id: str
    student: Example
    teacher: TeacherExample | None = None
    aligned: RowPairs = ()

    @property
    def rows(self) -> int:
        """Answer tokens of the student, end-of-sequence included."""
        return len(self.student.ids) - self.student.start


def taught(examples: Iterable[PairedExample]) -> list[TeacherExample]:
    """The items as the teacher reads them."""
    return [example.teacher for example in examples if example.teacher is not None]


@dataclass(frozen=True)
class Reader:
    """One model's way to read: its encoder, and how many tokens of prompt and answer it takes."""

    encoder: Encoder
    window: int

    def example(self, item: Item, answer: str, settings: PromptSettings) -> Example | None:
        """Prompt, answer, end-of-sequence; only a context is ever cut. None where question and answer do not fit."""
        end = self.encoder.tokenizer.eos_token_id
        ids = [*self.encoder.answer_ids(answer), end]
        room = self.window - len(ids)
        prompt = build_prompt(item, settings, self.encoder, room) if room > 0 else None
        if prompt is None or prompt.problem or not prompt.request.token_ids:
            return None
        return Example((*prompt.request.token_ids, *ids), len(prompt.request.token_ids))


def reader(encoder: Encoder, window: int, who: str) -> Reader:
    """A reader, if the tokenizer can end an answer.

    Raises:
        InputError: where there is no end-of-sequence token.
    """
    if encoder.tokenizer.eos_token_id is None:
        raise InputError(f"the {who}'s tokenizer has no end-of-sequence token: answers could not end")
    return Reader(encoder, window)


def pair_examples(
    items: Iterable[Item],
    settings: PromptSettings,
    student: Reader,
    teacher: Reader | None = None,
    *,
    one_vocabulary: bool = False,
    aligned: bool = True,
    answers: Mapping[str, str] | None = None,
) -> tuple[list[PairedExample], dict[str, int]]:
    """The training texts of the items, and how many were left out by reason.

    Args:
        items: what to train on.
        settings: how prompts look.
        student: how the student reads.
        teacher: how the teacher reads, where its rows are wanted.
        one_vocabulary: both give the same ids to the same text, so that row k of both predicts the same token.
        aligned: without one vocabulary, pair the tokens that cover the same text; needs tokenizers that tell offsets.
        answers: by item id, in place of the first reference (sequence-level KD); items without one are left out.

    Raises:
        InputError: when one vocabulary gives an answer different ids.
    """
    found: list[PairedExample] = []
    dropped: Counter[str] = Counter()
    for item in items:
        answer = next(iter(item.gold_references), None)
        if answers is not None:
            answer = answers.get(item.id) if item.answerable else None
        if answer is None:
            dropped["no answer"] += 1
            continue
        ours = student.example(item, answer, settings)
        theirs = None if teacher is None else teacher.example(item, answer, settings)
        if ours is None or (teacher is not None and theirs is None):
            dropped["too long for the student" if ours is None else "too long for the teacher"] += 1
            continue
        rows: RowPairs = ()
        if teacher is not None and theirs is not None:
            if one_vocabulary:
                rows = _same_rows(item.id, ours, theirs)
            elif aligned:
                rows = _aligned_rows(student.encoder, teacher.encoder, answer, len(ours.ids) - ours.start)
        found.append(PairedExample(item.id, ours, None if theirs is None else TeacherExample(item.id, theirs), rows))
    return found, dict(dropped)


def _same_rows(item_id: str, ours: Example, theirs: Example) -> RowPairs:
    answer, other = ours.ids[ours.start :], theirs.ids[theirs.start :]
    if answer != other:
        raise InputError(
            f"item {item_id}: teacher and student have one vocabulary, but their answers are not the same tokens "
            f"({len(other)} and {len(answer)}): their tokenizers split or end text differently; use dskd_v2, "
            "simple_ctkd or dskd_cma"
        )
    return tuple((row, row) for row in range(len(answer)))


def _aligned_rows(ours: Encoder, theirs: Encoder, answer: str, rows: int) -> RowPairs:
    student, teacher = (
        tokens_of(each.tokenizer, whole_characters(answer), each.answer_lead) for each in (ours, theirs)
    )
    if len(student) != rows - 1:
        raise InputError("the student's tokenizer gives other tokens with offsets than without: it cannot be aligned")
    return tuple(with_end(align(student, teacher).pairs, len(student), len(teacher)))
