"""A student, its projectors and its algorithm as one module: a micro-batch goes in, its share of the loss comes out.

One module, so that data-parallel wrappers see every trained weight used in their forward pass. The teacher is not part
of it: neither optimizer nor checkpoint can hold it by mistake. This module needs torch to be imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..batches import Batch, collate
from ..losses.chunked_head import Projected
from ..losses.divergences import divergence_named
from ..losses.dual_space import CrossModelAttention, LinearProjectors, Stream, dskd, dskd_cma, embedded
from ..losses.dual_space_v2 import Aligned, LogitIdentity, agreement, dskd_v2, token_map
from ..losses.heads import Head, decoder_of, head_of, rows_of
from ..losses.objectives import Loss, Mixture, Pairs, SharedIds, simple_ctkd, supervised, uld_kd, vanilla_kd
from ..losses.uld import UniversalLogit, rows_by_index
from ..settings import MethodSettings
from ..teacher.rows import TeacherRows
from ..vocabulary.link import VocabularyLink
from .examples import PairedExample, taught

Asked = Literal["loss", "cross_entropy", "agreement"]


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Items that go through the student at once.

    ``teacher_rows`` (m, d_t): the teacher's last hidden states at its answer rows, item after item. ``own``: the
    student made up the answers, so that their tokens are no labels.
    """

    examples: Sequence[PairedExample]
    batch: Batch
    pairs: Pairs
    teacher_rows: Tensor | None = None
    own: bool = False

    @property
    def labels(self) -> int:
        """The student's answer tokens."""
        return self.batch.n_labels


@dataclass(frozen=True)
class Denominators:
    """Of the whole optimizer step, over all its micro-batches and processes.

    ``weight`` is 0 for a micro-batch that only keeps a process company; ``share``: dskd_v2's agreement.
    """

    labels: int
    pairs: int
    share: float | None = None
    weight: float = 1.0

    @property
    def per_label(self) -> float:
        """What each answer token weighs."""
        return self.weight / max(1, self.labels)

    @property
    def per_pair(self) -> float:
        """What each aligned row weighs."""
        return self.weight / max(1, self.pairs)


