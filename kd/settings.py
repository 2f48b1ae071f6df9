"""Everything that decides what a training makes, as typed settings with the defaults of the DSKD scripts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from telbench.config import Bounded, read_settings, same_as, setting, written
from telbench.errors import InputError

from ..harness.datasets.settings import DataSettings as AskedData
from ..harness.loggers.contract import logger_named
from .losses.divergences import GROUP as DIVERGENCES
from .losses.divergences import Divergence, divergence_named
from .objectives.contract import GROUP as OBJECTIVES
from .objectives.contract import Objective, objective_named, readers_of
from .selection.score import DEV_LOSS, selecting_metric

# Stands for "no dev split".
NONE = "none"
# Settings of keeping that came later: those that have their default are not in notes.
ADDED = ("select", "select_max_tokens", "patience", "log", "log_dir", "log_project")
# The same of the optimiser.
LATER = ("compile", "micro_batch_tokens", "attn")
# A micro-batch size that is found out.
AUTO = 0
Schedule = Literal["cosine", "linear", "constant"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"]


@dataclass(frozen=True)
class DataSettings(AskedData):
    """What is trained on, and what chooses the best step."""

    split: str = same_as(AskedData, "split", default="train", help="split to train on")
    dev_split: str = setting("dev", "split whose loss chooses the best step; none: the last step is kept", metavar="S")
    dev_limit: int | None = setting(
        None, "look at N items of the dev split, drawn with seed 0 (default: as many as --limit)", metavar="N", low=1
    )
    context: Literal["open", "closed"] = setting("closed", "open book: prompts show the context")
    max_length: int = setting(
        1024, "longest prompt and answer in tokens, at most the models' windows", metavar="N", low=1
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be trained on."""
        super().__post_init__()
        if self.dev_split == self.split:
            raise InputError(f"dev_split is the training split '{self.split}': the best step would be the last")


@dataclass(frozen=True)
class MethodSettings(Bounded):
    """Which algorithm, and its numbers. Those that the algorithm does not read change nothing."""

    algorithm: str = setting("sft", "how the student learns", plugins=OBJECTIVES)
    objective_options: Mapping[str, Any] = setting({}, "numbers of an algorithm of your own", metavar="NAME=X,...")
    divergence: str = setting("forward_kl", "distance between the two distributions", plugins=DIVERGENCES)
    divergence_options: Mapping[str, float] = setting({}, "numbers of the divergence", metavar="NAME=X,...")
    kd_rate: float = setting(0.5, "share of the teacher's term; the rest is the labels'", metavar="R", low=0, high=1)
    temperature: float | None = setting(
        None, "divides both logits in the teacher's term (default: the algorithm's)", metavar="T", above=0
    )
    t2_scale: bool = setting(False, "multiply the teacher's term by T²")
    naive_id_kd: bool = setting(False, "compare different vocabularies by id, to replicate the literature")
    projector_learning_rate: float | None = setting(
        None, "learning rate of the projectors (default: the algorithm's)", metavar="R", above=0
    )
    highest_share: float = setting(1.0, "agreement up to which only agreeing rows count", metavar="R", low=0, high=1)
    attention_scale: Literal["item", "batch"] = setting("item", "attention: what one standard deviation is taken over")
    student_share: float = setting(0.5, "share of steps on the student's own answers", metavar="R", low=0, high=1)
    sampling_temperature: float = setting(1.0, "temperature of the student's answers", metavar="T", above=0)
    max_new_tokens: int = setting(128, "longest answer that a model makes up", metavar="N", low=1)

    def __post_init__(self) -> None:
        """Refuse unknown names, numbers out of range, and options that nothing reads."""
        super().__post_init__()
        reads = self.objective.reads
        if self.naive_id_kd and "naive_id_kd" not in reads:
            readers = " and ".join(readers_of("naive_id_kd"))
            raise InputError(f"naive_id_kd is for {readers}: {self.algorithm} compares no ids by number")
        if self.divergence_options and "divergence" not in reads:
            raise InputError(f"divergence_options are given, but {self.algorithm} has no divergence")
        divergence_named(self.divergence, **self.divergence_options)
        options = self.options
        # Typed, so that a flag's text and a file's number are one and the same training.
        typed = {name: getattr(options, name) for name in self.objective_options}
        object.__setattr__(self, "objective_options", typed)

    @property
    def objective(self) -> Objective:
        """The algorithm's record."""
        return objective_named(self.algorithm)

    @property
    def options(self) -> Any:
        """The algorithm's own numbers: its options' dataclass, from settings of the same name and objective_options.

        Raises:
            InputError: for an option that it has not, or a value that it refuses.
        """
        kind, given = self.objective.options, dict(self.objective_options)
        settings = {known.name for known in fields(self)}
        for name in given:
            if name in settings:
                raise InputError(f"objective_options: {name} is a setting of its own: set method: {name}")
        own = {known.name: getattr(self, known.name) for known in fields(kind) if known.name in settings}
        if given and not fields(kind):
            raise InputError(f"objective_options are given, but {self.algorithm} has none")
        return read_settings(kind, {**own, **given}, f"objective_options of {self.algorithm}")

    @property
    def chosen_divergence(self) -> Divergence | None:
        """The distance of the teacher's term; none for algorithms without one."""
        if self.objective.divergence:
            return divergence_named(self.objective.divergence)
        if "divergence" not in self.objective.reads:
            return None
        return divergence_named(self.divergence, **self.divergence_options)

    @property
    def softness(self) -> float:
        """The temperature of the teacher's term."""
        return self.temperature or self.objective.temperature

    @property
    def projector_rate(self) -> float | None:
        """The projectors' learning rate; none for algorithms without projectors."""
        own = self.objective.projector_rate
        return own if own is None or self.projector_learning_rate is None else self.projector_learning_rate


