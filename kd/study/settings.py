"""A study as typed settings: its factors, its models, what is trained how, and what is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from telbench.config import merged, near_name, read_settings, read_yaml, require_positive, setting, settings_in, written
from telbench.errors import InputError
from telbench.flags import nested
from telbench.registry import listed

from ...harness.loggers.settings import ShownSettings
from ...harness.runs.settings import EvalSettings, eval_settings
from ..objectives.contract import DIFFERENT, objective_named
from ..objectives.contract import GROUP as OBJECTIVES
from ..settings import DataSettings, OptimiserSettings, TrainingSettings
from ..tiny.settings import ScratchSettings

Vocabulary = Literal["same", "different"]
Anchor = Literal["base_teacher", "sft_teacher", "base_student", "sft_student", "student_alone", "seq_kd"]
# Levels that name a version of DSKD; dskd is the one that the setting of that name says. Which algorithm that is
# depends on the half of the study.
VERSIONS = ("dskd_v1", "dskd_v2")
# What may stand in place of a cell that is not permitted, besides another algorithm.
SKIP, NAIVE = "skip", "naive_id_kd"
# A model that the study makes from nothing is named so; anything else is a checkpoint folder.
SCRATCH = "scratch:"
PRESETS = ("nano", "nano-long", "demo", "real-small")
ANCHORS: tuple[Anchor, ...] = get_args(Anchor)
Group = TypeVar("Group")


@dataclass(frozen=True)
class ByVocabulary:
    """A checkpoint folder (or ``scratch:NAME``) for both halves of the study, or one for each."""

    both: str | None = setting(None, "model of both halves")
    same: str | None = setting(None, "model of the half with one vocabulary")
    different: str | None = setting(None, "model of the half with two vocabularies")

    def __post_init__(self) -> None:
        """Refuse a model named twice."""
        if self.both is not None and (self.same or self.different):
            raise InputError("a model is given as 'both' and by vocabulary: keep one of them")

    def of(self, vocabulary: str) -> str | None:
        """The model of one half, if there is one."""
        return self.both or (self.same if vocabulary == "same" else self.different)


@dataclass(frozen=True)
class ModelSettings:
    """Who teaches and who learns. One of them differs between the halves: teachers by vocabulary, or students."""

    student: ByVocabulary
    teacher: ByVocabulary


@dataclass(frozen=True)
class FactorSettings:
    """Levels of the factors; a cell is one combination.

    Those after ``seed`` are settings of the distillations, and no factors where they have no levels. ``lora_rank`` 0 is
    full fine-tuning; ``tokens`` are budgets. ``settings`` holds levels of any other setting, called as its flag is.
    """

    teacher_sft: tuple[bool, ...] = (False, True)
    student_sft: tuple[bool, ...] = (False, True)
    vocabulary: tuple[Vocabulary, ...] = ("same", "different")
    algorithm: tuple[str, ...] = ("vanilla_kd", "dskd")
    seed: tuple[int, ...] = (0,)
    divergence: tuple[str, ...] = ()
    temperature: tuple[float, ...] = ()
    kd_rate: tuple[float, ...] = ()
    lora_rank: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    settings: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a factor without levels, and a level given twice."""
        always = {
            name: getattr(self, name) for name in ("teacher_sft", "student_sft", "vocabulary", "algorithm", "seed")
        }
        for name in self.settings:
            if name in {each.name for each in fields(self)}:
                raise InputError(f"factors: settings: {name} is a factor of its own: write it one step further out")
        for name, levels in {**always, **self.varied}.items():
            if not levels or len(set(map(repr, levels))) < len(levels):
                raise InputError(f"factors: {name} is {list(levels)}: one level or more, each once")
        for level in self.algorithm:
            if level == "dskd_cma":
                raise InputError("factors: algorithm: dskd_cma is dskd_v1 between different vocabularies: name that")
            if level not in VERSIONS:
                _refuse_no_level(level, "factors: algorithm", *VERSIONS)
        for name in self.varied:
            settings_path(name)

    @property
    def varied(self) -> dict[str, tuple[Any, ...]]:
        """Factors that are settings of the distillations, with their levels."""
        own = {name: getattr(self, name) for name in ("divergence", "temperature", "kd_rate", "lora_rank", "tokens")}
        return {name: levels for name, levels in own.items() if levels} | dict(self.settings)


