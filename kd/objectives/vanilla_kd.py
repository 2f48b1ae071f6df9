"""Vanilla distillation: cross-entropy and a divergence, row by row over one vocabulary.

Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015 (arXiv 1503.02531).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .contract import MIXED, Objective, Permission, Rows, VocabularyFacts, one_vocabulary

if TYPE_CHECKING:
    from ..losses.mixture import Loss


def loss(rows: Rows) -> Loss:
    """(1 - rate) · CE + rate · divergence; different vocabularies are compared id by id, rows paired by index."""
    from ..losses import sparse, token_kd

    # An answer of the student's own has nothing to say about what is right.
    mixture = replace(rows.mixture, rate=1.0) if rows.own else rows.mixture
    if rows.sparse is not None:
        return sparse.sparse_kd(rows.student, rows.sparse, rows.labels, rows.per_label, mixture)
    if not rows.one_vocabulary:
        return token_kd.uld_kd(rows.student, rows.teacher, rows.labels, rows.pairs, rows.per_label, mixture)
    return token_kd.vanilla_kd(rows.student, rows.teacher, rows.labels, rows.per_label, mixture)


def same_ids(facts: VocabularyFacts) -> Permission:
    """One vocabulary, or ids compared as they are because the user wants it so."""
    found = one_vocabulary(facts)
    if found.allowed or not facts.naive_id_kd:
        return found
    return Permission(True, f"{found.why}: ids are compared as they are, to replicate the literature (--naive-id-kd)")


VANILLA_KD = Objective(
    name="vanilla_kd",
    card="labels and a divergence to the teacher, row by row over one vocabulary",
    loss=loss,
    permits=same_ids,
    reads=MIXED | {"naive_id_kd"},
    takes_sparse=True,
    source="Hinton et al. 2015 (arXiv 1503.02531)",
)