@dataclass(frozen=True)
class OptimiserSettings(Bounded):
    """Steps, batches and rates. ``max_tokens`` ends training early: equal-token budgets use it."""

    epochs: int = setting(10, "passes over the data", metavar="N", low=1)
    max_tokens: int | None = setting(None, "stop after so many prompt and answer tokens", metavar="N", low=1)
    batch_size: int = setting(32, "items of one optimiser step, over all processes", metavar="N", low=1)
    micro_batch_size: int | None = setting(
        None,
        "items at once in memory (default: as few parts as processes; auto: as many as fit)",
        metavar="N",
        low=0,
        words={"auto": AUTO},
    )
    micro_batch_tokens: int | None = setting(
        None,
        "tokens at once in memory, padding included, in place of a number of items: short ones go through together",
        metavar="N",
        low=1,
    )
    learning_rate: float = setting(5e-4, "peak learning rate", metavar="R", above=0)
    schedule: Schedule = setting("cosine", "course of the learning rate after the warm-up")
    warmup_share: float = setting(0.03, "share of the steps in which the rate rises", metavar="R", low=0, high=1)
    weight_decay: float = setting(0.01, "decay of weight matrices", metavar="R", low=0)
    beta2: float = setting(0.999, "AdamW's memory of squared gradients, below 1", metavar="R", above=0, below=1)
    clip_norm: float = setting(1.0, "largest gradient norm", metavar="X", above=0)
    precision: Literal["fp32", "tf32", "bf16"] = setting("fp32", "number format of the matrix products")
    attn: Attention = setting("auto", "kernel of the models' attention (auto: what transformers takes)")
    compile: bool = setting(False, "fuse the models' operations: some seconds at the start, then faster steps on a GPU")
    gradient_checkpointing: bool = setting(False, "compute activations twice to save memory")
    seed: int = setting(0, "orders the items; initialises projectors and adapters", metavar="K")
    threads: int = setting(
        1, "processor threads; more are faster, another number gives other last digits", metavar="N", low=1
    )

    def __post_init__(self) -> None:
        """Refuse two bounds of one thing."""
        super().__post_init__()
        if self.micro_batch_size is not None and self.micro_batch_tokens is not None:
            raise InputError("micro_batch_size and micro_batch_tokens both bound what is in memory: leave one out")

    @property
    def number_format(self) -> str:
        """What a model is loaded in that is not trained."""
        return "bfloat16" if self.precision == "bf16" else "float32"

    @property
    def loading(self) -> dict[str, str]:
        """What a model is loaded with, beside its number format."""
        return {} if self.attn == "auto" else {"attn_implementation": self.attn}


