"""A student, its projectors and its algorithm as one module: a micro-batch goes in, its share of the loss comes out.

One module, so that data-parallel wrappers see every trained weight used in their forward pass. The teacher is not part
of it: neither optimizer nor checkpoint can hold it by mistake. This module needs torch to be imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..batches import Batch, collate
from ..losses.chunked_head import Projected, refuse_beyond
from ..losses.heads import Head, decoder_of, head_of, rows_of
from ..losses.mixture import Loss, Mixture, Pairs, SharedIds
from ..losses.token_kd import supervised
from ..losses.uld import rows_by_index
from ..objectives.contract import ModelRows, Objective, Rows, Spaces
from ..settings import MethodSettings
from ..teacher.cache import SparseTeacher
from ..teacher.rows import TeacherRows
from ..vocabulary.link import VocabularyLink
from .examples import PairedExample, taught

Asked = Literal["loss", "cross_entropy", "share"]


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Items that go through the student at once.

    ``teacher_rows`` (m, d_t): the teacher's last hidden states at its answer rows, item after item. ``own``: the
    student made up the answers, so that their tokens are no labels. ``kept``: see `Rows`.
    """

    examples: Sequence[PairedExample]
    batch: Batch
    pairs: Pairs
    teacher_rows: Tensor | None = None
    own: bool = False
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Denominators:
    """Answer tokens (``labels``) and aligned rows (``pairs``) of the whole optimizer step, over all processes.

    ``weight`` is 0 for a micro-batch that only keeps a process company; ``share``: the counts of `Objective.share`,
    where they were asked for. ``kept``: of `Rows`, for all micro-batches of the step.
    """

    labels: int
    pairs: int
    share: tuple[int, int] | None = None
    weight: float = 1.0
    kept: dict[str, Any] = field(default_factory=dict)


def make_micro_batch(
    examples: Sequence[PairedExample], pad: int, objective: Objective, link: VocabularyLink | None, device: Any
) -> MicroBatch:
    """Collate the items and number the rows that belong together within the micro-batch."""
    batch = collate([example.student for example in examples], pad).to(device)
    ours, theirs = [example.rows for example in examples], [example.rows for example in taught(examples)]
    pairing = objective.pairing
    if link is None or objective.needs != "rows" or pairing == "attention":
        pairs = Pairs.all(sum(ours), torch.device(device))
    elif pairing == "spans":
        pairs = _runs(examples, ours, theirs, torch.device(device))
    else:
        aligned = pairing == "aligned" or (pairing == "same rows" and link.one)
        rows = _aligned(examples, ours, theirs) if aligned else rows_by_index(ours, theirs)
        pairs = Pairs.of(rows[0], rows[1], sum(ours), torch.device(device))
    return MicroBatch(examples, batch, pairs)


def _aligned(
    examples: Sequence[PairedExample], ours: Sequence[int], theirs: Sequence[int]
) -> tuple[list[int], list[int]]:
    student: list[int] = []
    teacher: list[int] = []
    firsts = zip(accumulate(ours, initial=0), accumulate(theirs, initial=0), strict=True)
    for example, (first, other) in zip(examples, firsts, strict=False):
        student += [first + row for row, _ in example.aligned]
        teacher += [other + row for _, row in example.aligned]
    return student, teacher


def _runs(examples: Sequence[PairedExample], ours: Sequence[int], theirs: Sequence[int], device: Any) -> Pairs:
    """Runs of rows that cover the same text: the last rows of each as pairs, with the first ones beside them."""
    starts = zip(accumulate(ours, initial=0), accumulate(theirs, initial=0), strict=True)
    found = [
        [start + first, start + last, other + their_first, other + their_last]
        for example, (start, other) in zip(examples, starts, strict=False)
        for first, last, their_first, their_last in example.spans
    ]
    first, last, other, end = torch.tensor(found, dtype=torch.long, device=device).reshape(-1, 4).unbind(1)
    return Pairs(last, end, sum(ours), (first, other))


