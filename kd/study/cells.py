"""The cells of a study: combinations of levels that mean something, and the reasons of those that do not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..objectives.contract import DIFFERENT, objective_named
from ..settings import MethodSettings
from .settings import NAIVE, SKIP, StudySettings, variant_of

# Statistics take "tokens" and "epochs" for what a training came to, not for what it was allowed.
RECORDED = {"tokens": "token_budget", "epochs": "epoch_budget"}
BUDGET = RECORDED["tokens"]


@dataclass(frozen=True)
class Cell:
    """One combination of levels, with what trains it.

    ``variant`` is the algorithm behind the level; ``varied`` are levels of factors that are settings.
    """

    teacher_sft: bool
    student_sft: bool
    vocabulary: str
    level: str
    variant: str
    seed: int
    varied: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """``same-dskd-t1-s0-seed0``: teacher fine-tuned, student not; ``same-dskd-t1-s0-kd_rate_0.9-seed0``."""
        trained = f"t{int(self.teacher_sft)}-s{int(self.student_sft)}{told_levels(dict(self.varied))}"
        return f"{self.vocabulary}-{self.level}-{trained}-seed{self.seed}"

    @property
    def tokens(self) -> int | None:
        """The budget, where it is a factor."""
        return dict(self.varied).get("tokens")

    def factors(self) -> dict[str, Any]:
        """As the statistics read them."""
        return {
            "teacher_sft": self.teacher_sft,
            "student_sft": self.student_sft,
            "vocabulary": self.vocabulary,
            "algorithm": self.level,
            "variant": self.variant,
            "seed": self.seed,
            **{RECORDED.get(name, name): level for name, level in self.varied},
        }


def told_levels(levels: Mapping[str, Any]) -> str:
    """Levels as part of a folder's name.

    >>> told_levels({"divergence": "reverse_kl", "temperature": 2.0})
    '-divergence_reverse_kl-temperature_2'
    """
    parts = [f"-{name}_{f'{level:g}' if isinstance(level, float) else level}" for name, level in levels.items()]
    return "".join("".join(sign if sign.isalnum() or sign in "-_.+" else "_" for sign in part) for part in parts)


def cells_of(settings: StudySettings) -> tuple[list[Cell], list[str]]:
    """All cells, and those left out with the reason. A filled cell stands at the fill's own level, once."""
    cells: dict[Cell, None] = {}
    omitted: dict[str, None] = {}
    levels = settings.factors
    for seed, vocabulary, algorithm in itertools.product(levels.seed, levels.vocabulary, levels.algorithm):
        level = algorithm
        if vocabulary == "different" and not _crosses(variant_of(algorithm, vocabulary, settings.dskd)):
            if settings.illegal == SKIP or (settings.illegal == NAIVE and algorithm != "vanilla_kd"):
                why = objective_named(variant_of(algorithm, vocabulary, settings.dskd)).permits(DIFFERENT).why
                omitted[f"{algorithm} between different vocabularies: {why}"] = None
                continue
            level = settings.illegal
        variant = variant_of(level, vocabulary, settings.dskd)
        unread = [name for name in levels.varied if not _reads(variant, name)]
        if unread:
            # Its levels would be one and the same training, made several times and compared with itself.
            omitted[f"{level} with the factor {', '.join(unread)}: {variant} does not read it"] = None
            continue
        for varied in _combinations(levels.varied):
            for teacher_sft, student_sft in itertools.product(levels.teacher_sft, levels.student_sft):
                cells[Cell(teacher_sft, student_sft, vocabulary, level, variant, seed, varied)] = None
    return list(cells), list(omitted)


def _combinations(varied: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[tuple[str, Any], ...]]:
    for levels in itertools.product(*varied.values()):
        yield tuple(zip(varied, levels, strict=True))


def _crosses(algorithm: str) -> bool:
    """Is it permitted between vocabularies that differ?"""
    return objective_named(algorithm).permits(DIFFERENT).allowed


def _reads(algorithm: str, name: str) -> bool:
    """Does a training by this algorithm read the setting? Those of the optimiser and of LoRA all do."""
    if name not in {each.name for each in fields(MethodSettings)}:
        return True
    objective = objective_named(algorithm)
    return name in objective.reads | {each.name for each in fields(objective.options)}