@dataclass(frozen=True)
class BudgetSettings:
    """How much each student may train, all its trainings together.

    ``equal_epochs``: supervised fine-tuning and distillation as long as their own settings say, so that a student
    with both has seen the data more often. ``equal_tokens``: every student sees ``tokens`` tokens of prompts and
    answers; one that is fine-tuned first spends ``sft_share`` of them on that.
    """

    kind: Literal["equal_epochs", "equal_tokens"] = "equal_epochs"
    tokens: int | None = setting(None, "tokens of each student, all trainings together")
    sft_share: float = setting(0.5, "share of the tokens that a fine-tuned student spends before distillation")

    def __post_init__(self) -> None:
        """Refuse a budget that cannot be kept."""
        if self.kind != "equal_tokens" and self.tokens is not None:
            raise InputError("budget: 'tokens' belongs to 'kind: equal_tokens', and to nothing else")
        if self.tokens is not None:
            require_positive(self, "tokens")
        if not 0 < self.sft_share < 1:
            raise InputError(f"budget: sft_share is {self.sft_share}: it lies between 0 and 1")

    def of(self, tokens: int | None) -> BudgetSettings:
        """The budget of one level of the factor ``tokens``; as it is where that is none."""
        return self if tokens is None else replace(self, tokens=tokens)

    @property
    def sft_tokens(self) -> int | None:
        """Tokens of a student's supervised fine-tuning before distillation."""
        return None if self.tokens is None else max(1, round(self.tokens * self.sft_share))

    def distillation_tokens(self, student_sft: bool) -> int | None:
        """Tokens of a student's distillation: what its fine-tuning has left."""
        return None if self.tokens is None else self.tokens - ((self.sft_tokens or 0) if student_sft else 0)


def usual_evaluation() -> EvalSettings:
    """What a study measures unless it says otherwise."""
    return eval_settings(context="closed", metrics=("ngram",))


