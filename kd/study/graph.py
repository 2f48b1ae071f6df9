"""A study as a graph of artefacts: models, caches, answers, students, runs. What several need is in it once.

An artefact's hash covers what it is made by, the hashes of what it is made from, and telbench's version: it is known
before anything is made, and changes when and only when something changes that the artefact depends on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

from telbench.config import written
from telbench.errors import InputError

from ...metrics.fingerprints import fingerprint
from ..objectives.contract import objective_named
from .cells import BUDGET, Cell, cells_of, told_levels
from .settings import (
    NAIVE,
    SCRATCH,
    StudySettings,
    changes_of,
    epochs_of,
    precision_of,
    shared_data,
    training_settings,
)

Kind = Literal["model", "base", "sft", "cache", "answers", "student", "run"]
# What stands in settings for a path that is known only in a study's folder: the input of that role.
INPUT = "input:"
HASH_DIGITS = 8
# Epochs of a training that ends by its tokens.
WITHOUT_END = 100_000
# Settings of a run that its hash always counts; the others count where they are not what a run has anyway.
ALWAYS = (
    "data", "split", "context", "metrics", "encoder", "judge", "engine", "max_tokens", "limit", "data_dir", "mapping",
    "options",
)  # fmt: skip
# Settings that say where something lies; its content is hashed in their place.
PLACES = frozenset({"path", "data", "data_dir", "encoder"})


@dataclass(frozen=True)
class Artefact:
    """One thing that a study makes (kind ``model``: a checkpoint that was there before, and is never made).

    ``settings`` is what it is made by, where ``input:ROLE`` stands for the artefact that ``inputs`` names for that
    role. ``label`` is what people call it; two of equal hash are the same thing.
    """

    label: str
    kind: Kind
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    sha256: str
    anchor: bool = False

    @property
    def folder(self) -> str:
        """Its name in the store."""
        return f"{self.label}-{self.sha256[:HASH_DIGITS]}"


@dataclass(frozen=True)
class Sources:
    """What a study starts from, by content: checkpoint folders, training data, evaluation data."""

    models: Mapping[str, str]
    training_data: str
    evaluation_data: str
    encoder: str | None = None


@dataclass(frozen=True)
class Graph:
    """Artefacts by hash, each behind all that it is made from. ``omitted`` are cells left out, in words."""

    artefacts: Mapping[str, Artefact]
    omitted: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Artefact]:
        return iter(self.artefacts.values())

    def to_make(self) -> list[Artefact]:
        """All but the models that were there before."""
        return [each for each in self if each.kind != "model"]

    def ancestors(self, sha256: str) -> list[Artefact]:
        """The artefact and everything that it needs, in the order of making."""
        needed = {sha256}
        for each in reversed(list(self)):
            if each.sha256 in needed:
                needed |= set(each.inputs.values())
        return [each for each in self if each.sha256 in needed]


def build_graph(settings: StudySettings, sources: Sources) -> Graph:
    """Everything that the study makes.

    Raises:
        InputError: when the settings of a training do not fit together.
    """
    cells, omitted = cells_of(settings)
    if not cells:
        raise InputError(f"the study has no cell: {'; '.join(omitted)}")
    builder = _Builder(settings, sources)
    for cell in cells:
        builder.evaluated(builder.student(cell), cell.label, anchor=False)
    builder.anchors()
    return Graph(_ordered(builder.found), tuple(omitted))


class _Builder:
    """Adds artefacts by hash, so that what is wanted twice is there once."""

    def __init__(self, settings: StudySettings, sources: Sources) -> None:
        self.found: dict[str, Artefact] = {}
        self._settings = settings
        self._sources = sources
        self._whole = {"training data": sources.training_data}

    def add(
        self,
        label: str,
        kind: Kind,
        made_by: Mapping[str, Any],
        inputs: Mapping[str, str] | None = None,
        content: object = None,
        anchor: bool = False,
    ) -> str:
        """The hash of the artefact, which is new or known."""
        inputs = dict(inputs or {})
        parts = [kind, without_places(made_by), sorted(inputs.items()), content, version("telbench")]
        sha256 = fingerprint(parts)
        if sha256 not in self.found:
            self.found[sha256] = Artefact(label, kind, made_by, inputs, sha256, anchor)
        return sha256

    def model(self, role: str, vocabulary: str) -> str:
        """A model as it is before any fine-tuning on questions."""
        name: str = getattr(self._settings.models, role).of(vocabulary)
        if name.startswith(SCRATCH):
            scratch = name.removeprefix(SCRATCH)
            made_by = {"name": scratch, "scratch": asdict(self._settings.scratch[scratch]), "data": self._shared_data()}
            return self.add(f"base-{scratch}", "base", made_by, content=self._whole)
        return self.add(
            f"model-{self.side(role, vocabulary)}", "model", {"path": name}, content=self._sources.models[name]
        )

    def side(self, role: str, vocabulary: str) -> str:
        """``student``, or ``teacher-same`` where the halves have one each."""
        return role if getattr(self._settings.models, role).both else f"{role}-{vocabulary}"

    def sft(
        self, role: str, vocabulary: str, seed: int, *, tokens: int | None = None, whole_budget: bool = False
    ) -> str:
        """A model fine-tuned on the answers. Teachers do not depend on the study's seed and budget, students do."""
        study, budget = self._settings, self._settings.budget.of(tokens)
        own: list[Mapping[str, Any]] = [study.training]
        label = f"sft-{self.side(role, vocabulary)}"
        factors: dict[str, Any] = {"role": role, "algorithm": "sft", f"{role}_sft": True}
        if role == "teacher":
            own.append(study.sft_teacher)
        else:
            label += f"{_budget_in(tokens)}-seed{seed}"
            factors |= {"seed": seed} | ({} if tokens is None else {BUDGET: tokens})
            own += [study.sft_student, {"optimiser": {"seed": seed}}]
            if budget.tokens is not None:
                limit = budget.tokens if whole_budget else budget.sft_tokens
                own.append({"optimiser": {"max_tokens": limit, "epochs": WITHOUT_END}})
            elif whole_budget:
                epochs = epochs_of(study, study.sft_student) + epochs_of(study, study.distillation)
                own.append({"optimiser": {"epochs": epochs}})
            if whole_budget:
                label, factors["role"] = label.replace("sft-", "alone-", 1), "student alone"
        own.append({"student": INPUT + "student", "factors": factors, "method": {"algorithm": "sft"}})
        trained = training_settings(f"sft_{role}", *own)
        return self.add(label, "sft", trained.to_dict(), {"student": self.model(role, vocabulary)}, self._whole)

    def state(self, role: str, vocabulary: str, seed: int, *, tuned: bool, tokens: int | None = None) -> str:
        """A model before or after fine-tuning."""
        return self.sft(role, vocabulary, seed, tokens=tokens) if tuned else self.model(role, vocabulary)

    def student(self, cell: Cell) -> str:
        """The student of a cell."""
        study, budget = self._settings, self._settings.budget.of(cell.tokens)
        teacher = self.state("teacher", cell.vocabulary, cell.seed, tuned=cell.teacher_sft)
        inputs = {
            "student": self.state("student", cell.vocabulary, cell.seed, tuned=cell.student_sft, tokens=cell.tokens),
            "teacher": teacher,
        }
        method: dict[str, Any] = {"algorithm": cell.variant}
        if cell.level == NAIVE:
            method["naive_id_kd"] = True
        fixed: dict[str, Any] = {
            "student": INPUT + "student",
            "teacher": INPUT + "teacher",
            "factors": cell.factors(),
            "method": method,
            "optimiser": {"seed": cell.seed},
        }
        if budget.tokens is not None:
            fixed["optimiser"]["epochs"] = WITHOUT_END
            fixed["optimiser"]["max_tokens"] = budget.distillation_tokens(cell.student_sft)
        if study.cache and objective_named(cell.variant).cacheable:
            fixed["teacher_cache"] = INPUT + "cache"
            inputs["cache"] = self._cache(cell, teacher)
        own, varied = study.algorithms.get(cell.level, {}), changes_of(dict(cell.varied))
        trained = training_settings("distillation", study.training, study.distillation, own, varied, fixed)
        return self.add(f"student-{cell.label}", "student", trained.to_dict(), inputs, self._whole)

    def _cache(self, cell: Cell, teacher: str) -> str:
        """What a teacher says about the training data: the same for all students, seeds and algorithms."""
        state = "sft" if cell.teacher_sft else "base"
        dtype = "bfloat16" if precision_of(self._settings) == "bf16" else "float32"
        made_by = {"data": self._shared_data(), "dtype": dtype}
        label = f"cache-{self.side('teacher', cell.vocabulary)}-{state}"
        return self.add(label, "cache", made_by, {"teacher": teacher}, self._whole)

    def _shared_data(self) -> dict[str, Any]:
        data = shared_data(self._settings)
        place = None if data.data_dir is None else str(data.data_dir)
        # Only students look at the dev split.
        return {name: value for name, value in asdict(data).items() if name != "dev_limit"} | {"data_dir": place}

    def _answers(self, vocabulary: str, teacher: str) -> str:
        """The teacher's run on the training split: the same for all seeds."""
        study = self._settings
        data, label = self._shared_data(), f"answers-{self.side('teacher', vocabulary)}"
        asked = {name: data[name] for name in ("data", "split", "context", "limit", "data_dir", "mapping", "options")}
        measured = {"metrics": "token_f1", "encoder": None, "judge": (), "name": label}
        engine = {"engine": study.evaluation.engine.engine, "max_tokens": study.evaluation.sampling.max_tokens}
        return self.add(label, "answers", {**asked, **engine, **measured}, {"model": teacher}, self._whole)

    def _measured(self) -> dict[str, Any]:
        """The settings of every run of the study: those that always count, and others where they are not usual."""
        evaluation = self._settings.evaluation
        whole = written(evaluation, whole=True)
        always = {name: whole[name] for name in ALWAYS}
        always |= {"metrics": ",".join(evaluation.metrics.metrics), "encoder": evaluation.metrics.encoder or None}
        return always | {name: value for name, value in written(evaluation).items() if name not in ALWAYS}

    def sequence_level(self, vocabulary: str, seed: int, tokens: int | None) -> str:
        """A base student trained on the answers of the fine-tuned teacher."""
        study, budget = self._settings, self._settings.budget.of(tokens)
        teacher = self.sft("teacher", vocabulary, seed)
        answers = self._answers(vocabulary, teacher)
        factors = {"role": "anchor", "teacher_sft": True, "student_sft": False, "vocabulary": vocabulary}
        factors |= {} if tokens is None else {BUDGET: tokens}
        fixed: dict[str, Any] = {
            "student": INPUT + "student",
            "teacher": INPUT + "teacher",
            "teacher_run": INPUT + "answers",
            "factors": {**factors, "algorithm": "seq_kd", "seed": seed},
            "method": {"algorithm": "seq_kd"},
            "optimiser": {"seed": seed},
        }
        if budget.tokens is not None:
            fixed["optimiser"] |= {"epochs": WITHOUT_END, "max_tokens": budget.tokens}
        trained = training_settings("distillation", study.training, study.distillation, fixed)
        inputs = {"student": self.model("student", vocabulary), "teacher": teacher, "answers": answers}
        label = f"student-{vocabulary}-seq_kd{_budget_in(tokens)}-seed{seed}"
        return self.add(label, "student", trained.to_dict(), inputs, self._whole)

    def anchors(self) -> None:
        """What the cells are held against, as far as the study wants them."""
        wanted, levels = set(self._settings.anchors), self._settings.factors
        for vocabulary in levels.vocabulary:
            teacher, student = self.side("teacher", vocabulary), self.side("student", vocabulary)
            if "base_teacher" in wanted:
                self.evaluated(self.model("teacher", vocabulary), f"base-{teacher}", anchor=True)
            if "sft_teacher" in wanted:
                self.evaluated(self.sft("teacher", vocabulary, 0), f"sft-{teacher}", anchor=True)
            if "base_student" in wanted:
                self.evaluated(self.model("student", vocabulary), f"base-{student}", anchor=True)
            for seed, tokens in itertools.product(levels.seed, levels.tokens or (None,)):
                end = f"{_budget_in(tokens)}-seed{seed}"
                if "sft_student" in wanted:
                    tuned = self.sft("student", vocabulary, seed, tokens=tokens)
                    self.evaluated(tuned, f"sft-{student}{end}", anchor=True)
                if "student_alone" in wanted:
                    alone = self.sft("student", vocabulary, seed, tokens=tokens, whole_budget=True)
                    self.evaluated(alone, f"alone-{student}{end}", anchor=True)
                if "seq_kd" in wanted:
                    taught = self.sequence_level(vocabulary, seed, tokens)
                    self.evaluated(taught, f"{vocabulary}-seq_kd{end}", anchor=True)

    def evaluated(self, model: str, label: str, *, anchor: bool) -> str:
        """The run of a model."""
        measured = self._measured()
        content = {"evaluation data": self._sources.evaluation_data, "encoder": self._sources.encoder}
        return self.add(f"run-{label}", "run", {**measured, "name": label}, {"model": model}, content, anchor)


def _budget_in(tokens: int | None) -> str:
    return "" if tokens is None else told_levels({"tokens": tokens})


def without_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the names of files and folders: what lies there is hashed by content."""
    kept = {
        name: value
        for name, value in settings.items()
        if name not in PLACES or is_input(value) or isinstance(value, Mapping)
    }
    return {name: without_places(value) if isinstance(value, Mapping) else value for name, value in kept.items()}


def is_input(value: object) -> bool:
    """Does this stand for another artefact's place?"""
    return isinstance(value, str) and value.startswith(INPUT)


def _ordered(found: Mapping[str, Artefact]) -> dict[str, Artefact]:
    """Each behind its inputs: what many need first, runs last."""
    rank = {"model": 0, "base": 1, "sft": 2, "cache": 3, "answers": 4, "student": 5, "run": 6}
    depth: dict[str, int] = {}

    def deep(sha256: str) -> int:
        if sha256 not in depth:
            depth[sha256] = 1 + max((deep(each) for each in found[sha256].inputs.values()), default=0)
        return depth[sha256]

    ordered = sorted(found.values(), key=lambda each: (rank[each.kind], deep(each.sha256)))
    return {each.sha256: each for each in ordered}
