"""What an algorithm needs to know of two vocabularies, and whether it may be used between them at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from telbench.errors import InputError

from ...harness.prompts.encoder import Encoder
from ..objectives.contract import objective_named, permissions
from ..settings import MethodSettings
from .compare import measure_corpus, shared_tokens, vocabulary_facts
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
    teacher: Encoder, student: Encoder, method: MethodSettings, answers: Sequence[str], names: tuple[str, str]
) -> VocabularyLink:
    """Compare two tokenizers for an algorithm.

    Args:
        teacher: how it reads.
        student: how it reads.
        method: which algorithm.
        answers: texts to measure the alignment on, for algorithms that align.
        names: what to call teacher and student.

    Raises:
        InputError: when the algorithm is not permitted between them, with those that are.
    """
    tokenizers, objective = (teacher.tokenizer, student.tokenizer), method.objective
    maps, spellings = (tokenizers[0].get_vocab(), tokenizers[1].get_vocab()), tuple(map(spelling_of, tokenizers))
    ends = [student.tokenizer.eos_token_id]
    facts = vocabulary_facts(maps, (spellings[0], spellings[1]), ends, naive=method.naive_id_kd)
    align = objective.pairing == "aligned" and facts.columns is None
    if align:
        leads = teacher.answer_lead, student.answer_lead
        facts = replace(facts, aligned_ratio=measure_corpus(*tokenizers, answers, leads).aligned_ratio)
    permission = objective.permits(facts)
    if not permission.allowed:
        allowed = [name for name, other in permissions(facts).items() if other.allowed]
        others = [name for name in allowed if objective_named(name).needs == "rows"]
        raise InputError(
            f"{method.algorithm} is refused between {names[0]} and {names[1]}: {permission.why}; "
            f"use {', '.join(others)}"
            + (", or --naive-id-kd to replicate the literature" if "naive_id_kd" in objective.reads else "")
        )
    compared = facts.columns is None and objective.pairing in {"aligned", "spans"}
    shared = shared_tokens(*tokenizers) if compared else ((), ())
    return VocabularyLink(facts.columns, shared, facts.aligned_ratio)
