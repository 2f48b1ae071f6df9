"""One candidate from settings: prepare, train, and put the checkpoint in its place, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError, TelbenchError, missing_extra

from ...harness.cli.terminal import Reporter
from ...harness.engines.loading import out_of_memory
from ...harness.engines.transformers import load_model
from ...harness.storage import FolderLock, RecordStore
from ..checkpoints import NOTE, Origin, data_facts, made_with, read_origin, without_bars
from ..models import Model
from ..rollout.contract import Rollouts
from ..rollout.generate import Generated
from ..selection.score import DEV_LOSS
from ..settings import AUTO, TrainingSettings
from .examples import taught
from .on_policy import StudentAnswers
from .optimisation import LOG, one_way
from .prepare import Identified, Prepared, identify, place_beside, prepare
from .report import advice, steps_of, told_beforehand
from .writing import student_of, write_candidate

if TYPE_CHECKING:
    from .trainer import Trainer


@dataclass(frozen=True)
class Candidate:
    """A finished checkpoint; ``made_now`` is false when it was found."""

    path: Path
    origin: Origin
    made_now: bool


def train_candidate(settings: TrainingSettings, out: Path, reporter: Reporter, *, fresh: bool = False) -> Candidate:
    """Make the checkpoint of these settings at ``out``, go on with one that was begun, or find it there.

    What training needs until it ends stands in ``OUT.training`` beside it. Under ``accelerate launch`` all processes
    call this; the first one writes.

    Raises:
        InputError: for wrong settings, models, data or places (nothing that was saved is lost).
        TelbenchError: when the loss is no longer a number.
    """
    accelerator = _accelerator(settings)
    told = reporter if accelerator.is_main_process else Silent()
    identified = identify(settings)
    _require_rollouts(identified, accelerator)
    work = place_beside(out)
    if accelerator.is_main_process:
        _claim(out, work, identified.key, fresh=fresh)
    accelerator.wait_for_everyone()
    if not fresh and made_with(out, identified.key):
        told.note(f"{out}: already made by these settings")
        if accelerator.is_main_process:
            shutil.rmtree(work, ignore_errors=True)
        return Candidate(out, read_origin(out), made_now=False)
    with contextlib.ExitStack() as stack:
        if accelerator.is_main_process:
            stack.callback(FolderLock(work).release)
        try:
            return _train(_prepared(identified, work, accelerator, told), out, work, accelerator, told)
        except TelbenchError:
            # Without a state or a teacher's answers nothing can be gone on from.
            kept = (*work.glob("step-*"), *work.glob("teacher-answers*"))
            if accelerator.is_main_process and not kept:
                shutil.rmtree(work, ignore_errors=True)
            raise


class Silent(Reporter):
    """What the processes after the first one tell: nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._console.quiet = True


def _prepared(identified: Identified, work: Path, accelerator: Any, reporter: Reporter) -> Prepared:
    answers: Mapping[str, str] | None = None
    objective = identified.settings.method.objective
    if objective.needs == "answers" or objective.teacher_answers:
        from ..teacher.answers import teacher_answers

        # One process asks the teacher, the others read what it was answered.
        if accelerator.is_main_process:
            answers = teacher_answers(identified.settings, work, reporter)
        accelerator.wait_for_everyone()
        answers = answers or teacher_answers(identified.settings, work, reporter)
    prepared = prepare(identified, answers)
    for line in told_beforehand(prepared):
        reporter.note(line)
    return prepared


def _accelerator(settings: TrainingSettings) -> Any:
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    except ImportError as error:
        raise missing_extra("accelerate", "train", "training") from error
    # It keeps the precision of a process's first training, and refuses another.
    AcceleratorState._reset_state()
    _refuse_other_precision(settings.optimiser.precision)
    accelerator = Accelerator(mixed_precision="bf16" if settings.optimiser.precision == "bf16" else "no")
    if settings.optimiser.precision == "tf32" and accelerator.device.type != "cuda":
        raise InputError("precision tf32 is a format of NVIDIA GPUs, and there is none here: use fp32 or bf16")
    return accelerator


def _refuse_other_precision(precision: str) -> None:
    """What ``accelerate launch`` was told, by its file or flag, must be what the training was told."""
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launched in ("no", precision):
        return
    if launched == "bf16":
        raise InputError(
            f"accelerate is told mixed_precision: bf16, the training --precision {precision}: pass --precision bf16, "
            "or set mixed_precision: 'no'"
        )
    raise InputError(
        f"accelerate is told mixed_precision: {launched}: telbench trains in bf16 or 'no' (with fp32, tf32)"
    )