def make_micro_batch(
    examples: Sequence[PairedExample], pad: int, method: MethodSettings, link: VocabularyLink | None, device: Any
) -> MicroBatch:
    """Collate the items and number the rows that belong together within the micro-batch."""
    batch = collate([example.student for example in examples], pad)
    batch = replace(batch, inputs=batch.inputs.to(device), labels=batch.labels.to(device))
    ours, theirs = [example.rows for example in examples], [example.rows for example in taught(examples)]
    if link is not None and (method.algorithm == "uld" or not link.one) and method.algorithm not in {"sft", "seq_kd"}:
        by_place = method.algorithm in {"uld", "vanilla_kd", "gkd"}
        rows = rows_by_index(ours, theirs) if by_place else _aligned(examples, ours, theirs)
        pairs = Pairs.of(rows[0], rows[1], sum(ours), torch.device(device))
    else:
        pairs = Pairs.all(sum(ours), torch.device(device))
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
        # In a tuple, where neither state_dict nor parameters look.
        self._teacher = (teacher,)
        self._link = link
        self._plain_head = replace(head_of(student), weight=torch.empty(0), bias=None)
        options = {"divergence": UniversalLogit()} if method.algorithm == "uld" else {}
        if method.algorithm not in {"sft", "seq_kd", "uld"}:
            options = {"divergence": divergence_named(method.divergence, **method.divergence_options)}
        self._mixture = Mixture(method.kd_rate, temperature=method.softness, t2_scale=method.t2_scale, **options)
        self._shared, self._token_map = self._shared_ids(student, teacher, link)
        self.projectors = self._made_projectors(teacher)

    @property
    def teacher(self) -> TeacherRows:
        """The teacher's head and embedding."""
        found = self._teacher[0]
        if found is None:
            raise ValueError("this algorithm has no teacher")
        return found

    def _shared_ids(
        self, student: Any, teacher: TeacherRows | None, link: VocabularyLink | None
    ) -> tuple[SharedIds | None, Tensor | None]:
        if teacher is None or link is None or not link.shared[0]:
            return None, None
        device = student.get_output_embeddings().weight.device
        shared = SharedIds(*(torch.tensor(list(ids), dtype=torch.long, device=device) for ids in link.shared))
        return shared, token_map(shared, teacher.head.size)

    def _made_projectors(self, teacher: TeacherRows | None) -> nn.Module | None:
        if teacher is None:
            return None
        width = self.head().weight.shape[1]
        kind = self.method.algorithm
        if kind == "dskd":
            made: nn.Module = LinearProjectors(width, teacher.head.weight.shape[1])
        elif kind == "dskd_cma":
            made = CrossModelAttention(width, teacher.head.weight.shape[1], self.method.attention_scale)
        elif kind == "dskd_v2":
            made = LogitIdentity(self._cut(self.head()), self._cut(teacher.head), self._shared)
        else:
            return None
        return made.to(teacher.head.weight.device)

    def head(self) -> Head:
        """The student's head as it is now."""
        module = self.student.get_output_embeddings()
        return replace(self._plain_head, weight=_whole(module.weight), bias=_whole(module.bias))

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
        tokens, summed, by the student's whole head. ``agreement``: dskd_v2's two counts, which `Denominators` need.
        """
        if asked == "agreement":
            return torch.tensor(self._agreement(micro)), {}
        hidden, labels, inputs = rows_of(decoder_of(self.student), micro.batch)
        if asked == "cross_entropy" or over is None:
            return supervised(Projected(hidden, self.head()), labels, 1.0).total, {}
        loss = self._loss(micro, over, Projected(hidden, self._cut(self.head())), labels, inputs)
        return loss.total, {name: value.detach() * over.weight for name, value in loss.sums.items()}

    def _loss(self, micro: MicroBatch, over: Denominators, student: Projected, labels: Tensor, inputs: Tensor) -> Loss:
        kind, mixture = self.method.algorithm, self._mixture
        if kind in {"sft", "seq_kd"}:
            return supervised(student, labels, over.per_label)
        teacher = self._taught(micro)
        projectors: Any = self.projectors
        if kind == "dskd":
            return dskd(student, teacher, labels, projectors, over.per_label, mixture)
        if kind == "dskd_cma":
            counts = [example.rows for example in micro.examples]
            ours = _stream(student, counts, self.student.get_input_embeddings(), inputs, labels)
            return dskd_cma(ours, self._teacher_stream(teacher, micro), projectors, over.per_label, mixture)
        if kind == "dskd_v2":
            aligned = Aligned(micro.pairs, self._token_map)
            return dskd_v2(
                student,
                teacher,
                labels,
                projectors,
                aligned,
                over.per_label,
                over.per_pair,
                mixture,
                share=over.share,
                highest_share=self.method.highest_share,
            )
        if kind == "simple_ctkd":
            shared = self._shared or self._all_ids(student)
            return simple_ctkd(student, teacher, labels, micro.pairs, shared, over.per_label, over.per_pair, mixture)
        if kind == "uld" or not (self._link is None or self._link.one):
            return uld_kd(student, teacher, labels, micro.pairs, over.per_label, mixture)
        # An answer of the student's own has nothing to say about what is right.
        mixture = replace(mixture, rate=1.0) if micro.own else mixture
        return vanilla_kd(student, teacher, labels, over.per_label, mixture)

    def _taught(self, micro: MicroBatch) -> Projected:
        if micro.teacher_rows is None:
            raise ValueError("the micro-batch has no teacher rows")
        return Projected(micro.teacher_rows, self._cut(self.teacher.head))

    def _all_ids(self, student: Projected) -> SharedIds:
        every = torch.arange(student.columns, device=student.hidden.device)
        return SharedIds(every, every)

    def _agreement(self, micro: MicroBatch) -> tuple[int, int]:
        projector: Any = self.projectors
        aligned = Aligned(micro.pairs, self._token_map)
        return agreement(self._cut(self.head()).detached(), self._taught(micro), projector, aligned)

    def _teacher_stream(self, teacher: Projected, micro: MicroBatch) -> Stream:
        read: list[int] = []
        said: list[int] = []
        for example in taught(micro.examples):
            read += example.example.ids[example.example.start - 1 : -1]
            said += example.example.ids[example.example.start :]
        device = teacher.hidden.device
        counts = [example.rows for example in taught(micro.examples)]
        ids = torch.tensor(read, device=device), torch.tensor(said, device=device)
        return _stream(teacher, counts, self.teacher.embedding, *ids)


def _stream(rows: Projected, counts: Sequence[int], embedding: nn.Module, inputs: Tensor, labels: Tensor) -> Stream:
    """One model's side of the attention, from the rows of each item and the tokens read and to say at them."""
    items = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(rows.hidden.device)
    return Stream(rows, labels, embedded(embedding, inputs, labels), items)


def _whole(weight: Any) -> Any:
    """The whole tensor where FSDP has spread it over processes."""
    return weight.full_tensor() if hasattr(weight, "full_tensor") else weight
