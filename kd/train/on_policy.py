"""On-policy distillation (GKD): steps on answers that the student has just made up itself.

With probability λ a step's answers are replaced by samples of the student, without gradient through the sampling; the
teacher reads the same tokens, and the student is drawn to it on them. They are no labels: cross-entropy on one's own
samples would teach nothing but certainty. Source: Agarwal et al., On-Policy Distillation of Language Models: Learning
from Self-Generated Mistakes, 2024 (arXiv 2306.13649).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from telbench.errors import EngineError

from ...harness.datasets.wording import whole_characters
from ...harness.engines.contract import Request, Sampling
from ...harness.storage import RecordStore
from ..batches import Example
from ..rollout.contract import Rollouts
from ..teacher.rows import TeacherExample
from ..vocabulary.alignment import spans_of, tokens_of, tokens_said
from ..vocabulary.spelling import spelling_of, text_of
from .examples import PairedExample
from .prepare import Prepared


class StudentAnswers:
    """Samples of the student as it is at each step; which steps, and what is drawn, depends on the seed alone.

    What was drawn is kept in ``drawn``: a training that goes on after a kill learns from the same answers, and none is
    drawn twice.
    """

    def __init__(self, rollouts: Rollouts, prepared: Prepared, drawn: RecordStore | None = None) -> None:
        self._rollouts = rollouts
        self._prepared = prepared
        self._method = prepared.settings.method
        self._seed = prepared.settings.optimiser.seed
        self._drawn = drawn

    def wanted(self, step: int) -> bool:
        """Is this a step on the student's own answers? The same on all processes."""
        return random.Random(f"{self._seed}:own:{step}").random() < self._method.student_share

    def examples(self, examples: Sequence[PairedExample], step: int) -> list[PairedExample]:
        """The same questions with the student's answers, up to and including its first end of sequence.

        Raises:
            EngineError: when an answer could not be made.
        """
        answers = self._answers(examples, step)
        return [self._answered(example, answers[example.item_id]) for example in examples]

    def _answers(self, examples: Sequence[PairedExample], step: int) -> dict[str, tuple[int, ...]]:
        """Token ids by item: those that were drawn before a kill, and the others now."""
        records = (
            {}
            if self._drawn is None
            else {each.item_id: self._drawn.get(f"{step}/{each.item_id}") for each in examples}
        )
        answers = {name: tuple(record["ids"]) for name, record in records.items() if record is not None}
        asked = [example for example in examples if example.item_id not in answers]
        for name, answer in self._sample(asked, step).items() if asked else ():
            answers[name] = answer
            if self._drawn is not None:
                self._drawn.put(f"{step}/{name}", {"ids": answer})
        return answers

    def _sample(self, examples: Sequence[PairedExample], step: int) -> dict[str, tuple[int, ...]]:
        sampling = Sampling(
            max_tokens=self._method.max_new_tokens,
            temperature=self._method.sampling_temperature,
            seed=random.Random(f"{self._seed}:sample:{step}").getrandbits(31),
        )
        requests = [
            # What is drawn goes by the key, and must not depend on the process or the part that an item is in.
            Request(example.item_id, example.item_id, (), example.student.ids[: example.student.start])
            for example in examples
        ]
        found: dict[str, tuple[int, ...]] = {}
        with self._rollouts.engine(step) as engine:
            for completion in engine.generate(requests, sampling):
                if completion.error is not None:
                    raise EngineError(f"the student could not answer item {completion.key}: {completion.error}")
                found[completion.key] = completion.token_ids
        return found

    def _answered(self, example: PairedExample, answer: tuple[int, ...]) -> PairedExample:
        """The item with this answer on both sides.

        Both have one vocabulary, or are treated as if they had, but where the algorithm pairs runs of the same text.

        Where they render answers differently, the teacher would begin with another token, or end with one.
        """
        first, last = 0, len(answer)
        if example.teacher is not None and self._prepared.settings.method.objective.pairing == "spans":
            return self._read_anew(example, example.teacher, answer)
        student = Example((*example.student.ids[: example.student.start], *answer), example.student.start)
        teacher, link = example.teacher, self._prepared.link
        if teacher is not None:
            read = teacher.example
            if link is not None and link.one:
                ours, theirs = self._prepared.student, self._prepared.teacher
                first = int(theirs is not None and ours.encoder.answer_lead != theirs.encoder.answer_lead)
                last -= answer[-1:] == example.student.ids[-1:] != read.ids[-1:]
            teacher = replace(teacher, example=Example((*read.ids[: read.start], *answer), read.start))
        return replace(example, student=student, teacher=teacher, aligned=tuple((k, k) for k in range(first, last)))

    def _read_anew(self, example: PairedExample, taught: TeacherExample, answer: tuple[int, ...]) -> PairedExample:
        """The item with this answer, whose text the teacher reads in its own tokens."""
        ours, theirs = self._prepared.student, self._prepared.teacher
        if theirs is None:
            raise ValueError("there is no teacher to read the student's answers")
        ended = answer[-1:] in {(end,) for end in ours.tokenizer.all_special_ids}
        ids = answer[:-1] if ended else answer
        names, spelling = ours.tokenizer.convert_ids_to_tokens(list(ids)), spelling_of(ours.tokenizer)
        # Where the tokenizer itself puts a space before a text, the first token brings it along.
        lead = ours.encoder.answer_lead or " " * (names[:1] != [] and names[0].startswith("\u2581"))
        text, student = tokens_said(ids, [text_of(name, spelling) for name in names], names, lead)
        teacher = tokens_of(theirs.tokenizer, whole_characters(text), theirs.encoder.answer_lead)
        read = taught.example
        said = (*theirs.encoder.answer_ids(text), *read.ids[-1:] * ended)
        return replace(
            example,
            student=replace(example.student, ids=(*example.student.ids[: example.student.start], *answer)),
            teacher=replace(taught, example=replace(read, ids=(*read.ids[: read.start], *said))),
            spans=spans_of(student, teacher, ended=ended and len(student) == len(ids)),
        )