def _claim(out: Path, work: Path, key: str, *, fresh: bool) -> None:
    """Refuse a place that holds something else; make the working folder.

    Raises:
        InputError: when the place cannot be used.
    """
    if (out.is_file() or (out.is_dir() and any(out.iterdir()))) and not made_with(out, key):
        if not (out / NOTE).is_file():
            raise InputError(f"{out} exists and was not made by telbench: move it away, or choose another --out")
        if not fresh:
            raise InputError(
                f"{out} holds a checkpoint made by other settings: choose another --out, or pass --fresh to replace it"
            )
    try:
        if fresh:
            shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write in {work.parent}: {error.strerror}: choose another --out") from error


def _train(prepared: Prepared, out: Path, work: Path, accelerator: Any, reporter: Reporter) -> Candidate:
    from .distiller import Distiller
    from .trainer import Trainer

    settings = prepared.settings
    optimiser = settings.optimiser
    with one_way(optimiser.seed, optimiser.threads, tf32=optimiser.precision == "tf32"), contextlib.ExitStack() as held:
        with without_bars():
            student = student_of(prepared).to(accelerator.device)
            teacher = _teacher(prepared, accelerator.device)
        distiller = Distiller(student, settings.method, teacher, prepared.link)
        if optimiser.compile:
            from .compiling import compile_models

            compile_models(distiller, teacher)
        rollouts = _rollouts(prepared, student)
        held.callback(rollouts.close)
        own = _own(prepared, rollouts, work, accelerator.process_index, held)
        trainer = Trainer(prepared, distiller, accelerator, work, rollouts, teacher=teacher, own_answers=own)
        if optimiser.micro_batch_size == AUTO:
            reporter.note(f"{trainer.items_at_once} of {optimiser.batch_size} items go through at once")
        if begun := trainer.progress.step:
            reporter.note(f"{work}: going on after step {begun} of {prepared.plan.steps}")
        label = f"{settings.method.algorithm} {out.name}"
        try:
            with reporter.progress(label, prepared.plan.steps) as meter:
                outcome = trainer.train(meter)
        except KeyboardInterrupt:
            reporter.note(f"stopped; the same command goes on from {work}")
            raise
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise TelbenchError(_too_large(prepared, trainer)) from error
        answered = rollouts.told()
        # Its memory is wanted for what follows.
        rollouts.close()
        best, early = outcome.progress.best, outcome.progress.step < prepared.plan.steps
        if early:
            reporter.note(f"ended early at step {outcome.progress.step} of {prepared.plan.steps}: no look was better")
        origin = replace(
            origin_of(prepared),
            training={
                **{name: value for name, value in asdict(outcome.progress).items() if name not in {"looked", "stale"}},
                "best": best and {name: value for name, value in asdict(best).items() if value is not None},
                "steps": prepared.plan.steps,
                "kept_step": outcome.kept,
                "examples": len(prepared.texts.examples),
                "dropped": dict(prepared.texts.dropped),
                "parameters": sum(weight.numel() for weight in student.parameters()),
                "trained_parameters": sum(weight.numel() for weight in distiller.parameters() if weight.requires_grad),
                "processes": accelerator.num_processes,
                "items_at_once": trainer.items_at_once,
                **({"ended_early": True} if early else {}),
                **({"rollout": answered} if answered else {}),
            },
        )
        if accelerator.is_main_process:
            warnings = advice(work / LOG, settings)
            for warning in warnings:
                reporter.note(warning)
            last = steps_of(work / LOG)[-1]["loss"]
            origin = replace(origin, training={**origin.training, "last_loss": last, "warnings": warnings})
            origin = write_candidate(prepared, out, work, origin, accelerator.device, reporter)
            shutil.rmtree(work, ignore_errors=True)
        accelerator.wait_for_everyone()
    return Candidate(out, origin, made_now=True)


