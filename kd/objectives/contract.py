"""What an algorithm is: one `Objective`, found by name through the entry points of ``telbench.objectives``.

Its loss gets the `Rows` of a micro-batch and gives a `Loss`. Everything else that telbench must know of an algorithm
(settings, vocabularies, teacher cache, projectors, log) stands in its record and nowhere else.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Literal

from telbench.errors import InputError
from telbench.registry import listed, load_as

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..losses.chunked_head import Projected
    from ..losses.heads import Head
    from ..losses.mixture import Loss, Mixture, Pairs, SharedIds
    from ..losses.sparse import Sparse

GROUP = "telbench.objectives"
# Settings that mix the labels' and the teacher's term.
MIXED = frozenset({"kd_rate", "divergence", "temperature", "t2_scale"})

Needs = Literal["labels", "answers", "rows"]
Pairing = Literal["same rows", "by index", "aligned", "spans", "attention"]


@dataclass(frozen=True)
class VocabularyFacts:
    """What two vocabularies have in common, as far as it decides which algorithms are permitted.

    ``columns``: leading ids that mean the same in both, None where the token-to-id maps differ. ``shared_text``: tokens
    that stand for the same text in both. ``aligned_ratio``: share of the student's answer tokens that are aligned
    exactly, where it was measured. ``naive_id_kd``: the user wants ids compared as they are.
    """

    columns: int | None
    shared_text: int
    aligned_ratio: float | None = None
    naive_id_kd: bool = False


# Two vocabularies of which nothing is known but that they differ.
DIFFERENT = VocabularyFacts(columns=None, shared_text=1)


@dataclass(frozen=True)
class Permission:
    """Is an algorithm allowed between these two, and why or why not, in words."""

    allowed: bool
    why: str


@dataclass(frozen=True, eq=False)
class ModelRows:
    """One model's answer rows of a micro-batch, item after item.

    ``rows``: hidden states (n, d) and head, cut to the ids that count. ``counts``: rows of each item. ``tokens`` gives
    two (n,) tensors: the token read at each row, and the one to say. ``embedding`` gives the model's own, and raises
    `InputError` where a cached teacher has none.
    """

    rows: Projected
    counts: Sequence[int]
    tokens: Callable[[], tuple[Tensor, Tensor]]
    embedding: Callable[[], nn.Module]

    def chosen(self, index: Tensor) -> ModelRows:
        """Only the rows with these numbers, which ascend."""
        numbers, ends = index.tolist(), list(accumulate(self.counts))
        counts = [bisect_left(numbers, end) for end in ends]
        return replace(
            self,
            rows=replace(self.rows, hidden=self.rows.hidden[index]),
            counts=[last - first for first, last in pairwise([0, *counts])],
            tokens=lambda: (self.tokens()[0][index], self.tokens()[1][index]),
        )


@dataclass(frozen=True, eq=False)
class Rows:
    """All that a loss is computed from: a micro-batch's answer rows, and what they weigh.

    Args:
        ours: the student's rows; gradients flow to its hidden states and head.
        taught: the teacher's, for algorithms that need them; a loss reads `theirs`.
        labels: the student's gold ids (n,).
        pairs: student and teacher rows that belong together, as the algorithm pairs them.
        one_vocabulary: do both models give the same ids to the same text?
        shared: ids of the same text in two different vocabularies, for algorithms that align.
        sparse: the teacher's rows by some of their tokens, in place of ``taught``, where it is known by these alone.
        own: the student made up these answers itself: they are no labels.
        projectors: what `Objective.projectors` made.
        mixture: rate, divergence, temperature as set.
        per_label: 1 over the student's answer tokens of the whole optimizer step.
        per_pair: 1 over the paired rows of the whole optimizer step.
        share: what `Objective.share` came to over the whole optimizer step; None where this micro-batch is all of it.
        per_shared: 1 over the whole of `Objective.share`, over the optimizer step; None where ``share`` is.
        options: an instance of `Objective.options`.
        kept: empty at first; what `Objective.share` puts there, its loss of the same micro-batch finds.
        kept_in_step: empty at first; what a loss puts there, those of the step's other micro-batches find.
    """

    ours: ModelRows
    taught: ModelRows | None
    labels: Tensor
    pairs: Pairs
    one_vocabulary: bool
    shared: SharedIds | None
    own: bool
    projectors: Any
    mixture: Mixture
    per_label: float = 1.0
    per_pair: float = 1.0
    share: float | None = None
    per_shared: float | None = None
    options: Any = None
    kept: dict[str, Any] = field(default_factory=dict)
    kept_in_step: dict[str, Any] = field(default_factory=dict)
    sparse: Sparse | None = None

    @property
    def theirs(self) -> ModelRows:
        """The teacher's rows, for losses that cannot do without."""
        if self.taught is None:
            raise ValueError("the micro-batch has no teacher rows")
        return self.taught

    @property
    def student(self) -> Projected:
        """The student's hidden states (n, d_s) and head."""
        return self.ours.rows

    @property
    def teacher(self) -> Projected:
        """The teacher's hidden states (m, d_t) and head, without gradient."""
        return self.theirs.rows


@dataclass(frozen=True, eq=False)
class Spaces:
    """What projectors are made for: both heads, cut to the ids that count, and the ids of the same text, if aligned."""

    student: Head
    teacher: Head
    shared: SharedIds | None
    options: Any = None

    @property
    def widths(self) -> tuple[int, int]:
        """(d_s, d_t)."""
        return self.student.weight.shape[1], self.teacher.weight.shape[1]