@dataclass(frozen=True)
class StudySettings:
    """A whole study. ``training`` holds what all trainings share, the three groups below it what differs.

    ``dskd``: version 1 is that of the paper, with cross-model attention between different vocabularies; version 2
    trains on exactly aligned tokens there. Either way the level is called dskd, and ``variant`` tells which it was.
    ``illegal`` decides about cells whose algorithm is not permitted between different vocabularies: left out
    (``skip``), filled by another algorithm (which keeps its own name), or, where ids are compared, made all the same
    as ``naive_id_kd`` to replicate the literature.
    ``anchors`` are what cells are held against; ``student_alone`` is a student fine-tuned for the whole budget.
    """

    name: str
    models: ModelSettings
    factors: FactorSettings = field(default_factory=FactorSettings)
    dskd: Literal["v1", "v2"] = "v1"
    illegal: str = SKIP
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    anchors: tuple[Anchor, ...] = ANCHORS
    cache: bool = setting(True, "store what the teachers say once; false: teachers run beside their students")
    training: Mapping[str, Any] = field(default_factory=dict)
    sft_teacher: Mapping[str, Any] = field(default_factory=dict)
    sft_student: Mapping[str, Any] = field(default_factory=dict)
    distillation: Mapping[str, Any] = field(default_factory=dict)
    algorithms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scratch: Mapping[str, ScratchSettings] = field(default_factory=dict)
    evaluation: EvalSettings = field(default_factory=usual_evaluation)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, before anything is made."""
        for vocabulary in self.factors.vocabulary:
            for role in ("student", "teacher"):
                model = getattr(self.models, role).of(vocabulary)
                if not model:
                    flag = "--student DIR" if role == "student" else f"--teacher-{vocabulary} DIR"
                    raise InputError(
                        f"models: no {role} for vocabulary '{vocabulary}': name one as 'both' or by half, or by {flag}"
                    )
                if model.startswith(SCRATCH) and model.removeprefix(SCRATCH) not in self.scratch:
                    raise InputError(f"models: {model}, but there is no '{model.removeprefix(SCRATCH)}' in scratch")
        self._refuse_factors()
        if self.illegal not in {SKIP, NAIVE}:
            _refuse_no_level(self.illegal, "illegal", SKIP, NAIVE)
            if not objective_named(self.illegal).permits(DIFFERENT).allowed:
                raise InputError(f"illegal: {self.illegal} is itself not permitted between different vocabularies")
        for level in (level for level in self.factors.algorithm if level in {"dskd", *VERSIONS}):
            if level != self.illegal and variant_of(level, "different", self.dskd) == self.illegal:
                other = f", or 'dskd: {'v1' if self.dskd == 'v2' else 'v2'}'" if level == "dskd" else ""
                raise InputError(
                    f"illegal: {self.illegal} would make the cells of {level} twice: choose another{other}"
                )
        for name in self.algorithms:
            if name not in {*self.factors.algorithm, self.illegal}:
                raise InputError(f"algorithms: {name} is no level of the factor algorithm")
        refuse_foreign(self.evaluation)
        for label in ("training", "sft_teacher", "sft_student", "distillation"):
            refuse_own_keys(getattr(self, label), label, self.budget, learns_by_seed=label != "sft_teacher")
        for name, group in self.algorithms.items():
            refuse_own_keys(group, f"algorithms: {name}", self.budget, learns_by_seed=True)

    def _refuse_factors(self) -> None:
        """Refuse a factor that says what another one, or a setting, says too."""
        levels, version = set(self.factors.algorithm), f"dskd_{self.dskd}"
        if {"dskd", version} <= levels:
            raise InputError(f"factors: algorithm: dskd is {version} here ('dskd: {self.dskd}'): name one of them")
        tokens, budget = self.factors.tokens, self.budget
        if budget.kind == "equal_tokens" and (budget.tokens is None) == (not tokens):
            told = "the factor tokens has levels: leave it out" if tokens else "'kind: equal_tokens' needs 'tokens'"
            raise InputError(f"budget: {told}")
        if tokens and budget.kind != "equal_tokens":
            raise InputError("factors: tokens is a budget: write 'budget: {kind: equal_tokens}'")
        groups = {"training": self.training, "distillation": self.distillation}
        groups |= {f"algorithms: {name}": group for name, group in self.algorithms.items()}
        for name in self.factors.varied:
            path = settings_path(name)
            refuse_own_keys(_at_path(path, True), "algorithms: factors", self.budget, learns_by_seed=True)
            for label, group in groups.items():
                if path and _value_at(group, path) is not None:
                    raise InputError(f"{label}: {'.'.join(path)} is a factor: leave it out")


def settings_path(name: str) -> tuple[str, ...]:
    """Where a factor stands in the settings of a training: ``("lora", "rank")``; empty for the budget.

    Raises:
        InputError: for what no setting is called.
    """
    if name == "tokens":
        return ()
    found: Any = nested(TrainingSettings, {name: True}, "factors: settings")
    path: list[str] = []
    while isinstance(found, Mapping):
        ((key, found),) = found.items()
        path.append(key)
    return tuple(path)


def _at_path(path: Sequence[str], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return value if isinstance(value, dict) else {}


def _value_at(group: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = group
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def changes_of(levels: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that these levels of factors are; LoRA of rank 0 is full fine-tuning."""
    found: dict[str, Any] = {}
    for name, level in levels.items():
        path = settings_path(name)
        whole = name == "lora_rank" and not level
        found = merged(found, {"lora": None} if whole else _at_path(path, level))
    return found


def refuse_foreign(evaluation: EvalSettings) -> None:
    """Refuse settings of a run that the study decides, and engines that make no answers with a checkpoint.

    Raises:
        InputError: naming the key.
    """
    decided = {"model", "name", "out", "fresh", "answers", "base_url", *settings_in(ShownSettings)}
    for name in sorted(written(evaluation).keys() & decided):
        raise InputError(f"evaluation: {name} is decided by the study: leave it out")
    if evaluation.engine.engine in {"openai", "replay"}:
        raise InputError(f"evaluation: engine {evaluation.engine.engine} makes no answers with a student: leave it out")


