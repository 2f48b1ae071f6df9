"""Sequence-level distillation's data: what the teacher answers to the training questions, made once.

The answers are a telbench run of the teacher on the training split: it has a journal, so that nothing is asked twice
after a kill, and its shared cache serves the next student. Source: Kim and Rush, Sequence-Level Knowledge Distillation,
2016 (arXiv 1606.07947).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..harness.checkpoint import open_checkpoint
from ..harness.engines.base import Sampling
from ..harness.evaluate import evaluate
from ..harness.identity import identify_checkpoint
from ..harness.plan import EvalSettings
from ..harness.reporter import Reporter
from ..harness.runs import read_run, read_samples
from ..judges.errors import InputError
from .settings import TrainingSettings

FOLDER = "teacher-answers"


def teacher_answers(settings: TrainingSettings, work: Path, reporter: Reporter) -> dict[str, str]:
    """The teacher's greedy answer by item id; those it did not end, and empty ones, are left out and told.

    Raises:
        InputError: without a teacher, or when it ended no answer.
    """
    if settings.teacher is None:
        raise InputError("seq_kd needs a teacher: name its checkpoint folder")
    path = _made_here(settings, work, reporter) if settings.teacher_run is None else _given(settings)
    answers: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    for sample in read_samples(path):
        if sample["finish_reason"] != "stop":
            left_out["the teacher did not end"] += 1
        elif not sample["prediction"].strip():
            left_out["the teacher did not answer"] += 1
        else:
            answers[sample["item_id"]] = sample["prediction"].strip()
    for reason, count in left_out.items():
        reporter.note(f"left out: {count} answers that {reason}")
    if not answers:
        raise InputError(
            f"{settings.teacher} ended no answer to {settings.data.data}, split {settings.data.split}: see {path}"
        )
    return answers


def _made_here(settings: TrainingSettings, work: Path, reporter: Reporter) -> Path:
    data = settings.data
    return evaluate(
        EvalSettings(
            model=settings.teacher or "",
            data=data.data,
            split=data.split,
            data_dir=data.data_dir,
            mapping=data.mapping,
            options=data.options,
            book=data.context,
            metrics=("token_f1",),
            sampling=Sampling(max_tokens=settings.method.max_new_tokens),
            out=work / FOLDER,
        ),
        reporter,
    ).path


def _given(settings: TrainingSettings) -> Path:
    """The run that the settings name, if this teacher made it on these questions.

    Raises:
        InputError: if it did not.
    """
    path = Path(settings.teacher_run or "")
    header, checkpoint = read_run(path), open_checkpoint(settings.teacher or "")
    ours = identify_checkpoint(checkpoint, None).weights_sha256
    if header["model"]["weights_sha256"] != ours:
        raise InputError(f"{path} is a run of {header['model']['name']}, not of {checkpoint.path}: name its own")
    if header["data"]["split"] != settings.data.split:
        raise InputError(f"{path} answers the split '{header['data']['split']}', not '{settings.data.split}'")
    return path