@dataclass(frozen=True)
class Rates:
    """Peak learning rates of a training."""

    student: float
    projectors: float | None


@dataclass(frozen=True)
class NoOptions:
    """An algorithm without numbers of its own."""


def always(why: str) -> Callable[[VocabularyFacts], Permission]:
    """Permitted between any two vocabularies."""
    return lambda facts: Permission(True, why)


def one_vocabulary(facts: VocabularyFacts) -> Permission:
    """Permitted where both give the same ids to the same text."""
    if facts.columns is None:
        return Permission(False, "the token-to-id maps differ")
    return Permission(True, f"both heads are cut to their {facts.columns} shared ids")


@dataclass(frozen=True, kw_only=True)
class Objective:
    """An algorithm.

    Args:
        name: as it is registered and chosen with ``--algorithm``.
        card: what it does, in one line.
        loss: the weighted sum over a micro-batch's rows, with its record; called in every step.
        needs: ``labels`` alone; ``answers`` of the teacher in place of the labels; or the teacher's hidden ``rows``.
        pairing: which rows belong together. ``same rows``: row k of both, between different vocabularies by index.
            Where two models of one vocabulary render answers differently, the loss gets the rows with a partner alone.
            ``by index``: always so; ``aligned``: rows that cover the same text; ``spans``: runs of rows that do;
            ``attention``: the loss pairs them.
        permits: may it be used between two vocabularies, and why?
        reads: settings of ``method`` that it reads; `MIXED` is those of a mixture.
        temperature: default of the setting of that name.
        divergence: name of the one it always uses; empty: the setting's, if it reads that.
        projectors: what is trained beside the student.
        projector_rate: their default learning rate.
        on_policy: some steps are on the student's own answers.
        options: a frozen dataclass of further numbers, set under ``method: objective_options``. A field named like a
            setting of ``method`` gets that setting's value.
        share: (part, whole) of rows in a micro-batch, to be summed over the step: its ratio is known before the loss.
            It is asked before the student has read anything: of the student it gets the head, and no hidden rows.
        advice: what a user should do about the last epoch's means (by name in the log, nats a token), or None.
        teacher_answers: it learns from what the teacher answers, besides its rows, in place of the labels.
        takes_sparse: its loss can do with some tokens of each teacher row (`Rows.sparse`).
        source: where it comes from, in one line; shown by ``telbench kd algorithms``.
    """

    name: str
    card: str
    loss: Callable[[Rows], Loss]
    needs: Needs = "rows"
    pairing: Pairing = "same rows"
    permits: Callable[[VocabularyFacts], Permission] = one_vocabulary
    reads: frozenset[str] = MIXED
    temperature: float = 2.0
    divergence: str = ""
    projectors: Callable[[Spaces], nn.Module] | None = None
    projector_rate: float | None = None
    on_policy: bool = False
    options: type = NoOptions
    share: Callable[[Rows], tuple[int, int]] | None = None
    advice: Callable[[Mapping[str, float], Rates], str | None] | None = None
    source: str = ""
    takes_sparse: bool = False
    teacher_answers: bool = False

    def __post_init__(self) -> None:
        """Refuse records that contradict themselves: an author sees it when the plugin is loaded."""
        if (self.projectors is None) != (self.projector_rate is None):
            raise InputError(f"algorithm {self.name}: projectors and projector_rate go together")
        if self.needs != "rows" and (self.projectors or self.on_policy or self.share):
            raise InputError(f"algorithm {self.name}: projectors, on_policy and share need the teacher's rows")
        if not dataclasses.is_dataclass(self.options):
            raise InputError(f"algorithm {self.name}: options must be a dataclass, not {self.options!r}")

    @property
    def cacheable(self) -> bool:
        """Can `telbench kd cache` store what it asks of a teacher? Not where answers arise in training."""
        return self.needs == "rows" and not self.on_policy and not self.teacher_answers


def objective_named(name: str) -> Objective:
    """The algorithm of that name, loaded now.

    Raises:
        InputError: for an unknown name (near ones are suggested) or a plugin that is no `Objective`.
    """
    return load_as(GROUP, name, Objective)


def algorithms() -> dict[str, Objective | str]:
    """Every algorithm there is, by name: its record, or in words why it cannot be loaded."""
    found: dict[str, Objective | str] = {}
    for name in listed(GROUP):
        try:
            found[name] = objective_named(name)
        except InputError as error:
            found[name] = str(error)
    return found


def without_alignment() -> list[str]:
    """Names of the algorithms with a teacher's rows that do without aligned ones, whatever the vocabularies."""
    loaded = [each for each in algorithms().values() if isinstance(each, Objective) and each.needs == "rows"]
    return [
        each.name for each in loaded if each.pairing in {"by index", "attention"} and each.permits(DIFFERENT).allowed
    ]


def readers_of(setting: str) -> list[str]:
    """Names of the algorithms that read a setting of ``method``."""
    return [name for name, each in algorithms().items() if isinstance(each, Objective) and setting in each.reads]


def permissions(facts: VocabularyFacts) -> dict[str, Permission]:
    """Every algorithm there is, by name; one that cannot be loaded is not allowed, and the reason says why."""
    return {
        name: Permission(False, each) if isinstance(each, str) else each.permits(facts)
        for name, each in algorithms().items()
    }