def _refuse_no_level(name: str, where: str, *more: str) -> None:
    """Raise `InputError` for what is no algorithm that learns from a teacher's rows; ``more``: what else it may be."""
    if name not in listed(OBJECTIVES):
        raise InputError(f"{where} is '{name}': {near_name(name, {**dict.fromkeys(more), **listed(OBJECTIVES)})}")
    if objective_named(name).needs != "rows":
        raise InputError(f"{where} is '{name}', which learns nothing token by token from a teacher: it is no level")


def variant_of(level: str, vocabulary: str, dskd: str) -> str:
    """The algorithm that a level of the factor means in one half of the study; ``dskd``: v1 or v2."""
    if level in {"dskd", *VERSIONS}:
        across = "dskd_cma" if vocabulary == "different" else "dskd"
        return "dskd_v2" if level == "dskd_v2" or (level == "dskd" and dskd == "v2") else across
    return "vanilla_kd" if level == NAIVE else level


def refuse_own_keys(group: Mapping[str, Any], label: str, budget: BudgetSettings, *, learns_by_seed: bool) -> None:
    """Refuse what the study itself decides.

    Raises:
        InputError: naming the key.
    """
    taken = [("student",), ("teacher",), ("teacher_cache",), ("factors",), ("method", "algorithm")]
    taken += [("method", "naive_id_kd")]
    if label.startswith("algorithms"):
        # All cells of a teacher share its cache, which is made for one set of prompts.
        taken.append(("data",))
    if learns_by_seed and label != "training":
        taken.append(("optimiser", "seed"))
    if budget.kind == "equal_tokens" and label not in {"sft_teacher"}:
        taken.append(("optimiser", "max_tokens"))
    for path in taken:
        if _value_at(group, path) is not None:
            raise InputError(f"{label}: {'.'.join(path)} is decided by the study: leave it out")


def training_settings(where: str, *groups: Mapping[str, Any]) -> TrainingSettings:
    """Groups of settings merged, the later ones first, and checked like any training.

    Raises:
        InputError: for unknown keys or contradictions.
    """
    together: dict[str, Any] = {}
    for group in groups:
        together = merged(together, group)
    return read_settings(TrainingSettings, together, where)


def shared_data(study: StudySettings) -> DataSettings:
    """The data of every distillation, which caches and answers are made for too."""
    return _group(study, DataSettings, "data", study.distillation)


def epochs_of(study: StudySettings, group: Mapping[str, Any]) -> int:
    """Epochs of the trainings of a group."""
    return _group(study, OptimiserSettings, "optimiser", group).epochs


def precision_of(study: StudySettings) -> str:
    """Number format of the distillations: teachers' rows are stored in it too."""
    return _group(study, OptimiserSettings, "optimiser", study.distillation).precision


def _group(study: StudySettings, kind: type[Group], name: str, over: Mapping[str, Any]) -> Group:
    together = merged({name: study.training.get(name, {})}, {name: over.get(name, {})})
    return read_settings(kind, together[name], name)


def read_study(source: str, models: Mapping[str, Any] | None = None) -> StudySettings:
    """A study from a YAML file, or the preset of that name; ``models`` replace its own, side by side and half by half.

    Raises:
        InputError: naming the key that does not fit.
    """
    if source in PRESETS:
        with resources.as_file(resources.files(__package__ or __name__).joinpath("presets", f"{source}.yaml")) as file:
            return read_settings(StudySettings, _with_models(read_yaml(file), models), f"preset {source}")
    file = Path(source)
    if not file.is_file():
        raise InputError(f"{source}: no such file: name a YAML file, or a preset ({', '.join(PRESETS)})")
    return read_settings(StudySettings, _with_models(read_yaml(file), models), str(file))


def _with_models(study: Mapping[str, Any], models: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A model named for one half does not stand beside one named for both."""
    found: Mapping[str, Any] = study
    for role, given in (models or {}).items():
        before = (found.get("models") or {}).get(role) or {}
        halves = {name: before.get(name, before.get("both")) for name in ("same", "different")}
        kept = {} if "both" in given else {name: folder for name, folder in halves.items() if folder is not None}
        found = {**found, "models": {**(found.get("models") or {}), role: {**kept, **given}}}
    return found
