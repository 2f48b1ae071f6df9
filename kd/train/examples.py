"""Items as the student and the teacher read them: two token streams of one question and one answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from telbench.errors import InputError

from ...harness.datasets.items import Item
from ...harness.datasets.wording import whole_characters
from ...harness.prompts.build import PromptSettings
from ...harness.prompts.encoder import Encoder
from ..batches import MULTIPLE, Example, Reader, bucketed_indices
from ..settings import MethodSettings, OptimiserSettings
from ..teacher.rows import TeacherExample
from ..vocabulary.alignment import Span, Tokens, align, spans_of, tokens_of, with_end

RowPairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PairedExample:
    """One item's training texts; ``aligned`` pairs (student row, teacher row), counted from the first answer token.

    ``spans``: runs of rows that cover the same text (`vocabulary.alignment.spans_of`), where the algorithm merges them.
    """

    item_id: str
    student: Example
    teacher: TeacherExample | None = None
    aligned: RowPairs = ()
    spans: tuple[Span, ...] = ()

    @property
    def rows(self) -> int:
        """Answer tokens of the student, end-of-sequence included."""
        return len(self.student.ids) - self.student.start


def taught(examples: Iterable[PairedExample]) -> list[TeacherExample]:
    """The items as the teacher reads them."""
    return [example.teacher for example in examples if example.teacher is not None]


def pair_examples(
    items: Iterable[Item],
    settings: PromptSettings,
    student: Reader,
    teacher: Reader | None = None,
    *,
    one_vocabulary: bool = False,
    aligned: bool = True,
    spans: bool = False,
    answers: Mapping[str, str] | None = None,
) -> tuple[list[PairedExample], dict[str, int]]:
    """The training texts of the items, and how many were left out by reason.

    Args:
        items: what to train on.
        settings: how prompts look.
        student: how the student reads.
        teacher: how the teacher reads, where its rows are wanted.
        one_vocabulary: both give the same ids to the same text. Row k of both predicts the same token then, unless they
            render answers differently (another lead, another end): the rows of the answer's text are paired.
        aligned: without one vocabulary, pair the tokens that cover the same text; needs tokenizers that tell offsets.
        spans: pair runs of tokens that cover the same text instead.
        answers: by item id, in place of the first reference (sequence-level KD); items without one are left out.

    Raises:
        InputError: for a tokenizer that does not tell offsets, where they are needed.
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
            if one_vocabulary and ours.ids[ours.start :] == theirs.ids[theirs.start :]:
                rows = tuple((row, row) for row in range(len(ours.ids) - ours.start))
            elif one_vocabulary or (aligned and not spans):
                rows = _aligned_rows(student.encoder, teacher.encoder, answer, len(ours.ids) - ours.start)
            if one_vocabulary:
                # Where ids are compared by number, both must have the same token to say: not another end, not " by"
                # and "by".
                said, other = ours.ids[ours.start :], theirs.ids[theirs.start :]
                rows = tuple((row, partner) for row, partner in rows if said[row] == other[partner])
        runs = tuple((row, row, partner, partner) for row, partner in rows) if spans else ()
        if spans and teacher is not None and theirs is not None and not one_vocabulary:
            runs = _runs(student.encoder, teacher.encoder, answer, len(ours.ids) - ours.start)
        taught = None if theirs is None else TeacherExample(item.id, theirs)
        found.append(PairedExample(item.id, ours, taught, rows, runs))
    return found, dict(dropped)


def _aligned_rows(ours: Encoder, theirs: Encoder, answer: str, rows: int) -> RowPairs:
    student, teacher = _tokens(ours, theirs, answer, rows)
    return tuple(with_end(align(student, teacher).pairs, len(student), len(teacher)))


def _runs(ours: Encoder, theirs: Encoder, answer: str, rows: int) -> tuple[Span, ...]:
    return spans_of(*_tokens(ours, theirs, answer, rows))


