"""What an algorithm needs to know of two vocabularies, and whether it may be used between them at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from telbench.errors import InputError

from ..objectives.contract import VocabularyFacts, objective_named, permissions
from ..settings import MethodSettings
from .compare import measure_corpus, shared_columns, shared_text, shared_tokens
from .spelling import spelling_of


@dataclass(frozen=True)
class VocabularyLink:
    """``columns``: leading ids that mean the same in both, or none. ``shared``: ids (teacher's, student's) of one text.

    ``aligned_ratio``: share of the student's answer tokens that exact alignment trains on, where it was measured.
    """

    columns: int | None
    shared: tuple[Sequence[int], Sequence[int]] = ((), ())
    aligned_ratio: float | None = None

    @property
    def one(self) -> bool:
        """Do both give the same ids to the same text?"""
        return self.columns is not None


def link_vocabularies(
    teacher: Any, student: Any, method: MethodSettings, answers: Sequence[str], names: tuple[str, str]
) -> VocabularyLink:
    """Compare two tokenizers for an algorithm.

    Args:
        teacher: its tokenizer.
        student: its tokenizer.
        method: which algorithm.
        answers: texts to measure the alignment on, for algorithms that align.
        names: what to call teacher and student.

    Raises:
        InputError: when the algorithm is not permitted between them, with those that are.
    """
    maps = teacher.get_vocab(), student.get_vocab()
    columns, objective = shared_columns(*maps), method.objective
    align = objective.pairing == "aligned" and columns is None
    corpus = measure_corpus(teacher, student, answers) if align else None
    aligned_ratio = None if corpus is None else corpus.aligned_ratio
    shared = shared_text(maps, (spelling_of(teacher), spelling_of(student)))
    facts = VocabularyFacts(columns, shared, aligned_ratio, method.naive_id_kd)
    permission = objective.permits(facts)
    if not permission.allowed:
        allowed = [name for name, other in permissions(facts).items() if other.allowed]
        others = [name for name in allowed if objective_named(name).needs == "rows"]
        raise InputError(
            f"{method.algorithm} is refused between {names[0]} and {names[1]}: {permission.why}; "
            f"use {', '.join(others)}"
            + (", or --naive-id-kd to replicate the literature" if "naive_id_kd" in objective.reads else "")
        )
    return VocabularyLink(columns, shared_tokens(teacher, student) if align else ((), ()), aligned_ratio)