@dataclass(frozen=True)
class LoraSettings(Bounded):
    """Low-rank adapters in place of full fine-tuning; ``save`` says what becomes of them."""

    rank: int = setting(16, "rank of the adapters (none given: full fine-tuning)", metavar="N", low=1)
    alpha: float = setting(32.0, "scale of the adapters: alpha / rank", metavar="A", above=0)
    dropout: float = setting(0.0, "dropout before the adapters, below 1", metavar="R", low=0, below=1)
    targets: tuple[str, ...] = setting(
        (), "modules that get adapters (default: all linear ones)", many="comma", metavar="NAME,..."
    )


@dataclass(frozen=True)
class RolloutSettings(Bounded):
    """What the student answers with while it learns: its own answers to train on, and those that ``select`` scores."""

    engine: Literal["transformers", "vllm"] = setting("transformers", "what answers for the student in its training")
    memory: float | None = setting(
        None, "share of the GPU's memory that vLLM takes (default: 0.3)", metavar="R", above=0, below=1
    )

    def __post_init__(self) -> None:
        """Refuse what changes nothing."""
        super().__post_init__()
        if self.memory is not None and self.engine != "vllm":
            raise InputError("rollout memory is for vllm: pass --rollout-engine vllm, or leave --rollout-memory out")


@dataclass(frozen=True)
class KeepingSettings(Bounded):
    """What is saved when; nothing here changes the weights, except which step is kept."""

    save_every: int | None = setting(
        None, "steps between saves that training can resume from (default: an epoch)", metavar="N", low=1
    )
    evaluate_every: int | None = setting(
        None, "steps between looks at the dev split (default: an epoch)", metavar="N", low=1
    )
    keep: Literal["best", "last"] = setting("best", "which step becomes the checkpoint: best by dev loss, or last")
    save: Literal["both", "merged", "adapter"] = setting(
        "both", "LoRA: the checkpoint is the model with the adapter in it, the adapter alone, or has it beside it"
    )
    save_dtype: Literal["float32", "bfloat16"] = setting("float32", "number format of the saved weights")
    select: str = setting(
        DEV_LOSS,
        "what chooses the best step: dev_loss, or a metric of answers to the dev split, as token_f1",
        metavar="M",
    )
    select_max_tokens: int = setting(128, "longest answer that --select asks for", metavar="N", low=1)
    patience: int | None = setting(
        None, "end after N looks at the dev split without a better one (default: never)", metavar="N", low=1
    )
    log: tuple[str, ...] = setting(
        (), "show the numbers in tensorboard, wandb or mlflow too; repeatable", many="repeat", metavar="NAME"
    )
    log_dir: Path | None = setting(None, "where loggers write (default: into the checkpoint)", metavar="DIR")
    log_project: str = setting("telbench", "W&B's project, MLflow's experiment", metavar="NAME")