def _tokens(ours: Encoder, theirs: Encoder, answer: str, rows: int) -> tuple[Tokens, Tokens]:
    student, teacher = (
        tokens_of(each.tokenizer, whole_characters(answer), each.answer_lead) for each in (ours, theirs)
    )
    if len(student) != rows - 1:
        raise InputError("the student's tokenizer gives other tokens with offsets than without: it cannot be aligned")
    return student, teacher


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One optimiser step: its number from 0, its epoch, and the indices of its items."""

    number: int
    epoch: int
    items: tuple[int, ...]


class BatchPlan:
    """All steps of a training, from the items' lengths, the seed and the budget alone."""

    def __init__(self, lengths: Sequence[int], optimiser: OptimiserSettings) -> None:
        """Items by the tokens that the student reads of each."""
        self.lengths = lengths
        self._optimiser = optimiser
        self.epoch_steps = -(-len(lengths) // optimiser.batch_size)
        self.steps, self.tokens = self._budget()

    def from_step(self, first: int = 0) -> Iterator[PlannedStep]:
        """The steps from number ``first`` on."""
        for epoch in range(first // self.epoch_steps, -(-self.steps // self.epoch_steps)):
            start = epoch * self.epoch_steps
            for offset, batch in enumerate(self._epoch(epoch)):
                if first <= start + offset < self.steps:
                    yield PlannedStep(start + offset, epoch, tuple(batch))

    def _epoch(self, epoch: int) -> list[list[int]]:
        rng = random.Random(f"{self._optimiser.seed}:{epoch}")
        return bucketed_indices(self.lengths, self._optimiser.batch_size, rng)

    def _budget(self) -> tuple[int, int]:
        """(steps, tokens): the first step that reaches ``max_tokens`` is the last one, epochs permitting."""
        whole = sum(self.lengths)
        limit = self._optimiser.max_tokens
        if limit is None or limit > self._optimiser.epochs * whole:
            return self._optimiser.epochs * self.epoch_steps, self._optimiser.epochs * whole
        epochs = (limit - 1) // whole
        steps, tokens = epochs * self.epoch_steps, epochs * whole
        for batch in self._epoch(epochs):
            steps, tokens = steps + 1, tokens + sum(self.lengths[index] for index in batch)
            if tokens >= limit:
                break
        return steps, tokens


def shared_out(items: Sequence[int], parts: int) -> list[tuple[int, ...]]:
    """Cut a step's items into ``parts`` runs, as even as can be; with fewer items than parts the last are empty.

    >>> shared_out([5, 6, 7], 2), shared_out([5], 3)
    ([(5, 6), (7,)], [(5,), (), ()])
    """
    size, longer = divmod(len(items), parts)
    runs, start = [], 0
    for part in range(parts):
        stop = start + size + (part < longer)
        runs.append(tuple(items[start:stop]))
        start = stop
    return runs


def parts_of(
    items: Sequence[int], processes: int, settings: OptimiserSettings, size: int, lengths: Sequence[int]
) -> list[list[tuple[int, ...]]]:
    """What goes through at once, by process: so many tokens where the settings bound them, else ``size`` items."""
    if settings.micro_batch_tokens is None:
        return parts_by_items(items, processes, size, settings.batch_size)
    return parts_by_tokens(items, processes, lengths, settings.micro_batch_tokens)


def parts_by_items(items: Sequence[int], processes: int, size: int, step: int) -> list[list[tuple[int, ...]]]:
    """The parts of a step, by process: of at most ``size`` items, as many as a step of ``step`` items needs.

    >>> parts_by_items([0, 1, 2, 3], processes=2, size=1, step=4), parts_by_items([0], 2, 2, step=4)
    ([[(0,), (1,)], [(2,), (3,)]], [[(0,)], [()]])
    """
    parts = -(-step // (processes * size))
    runs = shared_out(items, processes * parts)
    return [runs[process * parts : (process + 1) * parts] for process in range(processes)]


def parts_by_tokens(
    items: Sequence[int], processes: int, lengths: Sequence[int], most: int
) -> list[list[tuple[int, ...]]]:
    """The parts of a step, by process: of at most ``most`` tokens, padding included, and of one item at the least.

    All processes get equally many, since each part is a step that they make together; some may be empty. ``lengths``:
    tokens of every item there is, by its number.

    >>> parts_by_tokens([0, 1, 2, 3], 1, [10, 90, 30, 40], most=100)
    [[(1,), (3, 2), (0,)]]
    >>> parts_by_tokens([0, 1, 2], 2, [60, 60, 60], most=100)
    [[(0,), (1,)], [(2,), ()]]
    """
    found = [_cut(share, lengths, most) for share in shared_out(items, processes)]
    parts = max(map(len, found))
    return [runs + [()] * (parts - len(runs)) for runs in found]


def _cut(items: Sequence[int], lengths: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """Runs of items, the longest first, so that what goes together is about as long."""
    runs: list[list[int]] = []
    for item in sorted(items, key=lambda item: -lengths[item]):
        if runs and (len(runs[-1]) + 1) * lengths[runs[-1][0]] <= most:
            runs[-1].append(item)
        else:
            runs.append([item])
    return [tuple(run) for run in runs]


def lengths_of(examples: Iterable[PairedExample], method: MethodSettings) -> list[int]:
    """Tokens that each item takes in a batch alone: the longer of both streams, and of an answer of the student's own.

    What several take together is the longest of these, times their number.
    """
    own = method.max_new_tokens if method.objective.on_policy else 0
    found = []
    for example in examples:
        streams = [example.student, *([] if example.teacher is None else [example.teacher.example])]
        longest = max(max(len(each.ids), each.start + own) - 1 for each in streams)
        found.append(-(-longest // MULTIPLE) * MULTIPLE)
    return found
