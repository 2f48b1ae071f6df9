"""Triples of a reference, another right wording and a near miss, as the product's own rules make them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from telbench.metrics.near_misses import KINDS, Kind, near_misses

__all__ = ["KINDS", "Kind", "Triple", "triples"]


@dataclass(frozen=True, slots=True)
class Triple:
    """A question with its reference, another right wording, and a wrong answer of one kind."""

    kind: Kind
    question: str
    reference: str
    paraphrase: str
    wrong: str


def triples(items: Iterable[tuple[str, Sequence[str]]], kind: Kind, seed: int = 0) -> list[Triple]:
    """One triple of a kind from each item (question, its references) whose first reference has room for the fault."""
    made = []
    for question, references in items:
        if len(references) > 1 and (wrong := near_misses(references[0], question, references, seed).get(kind)):
            made.append(Triple(kind, question, references[0], references[1], wrong))
    return made