@dataclass(frozen=True)
class TrainingSettings:
    """One training: ``student`` is the model that learns (for SFT of a teacher, that teacher).

    ``teacher_run`` holds the answers that sequence-level distillation trains on. ``teacher_cache`` replaces the
    teacher's body by what `telbench kd cache` stored of it.
    """

    student: str = setting("", "checkpoint folder of the model that learns", flag=False)
    teacher: str | None = setting(None, "checkpoint folder of the teacher", flag=False)
    teacher_cache: Path | None = setting(None, "folder made by telbench kd cache: the teacher's body is not loaded")
    teacher_run: Path | None = setting(
        None,
        "where its answers are learned: a run of the teacher on the training split (default: made now)",
    )
    data: DataSettings = field(default_factory=DataSettings)
    method: MethodSettings = field(default_factory=MethodSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    lora: LoraSettings | None = None
    rollout: RolloutSettings | None = None
    keeping: KeepingSettings = field(default_factory=KeepingSettings)
    factors: Mapping[str, Any] = setting(
        {}, "what varies between trainings, for studies and boards", metavar="NAME=VALUE,...", flag=False
    )

    def __post_init__(self) -> None:
        """Refuse keys that contradict each other."""
        algorithm, objective = self.method.algorithm, self.method.objective
        if not self.student:
            raise InputError("no student: name the checkpoint folder of the model that learns")
        if objective.needs == "rows" and self.teacher is None:
            raise InputError(f"{algorithm} needs a teacher: name its checkpoint folder")
        if objective.needs == "labels" and (self.teacher is not None or self.teacher_cache is not None):
            raise InputError(f"{algorithm} has no teacher: leave it out, or choose an algorithm that distils")
        if self.teacher_run is not None and objective.needs != "answers" and not objective.teacher_answers:
            raise InputError(f"{algorithm} trains on no answers of the teacher: leave teacher_run out")
        if self.optimiser.compile and objective.on_policy:
            raise InputError(f"{algorithm} cannot be compiled: the student generates in between; leave compile out")
        if len(set(self.keeping.log)) < len(self.keeping.log):
            raise InputError(f"log: {', '.join(self.keeping.log)}: name each logger once")
        for name in self.keeping.log:
            logger_named(name)
        if self.keeping.select != DEV_LOSS:
            selecting_metric(self.keeping.select)
            if self.keeping.keep == "last":
                raise InputError(f"select: {self.keeping.select} chooses the best step: leave keep: last out")
        if self.rollout is not None and not self.answers:
            raise InputError(f"rollout: {algorithm} asks the student for no answers: leave it out, or set select")
        if self.data.dev_split == NONE and (self.keeping.select != DEV_LOSS or self.keeping.patience is not None):
            raise InputError("select and patience look at a dev split: name one as dev_split")
        if self.keeping.save == "adapter" and self.lora is None:
            raise InputError("save: adapter is for LoRA: pass --lora-rank, or leave --save out")
        if self.teacher_cache is not None and not objective.cacheable:
            raise InputError(f"{algorithm} cannot use a teacher cache: leave teacher_cache out")

    @property
    def answers(self) -> bool:
        """Does the student answer while it learns?"""
        return self.method.objective.on_policy or self.keeping.select != DEV_LOSS

    @property
    def by_vllm(self) -> bool:
        """Does vLLM answer for it?"""
        return self.rollout is not None and self.rollout.engine == "vllm"

    def to_dict(self) -> dict[str, Any]:
        """As JSON: what the checkpoint's note keeps."""
        told = written(self, whole=True)
        if not self.by_vllm:
            del told["rollout"]
        # Trainings without these keep the note, and the key made of it, that they always had.
        if not self.method.objective_options:
            del told["method"]["objective_options"]
        if self.data.dev_limit is None:
            del told["data"]["dev_limit"]
        first = written(OptimiserSettings(), whole=True)
        for name in LATER:
            if told["optimiser"][name] == first[name]:
                del told["optimiser"][name]
        usual = written(KeepingSettings(), whole=True)
        for name in ADDED:
            if told["keeping"][name] == usual[name]:
                del told["keeping"][name]
        return told


def require_read(method: MethodSettings, asked: Collection[str]) -> None:
    """Raise `InputError` where a setting was asked for that the algorithm does not read: it would change nothing."""
    objective = method.objective
    own = {"algorithm", "objective_options", "divergence_options", *(known.name for known in fields(objective.options))}
    for name in asked:
        if name in own | objective.reads:
            continue
        flag, readers = name.replace("_", "-"), ", ".join(readers_of(name))
        raise InputError(f"--{flag} changes nothing: {objective.name} does not read it, only {readers}")


def require_verb(settings: TrainingSettings, verb: str) -> None:
    """Raise `InputError` where fine-tuning was asked to distil, or the other way round."""
    algorithm = settings.method.algorithm
    if verb == "sft" and algorithm != "sft":
        raise InputError(f"kd sft has no algorithm to choose (now {algorithm}): use telbench kd distill")
    if verb == "distill" and algorithm == "sft":
        raise InputError("kd distill needs an algorithm: pass --algorithm; telbench kd algorithms lists them")
