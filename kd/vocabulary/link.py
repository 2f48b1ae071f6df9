"""What an algorithm needs to know of two vocabularies, and whether it may be used between them at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from telbench.errors import InputError

from ..settings import MethodSettings
from .compare import Relation, compare_vocabularies, measure_corpus, read_side, shared_columns, shared_tokens

# These train on tokens that cover the same text in both vocabularies.
ALIGNED = frozenset({"dskd_v2", "simple_ctkd"})


@dataclass(frozen=True)
class VocabularyLink:
    """``columns``: leading ids that mean the same in both, or none. ``shared``: ids (teacher's, student's) of one text.

    ``aligned_ratio``: share of the student's answer tokens that exact alignment trains on, where it was measured.
    """

    relation: Relation
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
    columns = shared_columns(teacher.get_vocab(), student.get_vocab())
    corpus = None
    if method.algorithm in ALIGNED and columns is None:
        corpus = measure_corpus(teacher, student, answers)
    sides = [read_side(name, tokenizer, {}, {}) for name, tokenizer in zip(names, (teacher, student), strict=True)]
    report = compare_vocabularies(
        sides[0], sides[1], (teacher.get_vocab(), student.get_vocab()), corpus, naive_id_kd=method.naive_id_kd
    )
    permission = report.permits[method.algorithm]
    if not permission.allowed:
        others = [name for name, permit in report.permits.items() if permit.allowed and name not in {"sft", "seq_kd"}]
        raise InputError(
            f"{method.algorithm} is refused between {names[0]} and {names[1]}: {permission.why}, so that the same id "
            f"means another token; use {', '.join(others)}"
            + (", or --naive-id-kd to replicate the literature" if method.algorithm in {"vanilla_kd", "gkd"} else "")
        )
    shared = shared_tokens(teacher, student) if method.algorithm in ALIGNED and columns is None else ((), ())
    return VocabularyLink(report.relation, columns, shared, None if corpus is None else corpus.aligned_ratio)