class Distiller(nn.Module):
    """The student and what is trained beside it."""

    def __init__(
        self,
        student: Any,
        method: MethodSettings,
        teacher: TeacherRows | None = None,
        link: VocabularyLink | None = None,
    ) -> None:
        super().__init__()
        self.student = student
        self.method = method
        self.objective = method.objective
        # In a tuple, where neither state_dict nor parameters look.
        self._teacher = (teacher,)
        self._link = link
        self._plain_head = replace(head_of(student), weight=torch.empty(0), bias=None)
        divergence = method.chosen_divergence
        mixed = {} if divergence is None else {"divergence": divergence}
        self._mixture = Mixture(method.kd_rate, temperature=method.softness, t2_scale=method.t2_scale, **mixed)
        self._shared = self._shared_ids(student, teacher, link)
        self.projectors = self._made_projectors(teacher)

    @property
    def teacher(self) -> TeacherRows:
        """The teacher's head and embedding."""
        found = self._teacher[0]
        if found is None:
            raise ValueError("this algorithm has no teacher")
        return found

    def _shared_ids(self, student: Any, teacher: TeacherRows | None, link: VocabularyLink | None) -> SharedIds | None:
        if teacher is None or link is None or not link.shared[0]:
            return None
        device = student.get_output_embeddings().weight.device
        return SharedIds(*(torch.tensor(list(ids), dtype=torch.long, device=device) for ids in link.shared))

    def _made_projectors(self, teacher: TeacherRows | None) -> nn.Module | None:
        if teacher is None or self.objective.projectors is None:
            return None
        heads = self._cut(self.head()), self._cut(teacher.head)
        made = self.objective.projectors(Spaces(*heads, self._shared, self.method.options))
        return made.to(teacher.head.weight.device)

    def head(self) -> Head:
        """The student's head as it is now."""
        module = self.student.get_output_embeddings()
        return replace(self._plain_head, weight=_whole(module.weight), bias=_whole(module.bias))

    def fuse(self) -> None:
        """Compile the closed forms of the losses from now on."""
        self._plain_head = replace(self._plain_head, fused=True)

    def _cut(self, head: Head) -> Head:
        """Without what lies beyond the shared ids, where there is one vocabulary."""
        if self._link is None:
            return head
        if self._link.columns is not None:
            return head.first(self._link.columns)
        if self.method.naive_id_kd:
            return head.first(min(self.head().size, self.teacher.head.size))
        return head

    def forward(
        self, micro: MicroBatch, over: Denominators | None = None, asked: Asked = "loss"
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What is asked of a micro-batch; all of it goes this way, since FSDP puts weights together for it alone.

        ``loss``: its share of the step's loss with gradient, and sums for the record. ``cross_entropy``: of all answer
        tokens, summed, by the student's whole head. ``share``: the two counts that `Denominators` need.
        """
        if asked == "share":
            return torch.tensor(self._share(micro)), {}
        hidden, labels, inputs = rows_of(decoder_of(self.student), micro.batch)
        if asked == "cross_entropy" or over is None:
            return supervised(Projected(hidden, self.head()), labels, 1.0).total, {}
        head = self._cut(self.head())
        if labels.is_cuda and not micro.own:
            refuse_beyond(micro.batch.said, head)
        rows = self._rows(micro, Projected(hidden, head), labels, inputs)
        each = {"per_label": over.weight / max(1, over.labels), "per_pair": over.weight / max(1, over.pairs)}
        if over.share is not None:
            part, every = over.share
            each |= {"share": part / max(1, every), "per_shared": over.weight / max(1, every)}
        rows = replace(rows, **each, kept_in_step=over.kept)
        # A loss that expects row k of both to belong together gets those that have a partner.
        theirs = 0 if micro.teacher_rows is None else len(micro.teacher_rows)
        alike = self.objective.pairing == "same rows" and rows.one_vocabulary and micro.teacher_rows is not None
        alone = alike and len(rows.pairs) < max(len(labels), theirs)
        loss = self._loss_of_pairs(rows) if alone else self.objective.loss(rows)
        return loss.total, {name: value.detach() * over.weight for name, value in loss.sums.items()}

    def _loss_of_pairs(self, rows: Rows) -> Loss:
        """The loss of the rows that have a partner; the others learn from their labels alone."""
        pairs, ours = rows.pairs, rows.student
        both: dict[str, Any] = {"ours": rows.ours.chosen(pairs.student)}
        if rows.sparse is None:
            both["taught"] = rows.theirs.chosen(pairs.teacher)
        else:
            both["sparse"] = rows.sparse.at(pairs.teacher)
        every = Pairs.all(len(pairs), pairs.student.device)
        loss = self.objective.loss(replace(rows, **both, labels=rows.labels[pairs.student], pairs=every))
        if rows.own:
            return loss
        alone = torch.ones_like(rows.labels, dtype=torch.bool).index_fill(0, pairs.student, False)
        labelled = Projected(ours.hidden[alone], ours.head)
        rest = supervised(labelled, rows.labels[alone], rows.per_label * (1 - rows.mixture.rate))
        sums = {**loss.sums, "ce": loss.sums.get("ce", 0) + rest.sums["ce"]}
        return Loss(loss.total + rest.total, sums)

    def _share(self, micro: MicroBatch) -> tuple[int, int]:
        if self.objective.share is None:
            raise ValueError(f"{self.objective.name} asks for no share")
        head = self._cut(self.head())
        none = head.weight.new_empty(0, head.weight.shape[1]).detach()
        ids = micro.batch.labels.new_empty(0)
        return self.objective.share(self._rows(micro, Projected(none, head), ids, ids))

    def _rows(self, micro: MicroBatch, student: Projected, labels: Tensor, inputs: Tensor) -> Rows:
        counts = [example.rows for example in micro.examples]
        teacher, sparse = self._teacher[0], None
        if isinstance(teacher, SparseTeacher) and micro.teacher_rows is not None:
            sparse = teacher.form.unpacked(micro.teacher_rows)
        return Rows(
            ours=ModelRows(student, counts, lambda: (inputs, labels), self.student.get_input_embeddings),
            taught=None if sparse is not None else self._taught(micro),
            labels=labels,
            pairs=micro.pairs,
            one_vocabulary=self._link is None or self._link.one,
            shared=self._shared,
            own=micro.own,
            projectors=self.projectors,
            mixture=self._mixture,
            options=self.method.options,
            kept=micro.kept,
            sparse=sparse,
        )

    def _taught(self, micro: MicroBatch) -> ModelRows | None:
        if micro.teacher_rows is None:
            return None
        teacher, texts = self.teacher, taught(micro.examples)
        rows = Projected(micro.teacher_rows, replace(self._cut(teacher.head), fused=self._plain_head.fused))

        def tokens() -> tuple[Tensor, Tensor]:
            read: list[int] = []
            said: list[int] = []
            for text in texts:
                read += text.example.ids[text.example.start - 1 : -1]
                said += text.example.ids[text.example.start :]
            return torch.tensor(read, device=rows.hidden.device), torch.tensor(said, device=rows.hidden.device)

        return ModelRows(rows, [text.rows for text in texts], tokens, lambda: teacher.embedding)


def _whole(weight: Any) -> Any:
    """The whole tensor where FSDP has spread it over processes."""
    return weight.full_tensor() if hasattr(weight, "full_tensor") else weight