def _too_large(prepared: Prepared, trainer: Trainer) -> str:
    """What to lower when memory has run out."""
    settings, step, size = prepared.settings, trainer.progress.step, trainer.items_at_once
    tokens, stays = settings.optimiser.micro_batch_tokens, f"(the step stays one of {settings.optimiser.batch_size})"
    ways = [f"--micro-batch-size {size // 2} {stays}"] * (size > 1 and tokens is None)
    ways += [] if tokens is None else [f"--micro-batch-tokens {max(1, tokens // 2)} {stays}"]
    ways += ["--gradient-checkpointing"] * (not settings.optimiser.gradient_checkpointing)
    ways += [f"--max-length below {settings.data.max_length}", "--lora-rank 16"][: 2 if settings.lora is None else 1]
    kept = f"; the state of step {step} is kept, and the first two go on from it" if step else ""
    at_once = f"{size} items" if tokens is None else f"up to {tokens} tokens"
    return f"out of memory at step {step + 1} with {at_once} at once: lower it by {', or '.join(ways)}{kept}"


def _teacher(prepared: Prepared, device: Any) -> Any:
    settings, teacher = prepared.settings, prepared.teacher
    if teacher is None or settings.method.objective.needs != "rows":
        return None
    if settings.teacher_cache is not None:
        from ..teacher.cache import open_cached_teacher

        cached = open_cached_teacher(settings.teacher_cache, teacher.checkpoint, device)
        cached.cache.require(taught(prepared.texts.examples))
        return cached
    from ..teacher.rows import LiveTeacher

    loaded = load_model(teacher.checkpoint, settings.optimiser.number_format, settings.optimiser.loading)
    return LiveTeacher(loaded.to(device))


def _require_rollouts(identified: Identified, accelerator: Any) -> None:
    """Refuse at once what would show at the first answer of the student. Raises `InputError`."""
    if not identified.settings.by_vllm:
        return
    from torch import distributed

    from ..rollout.vllm import require_vllm

    several = accelerator.num_processes > 1 or (distributed.is_available() and distributed.is_initialized())
    require_vllm(identified.student.checkpoint, alone=not several)


def _rollouts(prepared: Prepared, student: Any) -> Rollouts:
    """What answers for the student while it learns."""
    settings, texts = prepared.settings, prepared.texts
    if settings.rollout is None or not settings.by_vllm:
        return Generated(student, prepared.student.tokenizer)
    from ..rollout.vllm import SHARE, Asked, VllmRollouts

    own, scored = settings.method.objective.on_policy, settings.keeping.select != DEV_LOSS
    asked = [
        *((each.student.start + settings.method.max_new_tokens) for each in texts.examples if own),
        *((each.student.start + settings.keeping.select_max_tokens) for each in texts.dev_examples if scored),
    ]
    kind, seed = settings.optimiser.number_format, settings.optimiser.seed
    return VllmRollouts(
        student, Asked(prepared.student.checkpoint, kind, max(asked), settings.rollout.memory or SHARE, seed)
    )


def _own(prepared: Prepared, rollouts: Rollouts, work: Path, rank: int, held: contextlib.ExitStack) -> Any:
    """The student's own answers and where they are kept; None for algorithms that ask for none."""
    if not prepared.settings.method.objective.on_policy:
        return None
    drawn = held.enter_context(RecordStore(work / f"drawn-{prepared.key[:16]}-{rank}.jsonl"))
    return StudentAnswers(rollouts, prepared, drawn)


def origin_of(prepared: Prepared) -> Origin:
    """The note of a candidate before training: factors, data, settings, key."""
    settings = prepared.settings
    teacher = prepared.teacher
    factors: dict[str, Any] = {
        "algorithm": settings.method.algorithm,
        "student_sft": settings.method.objective.needs == "labels" or was_fine_tuned(prepared.student),
        "seed": settings.optimiser.seed,
    }
    if teacher is not None:
        factors["teacher_sft"] = was_fine_tuned(teacher)
    if prepared.link is not None:
        factors["vocabulary"] = "same" if prepared.link.one else "different"
    if settings.method.naive_id_kd:
        factors["naive_id_kd"] = True
    models = {
        name: {"name": model.checkpoint.name, **asdict(model.identity)}
        for name, model in (("student", prepared.student), ("teacher", teacher))
        if model is not None
    }
    data = {**data_facts(prepared.texts.train), "dev": None}
    if prepared.texts.dev is not None:
        data["dev"] = data_facts(prepared.texts.dev)
    return Origin({**factors, **settings.factors}, data, {**settings.to_dict(), "models": models}, prepared.key)


def was_fine_tuned(model: Model) -> bool:
    """Does the checkpoint's own note say that it was fine-tuned?"""
    factors = model.checkpoint.factors
    return factors.get("algorithm") == "sft" or bool(factors.get("student_sft"))
