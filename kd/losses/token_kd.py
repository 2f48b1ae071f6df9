"""Losses token by token, without projectors: supervised, vanilla, rows paired by index, simple_ctkd.

All but the first mix two terms, (1 - rate) · CE + rate · distance, as sums over rows times weights that the caller
gives: 1/D with D the answer tokens of the whole optimizer step, over all its micro-batches and processes, makes exact
means of them however the step is split. This module needs torch to be imported.
"""

from __future__ import annotations

from torch import Tensor

from .chunked_head import HeadLoss, Labels, Projected, chunked_loss
from .mixture import Loss, Mixture, Pairs, SharedIds
from .uld import UniversalLogit

# Boizard et al. compare at temperature 1.
ULD_MIXTURE = Mixture(divergence=UniversalLogit(), temperature=1.0)


def supervised(student: Projected, labels: Tensor, per_label: float) -> Loss:
    """Cross-entropy of the labels: sum over rows of -log softmax(z_s)[y], times ``per_label``."""
    loss = chunked_loss(student.hidden, student.head, labels=Labels(labels, per_label))
    return Loss(loss.total, {"ce": loss.cross_entropy.sum()})


def vanilla_kd(
    student: Projected, teacher: Projected, labels: Tensor, per_label: float, mixture: Mixture | None = None
) -> Loss:
    """(1 - rate) · CE + rate · divergence(z_s / T, z_t / T), row by row over one vocabulary.

    Both heads must be cut to the ids that the two models share (`vocabulary.compare.shared_columns`), and row k of both
    must predict the same answer token. Source: Hinton et al. 2015; mixture as in the DSKD scripts.

    Raises:
        InputError: when rows or columns do not match.
    """
    mixture = mixture or Mixture()
    loss = chunked_loss(
        student.hidden,
        student.head,
        labels=mixture.labels(labels, per_label),
        target=mixture.target(teacher, per_label),
    )
    return Loss(loss.total, _sums(loss))


def uld_kd(
    student: Projected,
    teacher: Projected,
    labels: Tensor,
    pairs: Pairs,
    per_label: float,
    mixture: Mixture = ULD_MIXTURE,
) -> Loss:
    """(1 - rate) · CE over the student's rows + rate · ULD over rows paired by `uld.rows_by_index`, both over D."""
    loss = chunked_loss(
        student.hidden,
        student.head,
        labels=mixture.labels(labels, per_label),
        target=mixture.target(
            Projected(pairs.in_student_order(teacher.hidden), teacher.head), pairs.paired(labels) * per_label
        ),
    )
    return Loss(loss.total, _sums(loss, pairs.paired(labels)))


def simple_ctkd(
    student: Projected,
    teacher: Projected,
    labels: Tensor,
    pairs: Pairs,
    shared: SharedIds,
    per_label: float,
    per_pair: float,
    mixture: Mixture | None = None,
) -> Loss:
    """(1 - rate) · CE + rate · divergence over aligned rows and the tokens that both vocabularies have.

    Both distributions are renormalised over the shared tokens. ``per_pair`` is 1 over the aligned rows of the whole
    step. Source: the method of that name in KDFlow; alignment as in DSKD v2.
    """
    mixture = mixture or Mixture()
    gold = chunked_loss(student.hidden, student.head, labels=mixture.labels(labels, per_label))
    drawn = chunked_loss(
        student.hidden[pairs.student],
        student.head.chosen(shared.student),
        target=mixture.target(
            Projected(teacher.hidden[pairs.teacher], teacher.head.detached().chosen(shared.teacher)), per_pair
        ),
    )
    return Loss(gold.total + drawn.total, {"ce": gold.cross_entropy.sum(), "kd": drawn.divergence.sum()})


def _sums(loss: HeadLoss, counted: Tensor | float = 1.0) -> dict[str, Tensor]:
    return {"ce": loss.cross_entropy.sum(), "kd": (loss.divergence * counted).sum()}
